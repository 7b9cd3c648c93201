"""The data that the page's script draws from: columns of numbers, as small as they can be.

A run may have ten thousand trials, so nothing is repeated per trial: a column per quantity, categories as
codes into their list of levels, numbers with as many digits as a screen can show. Emissions are energies
times one factor, `grams`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jouleshift.analysis.attainment import Attainment
from jouleshift.analysis.digest import Digest, Point, Role
from jouleshift.analysis.pareto import FloatArray, objectives, points_of
from jouleshift.analysis.thinning import evenly
from jouleshift.records import CarbonIntensity, EnergyReading, Evaluation, Value
from jouleshift.report.canvas import wants_log
from jouleshift.report.figures import energy_unit
from jouleshift.report.insight import Insight
from jouleshift.report.markup import plain
from jouleshift.report.sentences import landmarks
from jouleshift.report.tables import hyperparameters, show_value
from jouleshift.report.units import Unit, unit_for

ROLES: tuple[Role, ...] = ("front", "default", "rejected", "lower", "infeasible")


def payload(
    view: Digest, intensity: CarbonIntensity, found: Insight, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything interactive on the page, as plain JSON values. Trials without a result are left out.

    `figures` go in as they are.
    """
    shown = [p for p in view.of(*ROLES) if objectives(p.record) is not None]
    records = [p.record for p in shown]
    values = points_of(records)
    unit = energy_unit(view)
    gram = unit_for([intensity.emissions_g(e) for e in values[:, 1]], "g")
    return {
        "unit": unit.name,
        "gram": gram.name,
        "log": wants_log(values[:, 1]),
        "runs": list(view.names),
        "pick": _first_pick(view, shown),
        "run": [p.run for p in shown],
        "trial": [r.trial.id for r in records],
        "role": [ROLES.index(p.role) for p in shown],
        "budget": [r.trial.budget for r in records],
        "error": [_digits(100 * e, 5) for e in values[:, 0]],
        "energy": [_digits(j / unit.scale, 6) for j in values[:, 1]],
        "grams": _digits(intensity.emissions_g(unit.scale) / gram.scale, 6),
        "config": [_column(name, shown) for name in hyperparameters(records)],
        "front": _staircase(points_of(view.comparison.front), unit.scale),
        "surfaces": found.attainment and _surfaces(found.attainment, unit.scale),
        "paths": _paths(view, found, shown, unit),
        "layers": _layers(shown, unit),
        "figures": figures,
    }


def _first_pick(view: Digest, shown: Sequence[Point]) -> int | None:
    """The network shown first: the one that beats the default by most, or else the knee of the front."""
    chosen = view.comparison.both or landmarks(view).get("knee")
    return next((index for index, p in enumerate(shown) if p.record is chosen), None)


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


def _paths(view: Digest, found: Insight, shown: Sequence[Point], unit: Unit) -> dict[int, list[list[str]]]:
    """Ablation paths by the position of their end among the points shown."""
    position = {id(p.record): index for index, p in enumerate(shown)}
    members = view.front
    return {
        position[id(members[place].record)]: [
            [
                s.name,
                show_value(s.old),
                show_value(s.new),
                f"{100 * s.error:.1f}",
                unit.show(s.energy_j),
            ]
            for s in steps
        ]
        for place, steps in found.paths.items()
    }


MOST_CELLS = 12_000
"""Numbers by layer and cause in the page, a hundred kilobytes; layers.csv has all."""


def _layers(shown: Sequence[Point], unit: Unit, most: int = 40) -> dict[int, dict[str, Any]]:
    """Energy by layer and cause of the front and the default, by position among the points shown.

    Of a long front, or of long networks, evenly some from the most accurate to the most frugal.
    """
    known = [
        (index, point.record.result)
        for index, point in enumerate(shown)
        if point.role in ("front", "default") and isinstance(point.record.result, Evaluation)
        and point.record.result.energy.layers
    ]  # fmt: skip
    known.sort(key=lambda entry: (shown[entry[0]].role == "front", entry[1].error))
    size = max((len(r.energy.layers) * len(_causes(r.energy)) for _, r in known), default=1)
    chosen = evenly(known, max(1, min(most, MOST_CELLS // size)))
    return {index: _by_layer(result.energy, unit) for index, result in chosen}


def _by_layer(energy: EnergyReading, unit: Unit) -> dict[str, Any]:
    """Layers, and for each cause a number for each of them."""
    return {
        "names": [plain(name) for name in energy.layers],
        "causes": {
            plain(cause).replace("_", " "): [
                _digits(layer.get(cause, 0.0) / unit.scale, 4) for layer in energy.layers.values()
            ]
            for cause in _causes(energy)
        },
    }


def _causes(energy: EnergyReading) -> list[str]:
    """All that a network spends energy on, in the order of the figure of causes."""
    inside = (cause for layer in energy.layers.values() for cause in layer)
    return list(dict.fromkeys([*energy.components, *inside]))


def _surfaces(found: Attainment, scale: float) -> dict[str, list[list[float]]]:
    return {
        "median": _staircase(found.median, scale),
        "optimistic": _staircase(found.optimistic, scale),
        "pessimistic": _staircase(found.pessimistic, scale),
    }


def _staircase(points: FloatArray, scale: float) -> list[list[float]]:
    ordered = sorted((float(j), float(e)) for e, j in points)
    return [[_digits(j / scale, 6), _digits(100 * e, 5)] for j, e in ordered]
