"""The panels below the front: each a question, a figure that answers it, and its numbers; here the list of
them, and those about the networks of the front. What matters is in `matters`, how the search went in
`course`."""

from jouleshift.analysis.digest import Digest
from jouleshift.records import CarbonIntensity
from jouleshift.report import charts, numbers
from jouleshift.report.course import cost, curves, progress
from jouleshift.report.insight import Insight
from jouleshift.report.markup import Markup, element, join
from jouleshift.report.matters import importance
from jouleshift.report.panel import Figures, panel, place, waiting
from jouleshift.report.sections import stamp
from jouleshift.report.sheet import FOLDER, below, link

E = element


def panels(view: Digest, found: Insight, intensity: CarbonIntensity) -> tuple[Markup, Figures]:
    """The panels as markup, and the figures that their places wait for, by the place's id."""
    figures: Figures = {}
    parts: list[Markup | None] = [
        _parallel(view),
        _along(view, figures),
        _causes(view, figures),
        _layers(view),
        importance(view, found.importance, figures),
        curves(view, figures),
        progress(view, found, figures),
        cost(view, intensity),
    ]
    return join([part for part in parts if part is not None]), figures


def _parallel(view: Digest) -> Markup | None:
    if not view.front:
        return None
    words = (
        "A line for each network at the full budget, through the place of each of its hyperparameters "
        "between the smallest (bottom) and the largest value (top) tried; the front in blue, the default in "
        "orange, the one picked in black or white. It follows the colours and the filter chosen at the front."
    )
    plot = E("div", id="parallel-plot", class_="plot small", role="img", aria_label=words)
    return panel(
        "parallel", "All hyperparameters at once", "What do good networks have in common?",
        E("figure", E("div", plot, class_="scroll", tabindex=0), E("figcaption", words)),
        link("trials.csv"),
    )  # fmt: skip


def _along(view: Digest, figures: Figures) -> Markup | None:
    chart = charts.along_chart(view)
    if chart is None:
        return None
    words = (
        "Shift depth, bits and type of each network of the front over its energy; more energy to the right."
    )
    sheet = numbers.along(view, charts.format_names(view))
    return panel(
        "along", "Along the front", "How does the number format change from frugal to accurate networks?",
        place("along", figures, chart, words, "tall"), stamp(view),
        below(sheet, sheet.thinned(30), "Networks of the front, from frugal to accurate.", "front.csv"),
    )  # fmt: skip


def _causes(view: Digest, figures: Figures) -> Markup | None:
    chart, sheet = charts.causes_chart(view), numbers.causes(view)
    if chart is None or sheet is None:
        return None
    names = ", ".join(trace["name"] for trace in chart["data"])
    words = f"Energy of one inference by cause ({names}), one bar a network, the most accurate on top."
    return panel(
        "causes", "Where the energy goes", "What does a network of the front spend its energy on?",
        place("causes", figures, chart, words), stamp(view),
        below(sheet, sheet.thinned(30), "Energy of one inference of one image, in all and by cause."),
    )  # fmt: skip


def _layers(view: Digest) -> Markup | None:
    """Figure and table are of the picked network, so the page's script makes both."""
    if not numbers.has_layers(view):
        return None
    words = "Energy of one inference by layer, in the order of execution, and by cause."
    table = E("div", id="layers-table", class_="scroll", tabindex=0)
    return panel(
        "layers", "Layer by layer", "Where does the picked network spend its energy?",
        E("p", "Pick another one in the front or its table.", id="layers-of", aria_live="polite"),
        waiting("layers", words, ""), stamp(view),
        E("details", E("summary", "The numbers as a table"), table),
        link(f"{FOLDER}/layers.csv"),
    )  # fmt: skip
