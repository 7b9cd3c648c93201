"""The trials of a run as rows: for CSV files, and for a terminal.

`trials.csv` has a row for each trial, `front.csv` one for each of the front. Their columns are

    trial, bracket, rung, budget, seed, parent, status, error, accuracy, energy_j, energy_source, energy_kind,
    energy_origin, energy_flags, emissions_g, region, g_per_kwh, pue, size_bytes, latency_s, breaks,
    one for each hyperparameter by its name in the configuration,
    train_s, energy_s, duration_s, started_s, ended_s

A report of several runs has a column `run` in front. What is missing is empty, never 0. `status` is `done`,
`running`, or what went wrong (`diverged`, `out-of-memory`, `timeout`, `crashed`, `refused`). `parent` is the
trial of a lower budget that was promoted to this one. Energy and emissions are those of one inference of one
image, emissions at `g_per_kwh` of a `region` times `pue`. How an energy is known stands beside it:
`energy_kind` (measured, estimated, modelled), `energy_origin` (the sensor, stated power or hardware profile
it rests on), `energy_flags` (quality flags, "; " between them). `breaks` lists the constraints that a
finished trial does not keep. `started_s` and `ended_s` count from the journal's first line. Only the columns
that end in `_s` hold times, so the rest of a file is the same, byte for byte, wherever the same trials have
run.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.pareto import USUAL_GOAL, Comparison, broken
from jouleshift.analysis.pick import is_float
from jouleshift.objectives import Goal
from jouleshift.records import UNCOUNTED, CarbonIntensity, Evaluation, Failure, TrialRecord, Value
from jouleshift.report.sentences import energy_stamp
from jouleshift.report.units import objective_unit, percent, short_name, unit_for

if TYPE_CHECKING:
    from rich.console import Group

Cell = int | float | str | None
Row = Mapping[str, Cell]
Column = tuple[str, list[str]]
"""A heading, whose lines may be broken, and the cells below it."""

LEADING = (
    "trial", "bracket", "rung", "budget", "seed", "parent", "status", "error", "accuracy", "energy_j",
    "energy_source", "energy_kind", "energy_origin", "energy_flags", "emissions_g", "region", "g_per_kwh",
    "pue", "size_bytes", "latency_s", "breaks",
)  # fmt: skip
TIMES = ("train_s", "energy_s", "duration_s", "started_s", "ended_s")


def hyperparameters(records: Iterable[TrialRecord]) -> tuple[str, ...]:
    """The names of all hyperparameters, in the order in which configurations have them."""
    return tuple(dict.fromkeys(name for r in records for name in r.trial.config))


def status(record: TrialRecord) -> str:
    """`done`, `running`, or the kind of failure."""
    match record.result:
        case None:
            return "running"
        case Failure(kind=kind):
            return kind
        case _:
            return "done"


def row(
    record: TrialRecord, names: Sequence[str], intensity: CarbonIntensity, goal: Goal = USUAL_GOAL
) -> dict[str, Cell]:
    """One trial as a mapping from column to value, None where there is none."""
    trial, result = record.trial, record.result
    done = result if isinstance(result, Evaluation) else None
    energy_j = done.energy.energy_j if done else None
    return {
        "trial": trial.id,
        "bracket": trial.bracket,
        "rung": trial.rung,
        "budget": trial.budget,
        "seed": trial.seed,
        "parent": trial.parent,
        "status": status(record),
        "error": done.error if done else None,
        "accuracy": done.accuracy if done else None,
        "energy_j": energy_j,
        "energy_source": done.energy.source if done else None,
        "energy_kind": done.energy.kind if done else None,
        "energy_origin": done.energy.origin if done else None,
        "energy_flags": "; ".join(_flags(record)) or None,
        "emissions_g": None if energy_j is None else intensity.emissions_g(energy_j),
        "region": intensity.region,
        "g_per_kwh": intensity.grams_per_kwh,
        "pue": intensity.pue,
        "size_bytes": done.weight_bytes if done else None,
        "latency_s": done.latency_s if done else None,
        "breaks": "; ".join(constraint.text for constraint in broken(record, goal)) or None,
        **{name: trial.config.get(name) for name in names},
        "train_s": done.train_s if done else None,
        "energy_s": done.energy_s if done else None,
        "duration_s": record.duration_s,
        "started_s": record.started_s,
        "ended_s": record.ended_s,
    }


def rows(
    records: Sequence[TrialRecord],
    names: Sequence[str],
    intensity: CarbonIntensity,
    goal: Goal = USUAL_GOAL,
) -> list[Row]:
    """A row for each trial, with the given hyperparameters as columns."""
    return [row(record, names, intensity, goal) for record in records]


def columns(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table with the given hyperparameters, in order."""
    return (*LEADING, *names, *TIMES)


def to_csv(table: Iterable[Row], header: Sequence[str]) -> str:
    """Rows as CSV text; numbers in the shortest form that reads back to the same value."""
    out = io.StringIO()
    writer = csv.DictWriter(out, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def further_objectives(
    known: Sequence[Mapping[str, float]], goal: Goal
) -> list[tuple[tuple[str, str], list[str]]]:
    """What a goal names beside error and energy: (name, unit) and a cell for each of these values."""
    found = []
    for name in goal.needed:
        if name not in ("error", "energy_j"):
            values = [one.get(name) for one in known]
            unit = objective_unit(name, values)
            found.append(((short_name(name), unit.name), [unit.show(value) for value in values]))
    return found


def front_table(view: Digest, intensity: CarbonIntensity, width: int = 80) -> "Group":
    """The front of a run against the default configuration, for a terminal so many characters wide.

    A ★ marks who dominates the default; below, how many do, and where energies and emissions come from. As
    many of the hyperparameters that differ get a column as fit, those of the shift layers first.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    comparison, goal = view.comparison, view.goal
    shown = front_and_default(comparison)
    leading = objective_columns(shown, view, intensity)
    names = _that_fit(shown, width - 2 - sum(_width(heading, cells) for heading, cells in leading))
    chosen = [(n.replace("_", "\n"), setting_cells(n, shown)) for n in names]
    table = Table(box=box.SIMPLE_HEAD)
    for heading, _ in [*leading, *chosen]:
        table.add_column(Text(heading), justify="right", vertical="bottom", overflow="fold")
    for index, record in enumerate(shown):
        cells = [Text(column[index]) for _, column in [*leading, *chosen]]
        table.add_row(*cells, style="bold yellow" if record is comparison.default else None)
    title = Text(f"Front of {view.runs[0].path.name} against the default configuration", "bold")
    below = [_caption(comparison, goal)]
    if any(is_float(record, view.runs[0].config) for record in shown):
        below += ["float: a float32 network, without a shift layer; it cannot be exported as integers."]
    if any(UNCOUNTED in _flags(record) for record in shown):
        left_out = ", ".join(view.runs[0].env.get("uncounted", ["operations"]))
        below += [f"{UNCOUNTED}: energies leave out what has no price, {left_out}."]
    if shown:
        below += [f"{energy_stamp(view)}; emissions at {intensity.in_short}."]
    return Group(title, *([table] if shown else []), *map(Text, below))


def front_columns(shown: Sequence[TrialRecord], view: Digest, intensity: CarbonIntensity) -> list[Column]:
    """Heading and cells of each column that describes these trials: objectives, gains against the default,
    and the hyperparameters that differ."""
    differing = [(n.replace("_", "\n"), setting_cells(n, shown)) for n in varying(shown)]
    return [*objective_columns(shown, view, intensity), *differing]


def objective_columns(shown: Sequence[TrialRecord], view: Digest, intensity: CarbonIntensity) -> list[Column]:
    """Mark, trial, accuracy, energy, share saved, emissions, and what else the goal names."""
    comparison, settings = view.comparison, view.runs[0].config
    unit = unit_for([_energy(r) for r in shown], "J")
    emissions = [None if (e := _energy(r)) is None else intensity.emissions_g(e) for r in shown]
    gram = unit_for(emissions, "g")
    winners = {id(r) for r in comparison.dominating}
    gains = [comparison.gains(r) for r in shown]
    further = further_objectives([r.values for r in shown], view.goal)
    marks = [_mark(r is comparison.default, id(r) in winners, is_float(r, settings)) for r in shown]
    return [
        ("", marks),
        ("trial", [str(r.trial.id) for r in shown]),
        (
            "accuracy",
            [percent(r.result.accuracy if isinstance(r.result, Evaluation) else None) for r in shown],
        ),
        (f"energy\n{unit.name}", [unit.show(_energy(r)) for r in shown]),
        ("saved", [percent(gain[1] if gain else None, 0) for gain in gains]),
        (f"CO₂eq\n{gram.name}", [gram.show(e) for e in emissions]),
        *(("\n".join(heading), cells) for heading, cells in further),
    ]


def _mark(is_default: bool, wins: bool, floats: bool) -> str:
    """What is particular of a trial: "★ float"."""
    words = ("default" if is_default else "★" if wins else "", "float" if floats else "")
    return " ".join(filter(None, words))


def _caption(comparison: Comparison, goal: Goal) -> str:
    size, winners = len(comparison.others), len(comparison.dominating)
    if comparison.default is None:
        return "The default configuration has no result to compare with."
    kept_out = " and ".join(constraint.text for constraint in broken(comparison.default, goal))
    if kept_out:
        beaten = f" {winners} of {size} on the front dominate it." if size else ""
        return f"The default configuration breaks {kept_out}.{beaten}"
    if comparison.front and not size:
        return "The default configuration alone is on the front: nothing dominates it."
    others = " others" if size < len(comparison.front) else ""
    if not winners and size == 1:
        return f"The one{others[:-1]} on the front does not dominate the default configuration."
    if not winners:
        return f"None of the {size}{others} on the front dominates the default configuration."
    return f"★ {winners} of {size} on the front dominate the default configuration."


_FIRST = ("shift", "depth", "bits", "rounding")


def _that_fit(shown: Sequence[TrialRecord], room: int) -> list[str]:
    names = sorted(varying(shown), key=lambda n: not any(word in n for word in _FIRST))
    chosen = []
    for name in names:
        room -= _width(name.replace("_", "\n"), setting_cells(name, shown))
        if room < 0:
            break
        chosen.append(name)
    return chosen


def _width(heading: str, cells: Sequence[str]) -> int:
    return 3 + max(map(len, [*heading.split("\n"), *cells]))


def front_and_default(comparison: Comparison) -> list[TrialRecord]:
    """The front, then the default configuration where it is not on it."""
    default = comparison.default
    apart = [default] if default is not None and default not in comparison.front else []
    return [*comparison.front, *apart]


def varying(records: Sequence[TrialRecord]) -> list[str]:
    """The hyperparameters that do not have the same value in all of these trials."""
    return [n for n in hyperparameters(records) if len({r.trial.config.get(n) for r in records}) > 1]


def setting_cells(name: str, records: Iterable[TrialRecord]) -> list[str]:
    """A hyperparameter's value in each of these trials, for people."""
    return [show_value(record.trial.config.get(name)) for record in records]


def show_value(value: Value | None) -> str:
    """A hyperparameter's value for people: short numbers, an en dash where it does not apply."""
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _flags(record: TrialRecord) -> tuple[str, ...]:
    return record.result.energy.flags if isinstance(record.result, Evaluation) else ()


def _energy(record: TrialRecord) -> float | None:
    return record.result.energy.energy_j if isinstance(record.result, Evaluation) else None
