"""The panels on how the search itself went: learning curves, progress, and what it took."""

from typing import Any

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.spent import search_cost
from jouleshift.records import CarbonIntensity
from jouleshift.report import charts, numbers
from jouleshift.report.insight import Insight
from jouleshift.report.markup import Markup
from jouleshift.report.panel import Figures, panel, place
from jouleshift.report.sections import definitions
from jouleshift.report.sheet import below, link
from jouleshift.report.units import duration, listed, quantity, upper_limit


def curves(view: Digest, figures: Figures) -> Markup | None:
    """None where no trial has a curve."""
    chart = charts.curves_chart(view)
    if chart is None:
        return None
    words = "Validation error by epoch, coloured by the budget of the trial; the front and some others."
    return panel(
        "curves", "Learning curves", "Was the full budget enough, and did lower rungs keep the right ones?",
        place("curves", figures, chart, words),
        below(numbers.rungs(view), caption="Errors over all trials of a budget, epoch by epoch."),
    )  # fmt: skip


def progress(view: Digest, found: Insight, figures: Figures) -> Markup | None:
    """None where nothing has advanced yet."""
    sheet = numbers.progress(view, found)
    if sheet is None or found.progress is None or found.reference is None:
        return None
    several = len(view.runs) > 1
    box = listed([upper_limit(*it) for it in zip(view.goal.objectives, found.reference, strict=True)])
    shown = sheet.only(*(name for name in sheet.columns if not name.startswith("up_to_")))
    words = f"Hypervolume of the front as a share of {box}, against epochs trained at all budgets."
    if several:
        words += " The line is the median of the runs, the band holds the middle half."
    return panel(
        "progress", "Progress of the search", "Would more trials help?",
        place("progress", figures, charts.progress_chart(found.progress, several), words),
        below(sheet, shown.thinned(21), "The hypervolume once so many epochs are trained."),
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
    return panel("cost", "What the search took", "Training while searching, apart from the inference above.",
                  definitions(facts), link(numbers.cost(view, intensity).file))  # fmt: skip
