"""The panels below the front: each a question, a figure that answers it, and the answer in words or a
table."""

from typing import Any

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.importance import RunImportance
from jouleshift.analysis.pareto import full_budget
from jouleshift.analysis.spent import search_cost
from jouleshift.records import CarbonIntensity
from jouleshift.report import charts
from jouleshift.report.figures import energy_unit
from jouleshift.report.insight import Insight
from jouleshift.report.markup import Markup, element, join
from jouleshift.report.sections import definitions, stamp
from jouleshift.report.units import duration, listed, percent, quantity, upper_limit
from jouleshift.words import count

E = element
Figures = dict[str, charts.Figure]


def panels(view: Digest, found: Insight, intensity: CarbonIntensity) -> tuple[Markup, Figures]:
    """The panels as markup, and the figures that their places wait for, by the place's id."""
    figures: Figures = {}
    parts: list[Markup | None] = [
        _parallel(view),
        _along(view, figures),
        _causes(view, figures),
        _layers(view),
        _importance(view, found.importance, figures),
        _curves(view, figures),
        _progress(view, found, figures),
        cost(view, intensity),
    ]
    return join([part for part in parts if part is not None]), figures


def _panel(name: str, heading: str, lead: str | Markup, *content: Markup | None) -> Markup:
    return E(
        "section", E("h2", heading, id=name), E("p", lead, class_="lead"), *content, aria_labelledby=name
    )


def _place(name: str, figures: Figures, chart: charts.Figure, words: str, size: str = "small") -> Markup:
    figures[f"{name}-plot"] = chart
    return E(
        "figure",
        E("div", id=f"{name}-plot", class_=f"plot {size}", role="img", aria_label=words),
        E("figcaption", words),
    )


def _parallel(view: Digest) -> Markup | None:
    if not view.front:
        return None
    words = (
        "A line for each network at the full budget, through the place of each of its hyperparameters "
        "between the smallest (bottom) and the largest value (top) tried; the front in blue, the default in "
        "orange, the one picked in black or white. It follows the colours and the filter chosen at the front."
    )
    plot = E("div", id="parallel-plot", class_="plot small", role="img", aria_label=words)
    return _panel(
        "parallel", "All hyperparameters at once", "What do good networks have in common?",
        E("figure", E("div", plot, class_="scroll", tabindex=0), E("figcaption", words)),
    )  # fmt: skip


def _along(view: Digest, figures: Figures) -> Markup | None:
    chart = charts.along_chart(view)
    if chart is None:
        return None
    words = (
        "Shift depth, bits and type of each network of the front over its energy; more energy to the right."
    )
    return _panel(
        "along", "Along the front", "How does the number format change from frugal to accurate networks?",
        _place("along", figures, chart, words, "tall"), stamp(view),
    )  # fmt: skip


def _causes(view: Digest, figures: Figures) -> Markup | None:
    chart = charts.causes_chart(view)
    if chart is None:
        return None
    names = ", ".join(trace["name"] for trace in chart["data"])
    words = f"Energy of one inference by cause ({names}), one bar a network, the most accurate on top."
    return _panel(
        "causes", "Where the energy goes", "What does a network of the front spend its energy on?",
        _place("causes", figures, chart, words), stamp(view),
    )  # fmt: skip


def _layers(view: Digest) -> Markup | None:
    if not any(result.energy.layers for result in view.results):
        return None
    words = "Energy of one inference by layer, in the order of execution, and by cause."
    plot = E("div", id="layers-plot", class_="plot", role="img", aria_label=words)
    return _panel(
        "layers", "Layer by layer", "Where does the picked network spend its energy?",
        E("p", "Pick another one in the front or its table.", id="layers-of", aria_live="polite"),
        E("figure", plot, E("figcaption", words)), stamp(view),
    )  # fmt: skip


def _importance(view: Digest, found: RunImportance | None, figures: Figures) -> Markup | None:
    if found is None:
        return None
    bands = "Means over all other hyperparameters; bands are one standard deviation over the trees."
    mixed = (
        "Importance for w × error + (1 − w) × energy, both scaled to 0 … 1, a forest for each of 11 weights "
        "w. Ticks at the bottom are the weights of this budget's front."
    )
    words, whiskers = _most_important_words(found), "Whiskers are one standard deviation over the trees."
    marginals = charts.marginals_chart(found, energy_unit(view))
    return _panel(
        "importance",
        "What matters",
        _importance_lead(view, found),
        _place("importance", figures, charts.importance_chart(found), f"{words} {whiskers}", "tall"),
        E(
            "details",
            E("summary", "The same as a table, with interactions"),
            E("div", _importance_table(found), class_="scroll"),
        ),
        E("h3", "Mean error and energy as one hyperparameter changes"),
        _place("marginals", figures, marginals, bands, "tall"),
        E("h3", "When error and energy are weighed against each other"),
        _place("weights", figures, charts.weights_chart(found), mixed),
        stamp(view),
    )


def light_importance(view: Digest, found: RunImportance | None) -> Markup | None:
    """The same as words and a table."""
    if found is None:
        return None
    table = E("div", _importance_table(found), class_="scroll")
    return _panel(
        "importance", "What matters", _importance_lead(view, found), E("p", _most_important_words(found)),
        table, stamp(view),
    )  # fmt: skip


def _importance_lead(view: Digest, found: RunImportance) -> str:
    lead = (
        f"Importance (fANOVA) from {count(found.trials, 'trial')} of {count(found.budget, 'epoch')}: the "
        "share of the variance of error and of energy over the space that a hyperparameter explains alone."
    )
    if found.budget < max(full_budget(run) for run in view.runs):
        lead += " The lowest budget sees the whole space; higher ones only what the search has promoted."
    return lead


def _most_important_words(found: RunImportance) -> str:
    error = max(found.error.main_effects(), key=lambda e: e.mean)
    energy = max(found.energy.main_effects(), key=lambda e: e.mean)
    return (
        f"Most important for the error: {error.names[0]} ({percent(error.mean, 0)}); for the energy: "
        f"{energy.names[0]} ({percent(energy.mean, 0)})."
    )


def _importance_table(found: RunImportance, most: int = 5) -> Markup:
    rows = [
        ("alone", a, b) for a, b in zip(found.error.main_effects(), found.energy.main_effects(), strict=True)
    ]
    rows.sort(key=lambda row: -max(row[1].mean, row[2].mean))
    pairs = [
        ("together", a, b)
        for a, b in zip(found.error.pair_effects(), found.energy.pair_effects(), strict=True)
    ]
    pairs.sort(key=lambda row: -max(row[1].mean, row[2].mean))
    lines = [
        E(
            "tr",
            E("th", " × ".join(a.names), scope="row", class_="text"),
            E("td", kind, class_="text"),
            [E("td", f"{100 * e.mean:.1f} ± {100 * e.sd:.1f}") for e in (a, b)],
        )
        for kind, a, b in [*rows, *pairs[:most]]
    ]
    headings = (("hyperparameter", "text"), ("explains", "text"), ("of error/%", ""), ("of energy/%", ""))
    header = [E("th", text, scope="col", class_=kind or None) for text, kind in headings]
    caption = E(
        "caption", "Shares of the variance, mean ± standard deviation over the trees; of pairs the largest."
    )
    return E("table", caption, E("thead", E("tr", header)), E("tbody", lines))


def _curves(view: Digest, figures: Figures) -> Markup | None:
    chart = charts.curves_chart(view)
    if chart is None:
        return None
    words = "Validation error by epoch, coloured by the budget of the trial; the front and some others."
    return _panel(
        "curves", "Learning curves", "Was the full budget enough, and did lower rungs keep the right ones?",
        _place("curves", figures, chart, words),
    )  # fmt: skip


def _progress(view: Digest, found: Insight, figures: Figures) -> Markup | None:
    if found.progress is None or found.reference is None or len(found.progress.epochs) < 2:
        return None
    several = len(view.runs) > 1
    box = listed([upper_limit(*it) for it in zip(view.goal.objectives, found.reference, strict=True)])
    words = f"Hypervolume of the front as a share of {box}, against epochs trained at all budgets."
    if several:
        words += " The line is the median of the runs, the band holds the middle half."
    return _panel(
        "progress", "Progress of the search", "Would more trials help?",
        _place("progress", figures, charts.progress_chart(found.progress, several), words),
    )  # fmt: skip


def cost(view: Digest, intensity: CarbonIntensity) -> Markup:
    """What the search itself took."""
    spent = sum(p.record.duration_s or 0.0 for p in view.points)
    epochs = round(sum(result.epoch_equivalents for result in view.results))
    facts: dict[str, Any] = {"trials ended": str(len(view.points) - len(view.of("running")))}
    facts |= {"epochs trained": str(epochs), "time in trials": duration(spent)}
    energy = search_cost(view.runs)
    if energy is not None:
        facts["energy of the search"] = f"{quantity(energy.energy_j, 'J')} ({energy.how})"
        facts["emissions of the search"] = f"{quantity(intensity.emissions_g(energy.energy_j), 'g')} CO₂eq"
    else:
        facts["energy of the search"] = "not measured on this machine"
    return _panel("cost", "What the search took", "Training while searching, apart from the inference above.",
                  definitions(facts))  # fmt: skip
