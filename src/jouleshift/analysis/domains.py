"""Hyperparameters as numbers between 0 and 1, so that equal lengths are equal shares of the search space.

Importance is always importance *over a space*: the same network error varies much over learning rates of five
orders of magnitude and little over two. `Domain` states the range of one hyperparameter and how shares of it
are counted: by length, by length on a log scale, or by levels, each with the same share. A configuration in
which a hyperparameter is inactive (a conditional one whose condition does not hold) has no value there; it is
given random ones, because an inactive hyperparameter has, whatever its value, no effect.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jouleshift.errors import BadInput
from jouleshift.records import Run, TrialRecord, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

FloatArray = NDArray[np.float64]

LOG_SPAN = 20.0
"""Positive numbers whose largest is so many times the smallest are looked at in logarithms."""


@dataclass(frozen=True)
class Domain:
    """The range of one hyperparameter: `levels` of equal share, or numbers from `low` to `high`."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    levels: tuple[Value, ...] = ()

    @property
    def is_single(self) -> bool:
        """Whether there is only one value, so nothing can vary with it."""
        return len(self.levels) == 1 if self.levels else not self.high > self.low

    @property
    def is_named(self) -> bool:
        """Whether other tools see a choice among names: there is only one value, or some are words."""
        return self.is_single or any(isinstance(level, str) for level in self.levels)

    def covers(self, value: Value | None) -> bool:
        """Whether a value, or the lack of one, has a place in this domain."""
        if value is None:
            return True
        if self.levels:
            return value in self.levels
        return isinstance(value, int | float) and self.low <= value <= self.high

    def encode(self, values: Sequence[Value | None], rng: np.random.Generator) -> FloatArray:
        """Values as shares of the domain, in 0 … 1; None becomes a random one, an unknown level KeyError."""
        places = rng.random(len(values))
        if self.levels:
            places = (np.floor(places * len(self.levels)) + 0.5) / len(self.levels)
            at = {level: (i + 0.5) / len(self.levels) for i, level in enumerate(self.levels)}
            return np.array([place if v is None else at[v] for place, v in zip(places, values, strict=True)])
        low, high = self._scaled(self.low), self._scaled(self.high)
        pairs = zip(places, values, strict=True)
        return np.array(
            [place if v is None else (self._scaled(float(v)) - low) / (high - low) for place, v in pairs]
        )

    def decode(self, places: FloatArray) -> list[Value]:
        """The values at shares of the domain, the inverse of `encode`."""
        if self.levels:
            size = len(self.levels)
            return [self.levels[min(int(place * size), size - 1)] for place in places]
        low, high = self._scaled(self.low), self._scaled(self.high)
        plain = low + places * (high - low)
        return [float(v) for v in (np.exp(plain) if self.log else plain)]

    def grid(self, most: int = 41) -> FloatArray:
        """Places at which to draw a curve: every level, or so many points from end to end."""
        if self.levels and len(self.levels) <= most:
            return (np.arange(len(self.levels)) + 0.5) / len(self.levels)
        return np.linspace(0, 1, most)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


def domains_of_space(space: "ConfigurationSpace") -> tuple[Domain, ...]:
    """The domains of a ConfigSpace, in its order. Whole numbers count as levels unless on a log scale."""
    return tuple(_domain_of(hyperparameter) for hyperparameter in space.values())


def _domain_of(hyperparameter: object) -> Domain:
    from ConfigSpace.hyperparameters import (
        CategoricalHyperparameter,
        Constant,
        OrdinalHyperparameter,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    match hyperparameter:
        case CategoricalHyperparameter():
            return Domain(hyperparameter.name, levels=tuple(hyperparameter.choices))
        case OrdinalHyperparameter():
            return Domain(hyperparameter.name, levels=tuple(hyperparameter.sequence))
        case Constant():
            return Domain(hyperparameter.name, levels=(hyperparameter.value,))
        case UniformIntegerHyperparameter(log=False):
            levels = tuple(range(int(hyperparameter.lower), int(hyperparameter.upper) + 1))
            return Domain(hyperparameter.name, levels=levels)
        case UniformIntegerHyperparameter():
            low, high = float(hyperparameter.lower), float(hyperparameter.upper)
            return Domain(hyperparameter.name, low - 0.5, high + 0.5, log=True)
        case UniformFloatHyperparameter():
            low, high = float(hyperparameter.lower), float(hyperparameter.upper)
            return Domain(hyperparameter.name, low, high, log=bool(hyperparameter.log))
    raise TypeError(f"no domain for {hyperparameter!r}")


def domains_of_runs(runs: Sequence[Run]) -> tuple[Domain, ...]:
    """The domains of the space that all these runs searched; where they do not tell it, what their trials
    suggest.

    A run tells its space by `space` in its configuration and `max_depth`, the convertible layers of its
    network, in its environment.
    """
    records = [record for run in runs for record in run.trials]
    spaces = {_searched_space(run) for run in runs}
    known = spaces.pop() if len(spaces) == 1 else None
    covered = known and all(d.covers(r.trial.config.get(d.name)) for d in known for r in records)
    return known if known and covered else domains_of_trials(records)


def _searched_space(run: Run) -> tuple[Domain, ...] | None:
    from jouleshift.space import build_space

    depth, overrides = run.env.get("max_depth"), run.config.get("space")
    if not isinstance(depth, int) or not isinstance(overrides, dict):
        return None
    try:
        return domains_of_space(build_space(depth, overrides))
    except BadInput:  # a space of another version
        return None


def domains_of_trials(records: Sequence[TrialRecord]) -> tuple[Domain, ...]:
    """The domains that these configurations suggest, where the space itself is not at hand.

    Whole numbers count as levels from the smallest to the largest seen, other numbers range between them: on
    a log scale if they are positive, span a factor of 20, and lie more evenly there. Anything else is a
    level.
    """
    found: dict[str, list[Value]] = {}
    for record in records:
        for name, value in record.trial.config.items():
            found.setdefault(name, []).append(value)
    return tuple(_suggested(name, values) for name, values in found.items())


def _suggested(name: str, values: Sequence[Value]) -> Domain:
    if all(isinstance(v, int) for v in values):
        numbers = [int(v) for v in values]
        return Domain(name, levels=tuple(range(min(numbers), max(numbers) + 1)))
    if not all(isinstance(v, int | float) for v in values):
        return Domain(name, levels=tuple(sorted(set(values), key=str)))
    array = np.array(values, dtype=float)
    low, high = float(array.min()), float(array.max())
    log = low > 0 and high >= LOG_SPAN * low and _off_centre(np.log(array)) < _off_centre(array)
    return Domain(name, low, high, log=log)


def _off_centre(values: FloatArray) -> float:
    low, high = values.min(), values.max()
    return abs(float((np.median(values) - low) / (high - low)) - 0.5)
