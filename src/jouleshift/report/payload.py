"""The data that the page's script draws from: columns of numbers, as small as they can be.

A run may have ten thousand trials, so nothing is repeated per trial: a column per quantity, categories as
codes into their list of levels, numbers with as many digits as a screen can show.
"""

from collections.abc import Sequence
from typing import Any

from jouleshift.analysis.digest import Digest, Point, Role
from jouleshift.analysis.pareto import front, objectives, points_of
from jouleshift.records import CarbonIntensity, Value
from jouleshift.report.figures import energy_unit, wants_log
from jouleshift.report.sentences import landmarks
from jouleshift.report.tables import hyperparameters
from jouleshift.report.units import unit_for

ROLES: tuple[Role, ...] = ("front", "default", "rejected", "lower")


def payload(view: Digest, intensity: CarbonIntensity) -> dict[str, Any]:
    """Everything interactive on the page, as plain JSON values. Trials without a result are left out."""
    shown = [p for p in view.of(*ROLES) if objectives(p.record) is not None]
    records = [p.record for p in shown]
    values = points_of(records)
    unit = energy_unit(view)
    gram = unit_for([intensity.emissions_g(e) for e in values[:, 1]], "g")
    return {
        "unit": unit.name,
        "gram": gram.name,
        "log": wants_log(values[:, 1]),
        "runs": [_run_label(view, index) for index in range(len(view.runs))],
        "pick": _first_pick(view, shown),
        "run": [p.run for p in shown],
        "trial": [r.trial.id for r in records],
        "role": [ROLES.index(p.role) for p in shown],
        "budget": [r.trial.budget for r in records],
        "error": [_digits(100 * e, 5) for e in values[:, 0]],
        "energy": [_digits(j / unit.scale, 6) for j in values[:, 1]],
        "emissions": [_digits(intensity.emissions_g(j) / gram.scale, 4) for j in values[:, 1]],
        "config": [_column(name, shown) for name in hyperparameters(records)],
        "front": _staircase(points_of(view.comparison.front), unit.scale),
        "fronts": [_staircase(points_of(front(run)), unit.scale) for run in view.runs if len(view.runs) > 1],
    }


def _first_pick(view: Digest, shown: Sequence[Point]) -> int | None:
    """The network shown first: the one that beats the default by most, or else the knee of the front."""
    chosen = view.comparison.both or landmarks(view).get("knee")
    return next((index for index, p in enumerate(shown) if p.record is chosen), None)


def _run_label(view: Digest, index: int) -> str:
    return view.runs[index].path.name


def _column(name: str, points: Sequence[Point]) -> dict[str, Any]:
    """One hyperparameter: numbers, or codes into sorted levels; null where a trial lacks it."""
    values = [p.record.trial.config.get(name) for p in points]
    present = [v for v in values if v is not None]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in present):
        return {"name": name, "values": [_number(v) for v in values]}
    levels = sorted({str(v) for v in present})
    codes = {level: code for code, level in enumerate(levels)}
    return {"name": name, "levels": levels, "values": [None if v is None else codes[str(v)] for v in values]}


def _number(value: Value | None) -> int | float | None:
    if value is None or isinstance(value, str):
        return None
    return value if isinstance(value, int) else _digits(value, 4)


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _staircase(points: Any, scale: float) -> list[list[float]]:
    ordered = sorted((float(j), float(e)) for e, j in points)
    return [[_digits(j / scale, 6), _digits(100 * e, 5)] for j, e in ordered]
