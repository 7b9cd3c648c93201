"""Two runs side by side: their fronts and hypervolumes, as rows, a picture, and a terminal's table.

Hypervolumes are shares of one box for both runs, error ≤ 1 and the other objectives ≤ the largest of any
result of either, so they can be compared; energies of different sources or hardware profiles, and errors on
different classes, cannot, and are refused. Which other settings differ is told. Which run is better at what
is said by *coverage*: the share of one front that a member of the other dominates or equals (Zitzler and
Thiele 1998). Two runs are two samples: a difference between them may be one of seeds alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleshift.analysis.digest import Digest, differing, digest, names_of
from jouleshift.analysis.pareto import (
    FloatArray,
    energy_source,
    front_or_reason,
    goal_of,
    hypervolume_share,
    knee,
    points_of,
    reference_point,
)
from jouleshift.errors import BadInput
from jouleshift.records import CarbonIntensity, Run, TrialRecord
from jouleshift.report.canvas import DEFAULT, FRONT, legend, literal, picture, scale_energy, staircase, to_png
from jouleshift.report.export import write_files
from jouleshift.report.sentences import differences_in_words, energy_stamp
from jouleshift.report.tables import columns, hyperparameters, row, to_csv
from jouleshift.report.units import listed, percent, quantity, unit_for

if TYPE_CHECKING:
    from rich.console import Group

COLORS = (FRONT, DEFAULT)


@dataclass(frozen=True)
class Side:
    """One of the two runs. `hypervolume` and `covered` are shares in 0 … 1."""

    name: str
    run: Run
    view: Digest
    front: tuple[TrialRecord, ...]
    hypervolume: float
    covered: float
    """Of this front, how much the other run's dominates or equals."""

    @property
    def points(self) -> FloatArray:
        return points_of(self.front)

    @property
    def epochs(self) -> int:
        return round(sum(result.epoch_equivalents for result in self.view.results))


def side_by_side(runs: Sequence[Run]) -> tuple[Side, Side]:
    """Two runs compared. Raises BadInput where their numbers mean different things, and for a run without a
    front."""
    one, two = runs
    _refuse_unlike(one, two)
    fronts = [front_or_reason(run) for run in runs]
    reference = reference_point(runs)
    assert reference is not None
    points = [points_of(members, goal_of(runs)) for members in fronts]
    volumes = [hypervolume_share(p, reference) for p in points]
    names = names_of(runs)
    return (
        Side(names[0], one, digest([one]), fronts[0], volumes[0], _covered(points[0], points[1])),
        Side(names[1], two, digest([two]), fronts[1], volumes[1], _covered(points[1], points[0])),
    )


def _refuse_unlike(one: Run, two: Run) -> None:
    """Raise BadInput where the joules or the errors of two runs are not of one kind."""
    source = energy_source([*one.trials, *two.trials])
    different = differing([one, two])
    if source == "modelled" and "profile" in different:
        first, second = different["profile"]
        raise BadInput(
            f"energies on profiles {first} and {second} cannot be compared ({one.path}, {two.path})"
        )
    classes = [run.env.get("classes") for run in (one, two)]
    if all(classes) and classes[0] != classes[1]:
        raise BadInput(f"errors on different classes cannot be compared ({one.path}, {two.path})")


def _covered(points: FloatArray, by: FloatArray) -> float:
    """The share of rows of `points` that are nowhere better than some row of `by`."""
    return float(np.mean([(by <= point).all(axis=1).any() for point in points]))


def write_comparison(sides: tuple[Side, Side], intensity: CarbonIntensity, out: Path) -> None:
    """compare.csv with both fronts and compare.png, into a directory."""
    write_files(
        out,
        {
            "compare.csv": fronts_csv(sides, intensity).encode(errors="replace"),
            "compare.png": fronts_png(sides),
        },
    )


def fronts_csv(sides: tuple[Side, Side], intensity: CarbonIntensity) -> str:
    """A row for each network of either front, and the hypervolume of its run."""
    names = hyperparameters([record for side in sides for record in side.front])
    table = [
        {"run": side.name, "hypervolume": side.hypervolume, **row(record, names, intensity)}
        for side in sides
        for record in side.front
    ]
    return to_csv(table, ("run", "hypervolume", *columns(names)))


def fronts_png(sides: tuple[Side, Side]) -> bytes:
    """Both fronts in one picture, each default configuration as a star."""
    unit = unit_for([j for side in sides for j in side.points[:, 1]], "J")
    figure, axes = picture(_title(sides), f"energy per image ({unit.name})", "validation error (%)",
                           _stamp(sides))  # fmt: skip
    for side, color in zip(sides, COLORS, strict=True):
        points = side.points
        label = f"{side.name} ({len(points)}), hypervolume {side.hypervolume:.3f}"
        staircase(axes, points, unit, color=color, linewidth=1.6)
        axes.scatter(points[:, 1] / unit.scale, 100 * points[:, 0], color=color, s=46, edgecolor="white",
                     zorder=4, label=literal(label))  # fmt: skip
        if side.view.comparison.default is not None:
            ((error, energy_j),) = points_of([side.view.comparison.default])
            axes.scatter([energy_j / unit.scale], [100 * error], color=color, s=190, marker="*",
                         edgecolor="white", zorder=5)  # fmt: skip
    scale_energy(axes, np.concatenate([side.points[:, 1] for side in sides]))
    legend(axes)
    return to_png(figure)


def _title(sides: tuple[Side, Side], most: int = 3) -> str:
    names = list(differing([side.run for side in sides]))
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return f"Two runs that differ in {listed(names[:most] + more)}" if names else "Two runs, same settings"


def _stamp(sides: tuple[Side, Side]) -> str:
    """Where the energies come from, for each run where that differs."""
    one, two = (energy_stamp(side.view) for side in sides)
    return one if one == two else f"{sides[0].name}: {one}; {sides[1].name}: {two}"


def comparison_table(sides: tuple[Side, Side]) -> "Group":
    """Both runs as two columns; below, which is ahead, where the energies come from, and which settings
    differ."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", *(side.name for side in sides)):
        table.add_column(Text(heading), justify="right" if heading else "left", overflow="fold")
    facts = [_facts(side) for side in sides]
    for name in facts[0]:
        table.add_row(Text(name), *(Text(found[name]) for found in facts))
    different = differences_in_words([side.run for side in sides])
    heading = "settings that differ:" if different else "The runs have the same settings."
    words = (comparison_in_words(sides), _stamp(sides), heading, *(f"  {line}" for line in different))
    return Group(table, *map(Text, words))


def _facts(side: Side) -> dict[str, str]:
    points = side.points
    middle = points[knee(points_of(side.front, side.view.goal))]
    default = side.view.comparison.default
    best, least = points[points[:, 0].argmin()], points[points[:, 1].argmin()]
    return {
        "trials": str(len(side.run.trials)),
        "epochs trained": str(side.epochs),
        "networks on the front": str(len(points)),
        "hypervolume": f"{side.hypervolume:.3f}",
        "most accurate": _point(best),
        "knee": _point(middle),
        "most frugal": _point(least),
        "default": "–" if default is None else _point(points_of([default])[0]),
        "dominate their default": str(len(side.view.comparison.dominating)),
        "covered by the other front": percent(side.covered, 0),
    }


def _point(point: Any) -> str:
    return f"{percent(1 - float(point[0]))} at {quantity(float(point[1]), 'J')}"


def comparison_in_words(sides: tuple[Side, Side]) -> str:
    """Which front has the larger hypervolume, and whether one is better everywhere.

    Coverage decides the second: fronts on the edge of the box have the same hypervolume, zero, and one may
    well dominate the other.
    """
    one, two = sorted(sides, key=lambda side: (-side.hypervolume, side.covered))
    text = f"{one.name} has the larger hypervolume, {one.hypervolume:.3f} against {two.hypervolume:.3f}."
    if one.hypervolume == two.hypervolume:
        text = f"Both fronts have the same hypervolume, {one.hypervolume:.3f}."
    if one.covered == two.covered == 1.0:
        return f"{text} They are the same."
    if two.covered == 1.0:
        return f"{text} The front of {one.name} dominates or equals all of the other one."
    return f"{text} Neither front is better everywhere."
