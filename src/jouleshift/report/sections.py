"""The parts of the page that are words and tables, readable without its script."""

from collections.abc import Mapping, Sequence
from typing import Any

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.pareto import hypervolume_share, points_of, reference_point
from jouleshift.records import Failure, TrialRecord
from jouleshift.report.markup import Markup, element, join
from jouleshift.report.sentences import (
    differences_in_words,
    energy_stamp,
    flags,
    headline,
    show_setting,
    state_in_words,
)
from jouleshift.report.units import listed, percent, quantity, upper_limit

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
                f"{len(comparison.dominating)} of {len(comparison.others)}",
                "on the front dominate the default configuration"
                + (", as the search saw it" if view.verification else ""),
            )
        )
    if reference is not None and all(value > 0 for value in reference):
        share = hypervolume_share(points_of(comparison.front, view.goal), reference)
        box = [upper_limit(*entry) for entry in zip(view.goal.objectives, reference, strict=True)]
        tiles.append((f"{share:.3f}", f"hypervolume, as a share of {listed(box)}"))
    return [E("li", E("b", number), E("span", text)) for number, text in tiles]


def stamp(view: Digest) -> Markup:
    """Where the energies come from; stands beside every figure and table that shows one."""
    noted = flags(view)
    return E("p", energy_stamp(view), f" (flags: {', '.join(noted)})" if noted else None, class_="stamp")


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
    for name, run in zip(view.names, view.runs, strict=True):
        blocks.append(
            E(
                "div",
                E("h3", f"Settings of {name}"),
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
