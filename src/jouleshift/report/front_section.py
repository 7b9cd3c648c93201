"""The front on the page: the place of its interactive figure, and its table.

The figure is for the mouse and for arrow keys: with the script running its place is a widget of its own, and
a line that is read aloud tells the picked network. Everything is in the table too, of a long front a hundred
networks evenly from the most accurate to the most frugal.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from jouleshift.analysis.digest import Digest, Point
from jouleshift.analysis.pareto import objectives, points_of
from jouleshift.analysis.pick import is_float
from jouleshift.analysis.thinning import evenly
from jouleshift.records import CarbonIntensity
from jouleshift.report import numbers
from jouleshift.report.figures import energy_unit
from jouleshift.report.insight import Insight
from jouleshift.report.markup import Markup, element, join
from jouleshift.report.sections import stamp
from jouleshift.report.sentences import front_in_words
from jouleshift.report.sheet import below, link
from jouleshift.report.sketch import front_sketch
from jouleshift.report.tables import further_objectives, hyperparameters, show_value
from jouleshift.report.units import Unit, percent, unit_for

E = element

MOST_ROWS = 100
"""Of the front, in its table."""


def front_figure(view: Digest, found: Insight) -> Markup:
    """The place of the interactive front, its words and its source."""
    words = front_in_words(view)
    plot = E(
        "div", front_sketch(view), id="front-plot", class_="plot", tabindex=0, role="img", aria_label=words,
        aria_describedby="front-keys",
    )  # fmt: skip
    return E(
        "section",
        E("h2", "Front", id="front"),
        E(
            "p",
            "Each dot is a trained network; down and left is better. Hover or pick one for its "
            "configuration, toggle groups in the legend, or walk along the front with the arrow keys.",
            class_="lead screen",
            id="front-keys",
        ),
        _controls() if view.results else None,
        E("figure", plot, E("figcaption", words)),
        stamp(view),
        E("p", id="front-said", class_="heard", role="status"),
        E("div", id="picked"),
        _files(view, found),
        aria_labelledby="front",
    )


def _files(view: Digest, found: Insight) -> Markup | None:
    """What of this section's numbers is beside the page."""
    reached, paths = numbers.attainment(found), numbers.paths(view, found)
    said = "What a quarter, half and three quarters of the runs attain: corners of the surfaces."
    return join(
        below(reached, reached.thinned(20, by="surface"), said) if reached else None,
        link(paths.file, what="The paths from the default as CSV: ") if paths else None,
    )


def _controls() -> Markup:
    """Choices that the page's script fills: colour and filter by a hyperparameter."""
    return E(
        "div",
        E("label", "Colour by ", E("select", E("option", "role", value=""), id="colour-by")),
        E("label", "Show only ", E("select", E("option", "all", value=""), id="filter-by")),
        E("span", id="filter-to"),
        class_="controls",
    )


def front_table(view: Digest, intensity: CarbonIntensity, pick: bool = True) -> Markup:
    """The front and the default configuration as a table, with gains against the default; with `pick`, a
    button for each network."""
    apart = _default_row(view)
    shown = [*evenly(view.front, MOST_ROWS), *([apart] if apart else [])]
    if not shown:
        return Markup()
    left_out = len(view.front) - MOST_ROWS
    more = E("p", f"{left_out} more are in front.csv.", class_="lead") if left_out > 0 else None
    return E(
        "section",
        E("h2", "The front as a table", id="table"),
        E("p", _table_caption(intensity), class_="lead"),
        E(
            "div",
            _rows(view, shown, intensity, pick),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_labelledby="table",
        ),
        more,
        stamp(view),
        link("front.csv", "trials.csv"),
        _shipping(view),
    )


def _rows(view: Digest, shown: Sequence[Point], intensity: CarbonIntensity, pick: bool) -> Markup:
    """The table itself."""
    records = [p.record for p in shown]
    unit = energy_unit(view)
    gram = unit_for([intensity.emissions_g(e) for e in points_of(records)[:, 1]], "g")
    names = hyperparameters(records)
    further = further_objectives([r.values for r in records], view.goal)
    headings = [
        "trial",
        "accuracy",
        "points gained",
        f"energy/{unit.name}",
        "energy saved",
        f"CO₂eq/{gram.name}",
        *("/".join(heading) for heading, _ in further),
        *(name.replace("_", " ") for name in names),
    ]
    winners = {id(r) for r in view.comparison.dominating}
    body = []
    for index, point in enumerate(shown):
        name = _name(view, point, id(point.record) in winners, pick)
        config = point.record.trial.config
        cells = [*(cells[index] for _, cells in further), *(show_value(config.get(n)) for n in names)]
        body.append(_row(view, point, name, intensity, (unit, gram), cells))
    header = E("tr", [E("th", text, scope="col") for text in headings])
    return E("table", E("thead", header), E("tbody", body))


def _row(
    view: Digest,
    point: Point,
    name: Markup,
    intensity: CarbonIntensity,
    units: tuple[Unit, Unit],
    cells: Sequence[str],
) -> Markup:
    error, energy_j = objectives(point.record) or (None, None)
    gains = view.comparison.gains(point.record)
    return E(
        "tr",
        E("th", name, scope="row"),
        E("td", percent(None if error is None else 1 - error)),
        _gain(gains[0] if gains else None, ""),
        E("td", units[0].show(energy_j)),
        _gain(gains[1] if gains else None, " %"),
        E("td", units[1].show(None if energy_j is None else intensity.emissions_g(energy_j))),
        [E("td", cell) for cell in cells],
        data_point=f"{point.run}-{point.record.trial.id}" if point.run >= 0 else None,
        class_="is-default" if point.role == "default" else None,
    )


def _shipping(view: Digest) -> Markup | None:
    """How one of the front becomes files; None where several runs have trials of the same number."""
    if len(view.runs) > 1 or not view.front:
        return None
    command = (
        f"jouleshift export {shlex.quote(str(_from_here(view.runs[0].path)))} --pick TRIAL --format onnx"
    )
    return E("p", "Ship one as ONNX, C, torch.export or safetensors: ", E("code", command))


def _from_here(path: Path) -> Path:
    """A path as seen from the working directory where one holds the other, so that a page does not tell more
    of a machine than its reader typed."""
    here = Path.cwd()
    near = path.is_relative_to(here) or here.is_relative_to(path)
    return Path(os.path.relpath(path)) if near else path


def _default_row(view: Digest) -> Point | None:
    """What stands for the default below the front: its trial, or the mean of several runs; None if on the
    front."""
    default = view.comparison.default
    if default is None or any(r is default for r in view.comparison.front):
        return None
    return Point(-1 if len(view.runs) > 1 else 0, default, "default")


def _table_caption(intensity: CarbonIntensity) -> str:
    return (
        "★ dominates the default configuration (shaded). Energy and emissions are of one inference of one "
        f"image; emissions at {intensity.in_words}."
    )


def _name(view: Digest, point: Point, wins: bool, pick: bool) -> Markup:
    if point.run < 0:
        return join(f"default, mean of {len(view.runs)}")
    run = f" ({view.names[point.run]})" if len(view.runs) > 1 else ""
    floats = " float" if is_float(point.record, view.runs[point.run].config) else ""
    text = f"{point.record.trial.id}{run}{' default' if point.role == 'default' else ''}"
    star = E("span", "★ ", class_="star", title="dominates the default") if wins else None
    button = E("button", text, type="button", aria_pressed="false", aria_label=f"show trial {text}")
    return join(star, button if pick else text, floats)


def _gain(value: float | None, unit: str) -> Markup:
    if value is None:
        return E("td", "–")
    shown = f"{100 * value:+.1f}{unit}"
    zero = shown.startswith(("+0.0", "-0.0"))
    return E("td", shown, class_=None if zero else "better" if value > 0 else "worse")
