"""What verification found, as rows, a terminal's table, and a section of the page with its figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.verification import Member, Verification
from jouleshift.records import CarbonIntensity, Evaluation
from jouleshift.report.charts import energy_axis
from jouleshift.report.markup import Markup, element, join
from jouleshift.report.sentences import fresh_seeds, origin_in_words
from jouleshift.report.tables import Row, columns, further_objectives, hyperparameters, row, to_csv
from jouleshift.report.units import Unit, percent, unit_for
from jouleshift.words import count

if TYPE_CHECKING:
    from rich.console import Group

E = element


def verified_csv(view: Digest, intensity: CarbonIntensity) -> str:
    """A row for each training: its `error` is on the test split; `val_error` and `found_error` on the
    validation split, now and when the search found it as trial `found`."""
    names = hyperparameters([r for run in view.runs for r in run.verified])
    found = {
        (m.run, tuple(m.found.trial.config.items())): m
        for v in [view.verification]
        if v is not None
        for m in (*v.members, *v.defaults)
    }
    table: list[Row] = []
    for index, (name, run) in enumerate(zip(view.names, view.runs, strict=True)):
        for record in run.verified:
            member = found.get((index, tuple(record.trial.config.items())))
            done = record.result if isinstance(record.result, Evaluation) else None
            table.append(
                {
                    "run": name,
                    "found": member.found.trial.id if member else None,
                    "found_error": member.found_error if member else None,
                    "val_error": done.curve[-1].val_error if done else None,
                    **row(record, names, intensity, view.goal),
                }
            )
    return to_csv(table, ("run", "found", "found_error", "val_error", *columns(names)))


def regression_in_words(verification: Verification) -> str:
    """How much of the front's promise was luck, in two sentences."""
    what = count(len(verification.members) or 1, "configuration")
    return (
        f"Regression to the mean over {what}: with fresh seeds the validation error is "
        f"{_points(verification.seed_luck)} the one that the search saw. With the same seeds the error on "
        f"test images is {_points(verification.other_images)} that."
    )


def _points(change: float) -> str:
    """A change of an error, as a fraction: 0.012 is "1.2 points above"."""
    size = f"{100 * abs(change):.1f}"
    return "the same as" if size == "0.0" else f"{size} points {'above' if change > 0 else 'below'}"


def verified_table(verification: Verification, width: int = 80) -> "Group":
    """The verified configurations and the default for a terminal, with the words below."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    unit, further = _unit(verification), _further(verification)
    table = Table(box=box.SIMPLE_HEAD)
    headings = ("", "trial", "accuracy\nin search", "validation\nafresh", "test", f"energy\n{unit.name}")
    for heading in (*headings, *("\n".join(name) for name, _ in further)):
        table.add_column(Text(heading), justify="right", vertical="bottom", overflow="fold")
    for index, member in enumerate((*verification.members, *verification.defaults)):
        cells = (_sign(verification, member), *_cells(member, unit), *(shown[index] for _, shown in further))
        table.add_row(*map(Text, cells), style="bold yellow" if member.is_default else None)
    title = Text("The front trained again with fresh seeds, judged on the test split", "bold")
    return Group(title, table, Text(f"{_origin(verification)}."), Text(regression_in_words(verification)))


def _origin(verification: Verification) -> str:
    """Where the energies come from."""
    members = (*verification.members, *verification.defaults)
    return origin_in_words(again.energy for member in members for again in member.again)


def _further(verification: Verification) -> list[tuple[tuple[str, str], list[str]]]:
    """The goal's columns beside accuracy and energy."""
    members = (*verification.members, *verification.defaults)
    return further_objectives([m.values for m in members], verification.goal)


def _sign(verification: Verification, member: Member) -> str:
    star = "★" if member in verification.dominating else ""
    return " ".join(filter(None, (star, _note(verification, member))))


def _note(verification: Verification, member: Member) -> str:
    """What is particular of a configuration: "default infeasible"."""
    words = ("default" if member.is_default else "", "infeasible" if verification.broken(member) else "")
    return " ".join(filter(None, words))


def _cells(member: Member, unit: Unit) -> tuple[str, ...]:
    return (
        str(member.found.trial.id),
        percent(1 - member.found_error),
        percent(1 - member.val_error),
        _spread(member),
        unit.show(member.energy_j),
    )


def _spread(member: Member) -> str:
    """Test accuracy, with its standard deviation over the seeds."""
    sd = "" if member.error_sd is None else f" ± {100 * member.error_sd:.1f}"
    return f"{100 * (1 - member.error):.1f}{sd} %"


def _unit(verification: Verification) -> Unit:
    return unit_for([m.energy_j for m in (*verification.members, *verification.defaults)], "J")


def verified_section(view: Digest, figures: dict[str, dict[str, Any]] | None = None) -> Markup | None:
    """The part of the page that leads: the verified front; None where nothing is verified. Its figure goes
    into `figures`, and is left out without."""
    verification = view.verification
    if verification is None:
        return None
    unit, seeds = _unit(verification), fresh_seeds(verification)
    failed = f" {count(verification.failed, 'training')} failed." if verification.failed else ""
    return E(
        "section",
        E("h2", "The front, verified", id="verified"),
        None if figures is None else _figure(verification, unit, figures),
        E("p", regression_in_words(verification) + failed),
        E("p", f"Accuracy is the mean over {seeds}; ★ dominates the default configuration.", class_="lead"),
        E("div", _html_table(view, verification, unit), class_="scroll", tabindex=0),
        E("p", _origin(verification), class_="stamp"),
        E("p", "Every training: ", E("a", "verified.csv", href="verified.csv"), "."),
        aria_labelledby="verified",
    )


def _figure(verification: Verification, unit: Unit, figures: dict[str, dict[str, Any]]) -> Markup:
    figures["verified-plot"] = _chart(verification, unit)
    words = (
        "Test error against energy of each configuration trained again (whiskers: one standard deviation "
        "over the seeds); the hollow ring is what the search saw on validation images."
    )
    plot = E("div", id="verified-plot", class_="plot small", role="img", aria_label=words)
    return E("figure", plot, E("figcaption", words))


def _html_table(view: Digest, verification: Verification, unit: Unit) -> Markup:
    further = _further(verification)
    headings = (
        *("trial", "accuracy in search", "validation, fresh seeds", "test", f"energy/{unit.name}"),
        *("/".join(name) for name, _ in further),
    )
    lines = []
    for index, member in enumerate((*verification.members, *verification.defaults)):
        name, *cells = (*_cells(member, unit), *(shown[index] for _, shown in further))
        note = _note(verification, member)
        star = E("span", "★ ", class_="star") if member in verification.dominating else None
        label = f"{name}{f' ({view.names[member.run]})' if len(view.runs) > 1 else ''}"
        lines.append(
            E(
                "tr",
                E("th", join(star, label, f" {note}" if note else None), scope="row"),
                [E("td", cell) for cell in cells],
                class_="is-default" if member.is_default else None,
            )
        )
    header = E("thead", E("tr", [E("th", text, scope="col") for text in headings]))
    return E("table", header, E("tbody", lines))


def _chart(verification: Verification, unit: Unit) -> dict[str, Any]:
    members, defaults = verification.members, verification.defaults
    traces: list[dict[str, Any]] = []
    for label, group, color, symbol in (
        ("front, verified", members, "var:front", "circle"),
        ("default, verified", defaults, "var:default", "star"),
    ):
        if group:
            traces.append(_moves(group, unit, color))
            traces.append(_dots(label, group, unit, color, symbol))
    layout = {
        "xaxis": energy_axis([m.energy_j for m in (*members, *defaults)], unit),
        "yaxis": {"title": {"text": "error (%)"}},
    }
    return {"data": traces, "layout": layout}


def _dots(label: str, group: Sequence[Member], unit: Unit, color: str, symbol: str) -> dict[str, Any]:
    spread = [round(100 * (m.error_sd or 0.0), 2) for m in group]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label,
        "x": [float(f"{m.energy_j / unit.scale:.5g}") for m in group],
        "y": [round(100 * m.error, 2) for m in group],
        "error_y": {"type": "data", "array": spread, "thickness": 1},
        "text": [f"trial {m.found.trial.id}" for m in group],
        "marker": {"color": color, "symbol": symbol, "size": 10},
        "hovertemplate": "%{text}: %{y} % at %{x} " + unit.name + "<extra></extra>",
    }


def _moves(group: Sequence[Member], unit: Unit, color: str) -> dict[str, Any]:
    """A line from what the search saw, a ring, to what verification gives."""
    x: list[float | None] = []
    y: list[float | None] = []
    for member in group:
        place = float(f"{member.energy_j / unit.scale:.5g}")
        x += [place, place, None]
        y += [round(100 * member.found_error, 2), round(100 * member.error, 2), None]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "in the search",
        "x": x,
        "y": y,
        "line": {"color": color, "width": 1, "dash": "dot"},
        "marker": {"symbol": "circle-open", "size": 8, "color": color},
        "hoverinfo": "skip",
        "showlegend": False,
    }
