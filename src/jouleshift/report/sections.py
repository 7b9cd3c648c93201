"""The parts of the page that are words and tables, readable without its script."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jouleshift.analysis.digest import Digest, Point
from jouleshift.analysis.pareto import hypervolume_share, objectives, points_of, reference_point
from jouleshift.records import CarbonIntensity, Failure, TrialRecord
from jouleshift.report.figures import energy_unit
from jouleshift.report.markup import Markup, element, join
from jouleshift.report.sentences import (
    differences_in_words,
    energy_stamp,
    flags,
    front_in_words,
    headline,
    show_setting,
    state_in_words,
)
from jouleshift.report.sketch import front_sketch
from jouleshift.report.tables import further_objectives, hyperparameters, setting_cells
from jouleshift.report.units import listed, percent, quantity, unit_for, upper_limit

E = element


def head(view: Digest, title: str, live: bool) -> Markup:
    """Title, headline, state of the run and the key figures; of a live one, whether the page follows it."""
    box = E("input", type="checkbox", id="follow", checked=True)
    return E(
        "header",
        E("h1", title),
        E("p", headline(view), class_="headline"),
        E("p", state(view), class_="state"),
        E("p", E("label", box, " follow the run: reload every 10 seconds"), class_="screen")
        if live
        else None,
        E("ul", _tiles(view), class_="tiles", aria_label="key figures"),
    )


def state(view: Digest) -> Markup:
    """How much is done, what failed, what it took."""
    running = len(view.of("running"))
    live = E("span", f" {running} running.", class_="live") if running else None
    return join(state_in_words(view), live)


def _tiles(view: Digest) -> list[Markup]:
    comparison = view.comparison
    if not comparison.front:
        return []
    points = points_of(comparison.front)
    reference = reference_point(view.runs)
    tiles = [
        (percent(1 - points[:, 0].min()), "best accuracy on validation images"),
        (quantity(points[:, 1].min(), "J"), "least energy per image on the front"),
    ]
    if comparison.default is not None:
        tiles.append(
            (
                f"{len(comparison.dominating)} of {len(points)}",
                "on the front dominate the default configuration"
                + (", as the search saw it" if view.verification else ""),
            )
        )
    if reference is not None and all(value > 0 for value in reference):
        share = hypervolume_share(points_of(comparison.front, view.goal), reference)
        box = [upper_limit(*entry) for entry in zip(view.goal.objectives, reference, strict=True)]
        tiles.append((f"{share:.3f}", f"hypervolume, as a share of {listed(box)}"))
    return [E("li", E("b", number), E("span", text)) for number, text in tiles]


def front_figure(view: Digest) -> Markup:
    """The place of the interactive front, its words and its source."""
    words = front_in_words(view)
    return E(
        "section",
        E("h2", "Front", id="front"),
        E(
            "p",
            "Each dot is a trained network; down and left is better. Hover or pick one for its "
            "configuration, toggle groups in the legend, or walk along the front with the arrow keys.",
            class_="lead screen",
        ),
        _controls() if view.results else None,
        E(
            "figure",
            E(
                "div",
                front_sketch(view),
                id="front-plot",
                class_="plot",
                tabindex=0,
                role="img",
                aria_label=words,
            ),
            E("figcaption", words),
        ),
        stamp(view),
        E("div", id="picked", aria_live="polite"),
        aria_labelledby="front",
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


def stamp(view: Digest) -> Markup:
    """Where the energies come from; stands beside every figure and table that shows one."""
    noted = flags(view)
    return E("p", energy_stamp(view), f" (flags: {', '.join(noted)})" if noted else None, class_="stamp")


def front_table(view: Digest, intensity: CarbonIntensity, pick: bool = True) -> Markup:
    """The front and the default configuration as a table, with gains against the default; with `pick`, a
    button for each network."""
    comparison = view.comparison
    apart = default_row(view)
    shown = [*view.front, *([apart] if apart else [])]
    records = [p.record for p in shown]
    if not records:
        return Markup()
    unit = energy_unit(view)
    gram = unit_for([intensity.emissions_g(e) for e in points_of(records)[:, 1]], "g")
    names = hyperparameters(records)
    further = further_objectives(records, view.goal)
    headings = [
        "trial",
        "accuracy",
        "points gained",
        f"energy/{unit.name}",
        "energy saved",
        f"CO₂eq/{gram.name}",
        *("/".join(heading) for heading, _ in further),
    ]
    header = [E("th", text, scope="col") for text in [*headings, *(n.replace("_", " ") for n in names)]]
    winners = {id(r) for r in comparison.dominating}
    body = []
    for index, point in enumerate(shown):
        error, energy_j = objectives(point.record) or (None, None)
        gains = comparison.gains(point.record)
        body.append(
            E(
                "tr",
                E("th", _name(view, point, id(point.record) in winners, pick), scope="row"),
                E("td", percent(None if error is None else 1 - error)),
                _gain(gains[0] if gains else None, ""),
                E("td", unit.show(energy_j)),
                _gain(gains[1] if gains else None, " %"),
                E("td", gram.show(None if energy_j is None else intensity.emissions_g(energy_j))),
                [E("td", cells[index]) for _, cells in further],
                [E("td", cell) for n in names for cell in setting_cells(n, [point.record])],
                data_point=f"{point.run}-{point.record.trial.id}" if point.run >= 0 else None,
                class_="is-default" if point.role == "default" else None,
            )
        )
    return E(
        "section",
        E("h2", "The front as a table", id="table"),
        E("p", _table_caption(intensity), class_="lead"),
        E(
            "div",
            E("table", E("thead", E("tr", header)), E("tbody", body)),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_labelledby="table",
        ),
        stamp(view),
        E("p", "The same numbers: ", _file("front.csv"), ", all trials: ", _file("trials.csv"), "."),
        _shipping(view),
    )


def _shipping(view: Digest) -> Markup | None:
    """How one of the front becomes files; None where several runs have trials of the same number."""
    if len(view.runs) > 1 or not view.front:
        return None
    command = f"jouleshift export {shlex.quote(str(view.runs[0].path))} --pick TRIAL --format onnx"
    return E("p", "Ship one as ONNX, C, torch.export or safetensors: ", E("code", command))


def default_row(view: Digest) -> Point | None:
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
    run = f" ({view.runs[point.run].path.name})" if len(view.runs) > 1 else ""
    text = f"{point.record.trial.id}{run}{' default' if point.role == 'default' else ''}"
    star = E("span", "★ ", class_="star", title="dominates the default") if wins else None
    button = E("button", text, type="button", aria_pressed="false", aria_label=f"show trial {text}")
    return join(star, button if pick else text)


def _gain(value: float | None, unit: str) -> Markup:
    if value is None:
        return E("td", "–")
    shown = f"{100 * value:+.1f}{unit}"
    zero = shown.startswith(("+0.0", "-0.0"))
    return E("td", shown, class_=None if zero else "better" if value > 0 else "worse")


def _file(name: str) -> Markup:
    return E("a", name, href=name)


def failures(view: Digest, most: int = 40) -> Markup:
    """What went wrong, equal messages together."""
    found: dict[tuple[str, str], list[TrialRecord]] = {}
    for point in view.of("failed"):
        result = point.record.result
        assert isinstance(result, Failure)
        found.setdefault((result.kind, result.message), []).append(point.record)
    if not found:
        return Markup()
    lines = [
        E(
            "tr",
            E("th", kind, scope="row", class_="text"),
            E("td", _some([str(r.trial.id) for r in records]), class_="free"),
            E("td", message if len(message) < 400 else message[:400] + "…", class_="free"),
        )
        for (kind, message), records in list(found.items())[:most]
    ]
    more = f"{len(found) - most} more kinds of failure are in trials.csv." if len(found) > most else None
    return E(
        "section",
        E("h2", f"Failed trials ({len(view.of('failed'))})", id="failed"),
        E("div", _words_table(("what", "trials", "message"), lines), class_="scroll"),
        E("p", more) if more else None,
    )


def _some(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _words_table(headings: Sequence[str], lines: Sequence[Markup]) -> Markup:
    header = E("thead", E("tr", [E("th", text, scope="col") for text in headings]))
    return E("table", header, E("tbody", lines), class_="words")


def facts(view: Digest) -> Markup:
    """What was searched, with what: settings and environment of each run."""
    blocks = []
    for run in view.runs:
        blocks.append(
            E(
                "div",
                E("h3", f"Settings of {run.path.name}"),
                definitions(run.config),
                E("h3", "Environment") if run.env else None,
                definitions({name: value for name, value in run.env.items() if name != "search_energy"}),
            )
        )
    different = differences_in_words(view.runs)
    told = E("p", "The runs differ in ", "; ".join(different), ".") if different else None
    return E("section", E("h2", "How this was made", id="facts"), told, E("div", blocks, class_="columns"))


def definitions(values: Mapping[str, Any]) -> Markup:
    """A mapping as a list of names and values; nested names are joined, None and empty lists left out."""
    flat = _flatten(values)
    return E("dl", [join(E("dt", name), E("dd", text)) for name, text in flat], class_="facts")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            found += _flatten(value, f"{name}: ")
        elif value not in (None, [], ()):
            found.append((name, show_setting(value)))
    return found
