"""The panel that says what matters: shares of the variance, the curves behind them, and how both change with
what is wanted. Its light form has words and a table alone."""

from dataclasses import replace

import numpy as np

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.importance import RunImportance
from jouleshift.analysis.pareto import full_budget
from jouleshift.report import charts, numbers
from jouleshift.report.figures import energy_unit
from jouleshift.report.markup import Markup, element
from jouleshift.report.panel import Figures, panel, place
from jouleshift.report.sections import stamp
from jouleshift.report.sheet import below, link, scrolling
from jouleshift.report.units import percent
from jouleshift.words import count

E = element


def importance(view: Digest, found: RunImportance | None, figures: Figures) -> Markup | None:
    """None where there are too few trials to say."""
    if found is None:
        return None
    words, whiskers = _most_important_words(found), "Whiskers are one standard deviation over the trees."
    return panel(
        "importance",
        "What matters",
        _importance_lead(view, found),
        place("importance", figures, charts.importance_chart(found), f"{words} {whiskers}", "tall"),
        E(
            "details",
            E("summary", "The numbers as a table, with interactions"),
            scrolling(_importance_table(found)),
        ),
        link(numbers.importance(found).file),
        *_marginals(view, found, figures),
        *_weights(found, figures),
        stamp(view),
    )


def _marginals(view: Digest, found: RunImportance, figures: Figures) -> tuple[Markup, ...]:
    bands = "Means over all other hyperparameters; bands are one standard deviation over the trees."
    chart = charts.marginals_chart(found, energy_unit(view))
    sheet = numbers.marginals(found)
    drawn = {*charts.most_important(found.error), *charts.most_important(found.energy)}
    shown = replace(sheet, rows=[row for row in sheet.rows if row[0] in drawn])
    return (
        E("h3", "Mean error and energy as one hyperparameter changes"),
        place("marginals", figures, chart, bands, "tall"),
        below(sheet, shown.thinned(8, by="hyperparameter"), "Means over all others, and their spread."),
    )


def _weights(found: RunImportance, figures: Figures) -> tuple[Markup, ...]:
    words = (
        "Importance for w × error + (1 − w) × energy, both scaled to 0 … 1, a forest for each of 11 weights "
        f"w. Ticks at the bottom are the weights of this budget's front; {_at_front_words(found)}"
    )
    sheet = numbers.weights(found)
    caption = "Shares of the variance by the weight on the error, last at the weights of the front's members."
    return (
        E("h3", "When error and energy are weighed against each other"),
        place("weights", figures, charts.weights_chart(found), words),
        below(sheet, sheet.thinned(11, by="of_the_front"), caption),
    )


def _at_front_words(found: RunImportance) -> str:
    shares = found.at_front.mean(axis=0)
    first = np.argsort(-shares)[:3]
    named = (f"{found.error.domains[i].name} {100 * shares[i]:.0f} %" for i in first)
    return f"there, on average, {', '.join(named)} of the variance."


def light_importance(view: Digest, found: RunImportance | None) -> Markup | None:
    """The same as words and a table."""
    if found is None:
        return None
    table = scrolling(_importance_table(found))
    return panel(
        "importance", "What matters", _importance_lead(view, found), E("p", _most_important_words(found)),
        table, link(numbers.importance(found).file), stamp(view),
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
    said = "Shares of the variance, mean ± standard deviation over the trees; of pairs the largest."
    caption = E("caption", E("span", said))
    return E("table", caption, E("thead", E("tr", header)), E("tbody", lines))
