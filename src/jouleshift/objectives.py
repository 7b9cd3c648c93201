"""What a search minimises, and limits on it: one vocabulary for commands, records, schedulers and reports.

| objective | what | unit |
| --- | --- | --- |
| `error` | 1 − accuracy on the validation images | a fraction, 0 … 1 |
| `energy_j` | energy of one inference of one image | joules |
| `latency_s` | time of one inference of one image | seconds |
| `size_bytes` | weights as shipped, shift weights packed | bytes |

A `Goal` is at least two of them and any number of constraints. A constraint is written as people say it,
`error <= 10 %`, `accuracy >= 0.9`, `energy <= 2 uJ`, `latency <= 5 ms`, `size <= 64 kB` (1000 bytes; KiB is
1024), and means an upper limit of an objective, minimised or not. A network that breaks one is *infeasible*
and on no front.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from jouleshift.errors import BadInput, nearest

Objective = Literal["error", "energy_j", "latency_s", "size_bytes"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
USUAL: tuple[Objective, ...] = ("error", "energy_j")

_SI = {"": 1.0, "k": 1e3, "M": 1e6, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
_UNITS: Mapping[Objective, Mapping[str, float]] = {
    "error": {"": 1.0, "%": 0.01},
    "energy_j": {f"{prefix}J": scale for prefix, scale in _SI.items()},
    "latency_s": {f"{prefix}s": scale for prefix, scale in _SI.items() if scale <= 1},
    "size_bytes": {"B": 1.0, "kB": 1e3, "MB": 1e6, "KiB": 2.0**10, "MiB": 2.0**20, "bytes": 1.0},
}
_NAMES: Mapping[str, Objective] = {
    "error": "error", "accuracy": "error", "energy": "energy_j", "energy_j": "energy_j",
    "latency": "latency_s", "latency_s": "latency_s", "size": "size_bytes", "size_bytes": "size_bytes",
}  # fmt: skip
_BASE: Mapping[str, str] = {"energy_j": "J", "latency_s": "s", "size_bytes": "B"}
_PATTERN = re.compile(r"\s*([A-Za-z_]+)\s*(<=|>=|≤|≥)\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-zµμ%]*)\s*")


@dataclass(frozen=True)
class Constraint:
    """`objective` ≤ `limit`, in the objective's own unit; `text` is what was written."""

    objective: Objective
    limit: float
    text: str = field(compare=False)

    def met(self, values: Mapping[str, float]) -> bool:
        """Whether a result keeps it; a value that is missing does not."""
        return values.get(self.objective, math.inf) <= self.limit


@dataclass(frozen=True)
class Goal:
    """What a search is for."""

    objectives: tuple[Objective, ...] = USUAL
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Goal":
        """From the settings `objectives` and `constraint`; the usual goal where they are missing."""
        return cls(
            tuple(settings.get("objectives") or USUAL),
            tuple(parse_constraint(text) for text in settings.get("constraint") or ()),
        )

    @property
    def cost(self) -> Objective:
        """The first objective beside the error: what accuracy is set against where two are told."""
        return next(name for name in self.objectives if name != "error")

    @property
    def needed(self) -> tuple[Objective, ...]:
        """The objectives, and then what is constrained and no objective."""
        return tuple(dict.fromkeys((*self.objectives, *(c.objective for c in self.constraints))))

    def point(self, values: Mapping[str, float]) -> tuple[float, ...] | None:
        """The objectives of a result, or None where one of the needed values is missing or not finite."""
        if not all(math.isfinite(values.get(name, math.nan)) for name in self.needed):
            return None
        return tuple(values[name] for name in self.objectives)

    def broken(self, values: Mapping[str, float]) -> tuple[Constraint, ...]:
        """The constraints that a result does not keep."""
        return tuple(c for c in self.constraints if not c.met(values))

    @property
    def limits(self) -> dict[str, float]:
        """The tightest upper limit of each constrained objective."""
        limits: dict[str, float] = {}
        for constraint in self.constraints:
            limits[constraint.objective] = min(constraint.limit, limits.get(constraint.objective, math.inf))
        return limits


def check_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """At least two different objectives. Raises `BadInput` with the nearest name for an unknown one."""
    for name in names:
        if name not in OBJECTIVES:
            raise BadInput(f"objectives: unknown objective {name!r}{nearest(name, OBJECTIVES)}")
    if len(names) < 2 or len(set(names)) != len(names):
        given = " ".join(names) or "none"
        raise BadInput(f"objectives {given}: give at least two different ones of {', '.join(OBJECTIVES)}")
    return tuple(names)


def parse_constraint(text: str, what: str = "constraint") -> Constraint:
    """A constraint from its text; `what` names it in errors.

    Raises `BadInput`: one line that says what is wrong and how to write it.
    """
    try:
        return _parsed(text)
    except ValueError as error:
        raise BadInput(f"{what} {text!r}: {error}") from None


def _parsed(text: str) -> Constraint:
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError('write it like "error <= 0.1" or "size <= 64 kB"')
    name, relation, digits, unit = found.groups()
    objective = _NAMES.get(name)
    if objective is None:
        raise ValueError(f"nothing is called {name!r}{nearest(name, _NAMES)}")
    is_accuracy = name == "accuracy"
    if (relation in (">=", "≥")) != is_accuracy:
        limit, sign = ("a lower", ">=") if is_accuracy else ("an upper", "<=")
        raise ValueError(f"{name} has {limit} limit only ({sign})")
    value = _number(digits) * _scale(objective, unit.replace("μ", "µ") or _BASE.get(name, ""))
    if objective == "error" and not 0 <= value <= 1:
        raise ValueError(f"{name} lies in 0 … 1 (or 0 … 100 %)")
    most = round(1 - value, 12) if is_accuracy else float(f"{value:.12g}")  # 57 % is 0.57, to the last bit
    return Constraint(objective, most, " ".join(text.split()))


def _number(digits: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise ValueError(f"{digits!r} is not a number") from None


def _scale(objective: Objective, unit: str) -> float:
    """What one of `unit` is in the objective's own unit."""
    units = _UNITS[objective]
    if unit and unit not in units:
        raise ValueError(f"unknown unit {unit!r}{nearest(unit, units)}")
    if not unit and objective != "error":
        raise ValueError(f"give a unit, such as {', '.join(list(units)[:3])}")
    return units[unit]


def base_unit(objective: str) -> str:
    """The unit an objective is stored in; "" for the error."""
    return _BASE.get(objective, "")
