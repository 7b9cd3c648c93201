"""Which hyperparameters matter for error, for energy, and for any mix of the two.

The finished trials of one budget grow forests on configuration → objective, whose variance `fanova` splits:
main effects and interactions of pairs with their spread over the trees, and marginal curves. Error and
energy have a forest each; a third one on both, scaled to 0 … 1, answers for every weighting w·error + (1 −
w)·energy. The weightings of the front's own members are those of DeepCAVE: a member's scaled objectives
divided by their sum.

Which budget? At the lowest one the configurations are spread over the whole space; at the full one only
those are left that a search has promoted, so what ruins a network is hardly seen any more and importance
there is that *among good networks*. Without a choice, the budget with the most results is taken, and it is
named.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from jouleshift.analysis.domains import Domain, domains_of_runs
from jouleshift.analysis.fanova import Decomposition, boxes_of, decompose, grow
from jouleshift.analysis.pareto import non_dominated, objectives, points_of
from jouleshift.records import Run, TrialRecord, Value

FloatArray = NDArray[np.float64]

FEWEST = 12
"""Finished trials below which a forest says nothing worth showing."""

MOST = 2000
"""Trials that a forest is grown on at most, taken evenly from more."""


@dataclass(frozen=True)
class Effect:
    """A share of the variance: mean and standard deviation over the trees."""

    names: tuple[str, ...]
    """One hyperparameter, or the two of an interaction."""
    mean: float
    sd: float


@dataclass(frozen=True)
class Curve:
    """The mean objective over the space as one hyperparameter takes each value; all shaped (k,)."""

    name: str
    values: tuple[Value, ...]
    mean: FloatArray
    sd: FloatArray


@dataclass(frozen=True)
class Importance:
    """What a forest knows of d hyperparameters and m objectives."""

    domains: tuple[Domain, ...]
    trees: tuple[Decomposition, ...]
    low: FloatArray
    """Smallest value of each objective, (m,)."""
    span: FloatArray
    """Largest less smallest value of each objective, (m,)."""

    def main_effects(self, weights: Sequence[float]) -> tuple[Effect, ...]:
        """The share of each hyperparameter alone in the variance of the weighted objectives."""
        return self._effects(self._main, [(d.name,) for d in self.domains], weights)

    def pair_effects(self, weights: Sequence[float]) -> tuple[Effect, ...]:
        """The share of each pair beyond its two main effects."""
        names = [(a.name, b.name) for a, b in combinations(self.domains, 2)]
        return self._effects(self._pairs, names, weights)

    def over_weights(self, steps: int = 21) -> tuple[FloatArray, FloatArray]:
        """Weights on the error from 0 to 1, (steps,), and the main effects there, (steps, d)."""
        grid = np.linspace(0, 1, steps)
        effects = [[e.mean for e in self.main_effects((w, 1 - w))] for w in grid]
        return grid, np.array(effects).reshape(steps, len(self.domains))

    def curve(self, name: str, objective: int) -> Curve:
        """The marginal of a hyperparameter, in the objective's unit. Raises ValueError for no such name."""
        axis = [d.name for d in self.domains].index(name)
        places = self.domains[axis].grid()
        drawn = np.stack([tree.marginals[axis](places)[:, objective] for tree in self.trees])
        plain = self.low[objective] + self.span[objective] * drawn
        values = tuple(self.domains[axis].decode(places))
        return Curve(name, values, plain.mean(axis=0), plain.std(axis=0))

    @cached_property
    def _total(self) -> FloatArray:
        return np.stack([tree.total for tree in self.trees])

    @cached_property
    def _main(self) -> FloatArray:
        return np.stack([tree.main for tree in self.trees], axis=1)

    @cached_property
    def _pairs(self) -> FloatArray:
        return np.stack([tree.pairs for tree in self.trees], axis=1)

    def _effects(
        self, parts: FloatArray, names: Sequence[tuple[str, ...]], weights: Sequence[float]
    ) -> tuple[Effect, ...]:
        """Shares wᵀCw of parts (k, trees, m, m) in wᵀTw; trees that are constant under w do not count."""
        w = np.asarray(weights, dtype=float)
        total = self._total @ w @ w
        varies = total > 1e-14
        if not varies.any():
            return tuple(Effect(name, 0.0, 0.0) for name in names)
        shares = np.maximum(parts[:, varies] @ w @ w, 0.0) / total[varies]
        return tuple(
            Effect(name, float(share.mean()), float(share.std()))
            for name, share in zip(names, shares, strict=True)
        )


@dataclass(frozen=True)
class RunImportance:
    """Importance for error, for energy, and for weightings (error first), from results at one budget."""

    error: Importance
    energy: Importance
    joint: Importance
    budget: int
    trials: int
    front_weights: tuple[float, ...]
    """The weight on the error at each member of that budget's front."""


def importance_of(
    runs: Sequence[Run],
    budget: int | None = None,
    domains: Sequence[Domain] | None = None,
    trees: int = 64,
    seed: int = 0,
) -> RunImportance | None:
    """The importance of hyperparameters in these runs, or None below 12 finished trials at the budget.

    `budget` is in epochs, by default the one with the most results. `domains` states the space, by default
    the one that the runs searched. Hyperparameters with one value only are left out. The same runs and seed
    give the same result.
    """
    finished = [r for run in runs for r in run.trials if objectives(r) is not None]
    if budget is None:
        counts = Counter(r.trial.budget for r in finished)
        budget = max(counts, key=lambda b: (counts[b], b), default=0)
    records = evenly([r for r in finished if r.trial.budget == budget])
    chosen = [d for d in domains or domains_of_runs(runs) if not d.is_single]
    if len(records) < FEWEST or not chosen:
        return None
    rng = np.random.default_rng(seed)
    x = np.column_stack([d.encode([r.trial.config.get(d.name) for r in records], rng) for d in chosen])
    y = points_of(records)
    error, energy, joint = (
        importance_of_arrays(x, part, chosen, trees, seed) for part in (y[:, :1], y[:, 1:], y)
    )
    return RunImportance(error, energy, joint, budget, len(records), _weights(y[non_dominated(y)], joint))


def importance_of_arrays(
    x: FloatArray, y: FloatArray, domains: Sequence[Domain], trees: int = 64, seed: int = 0
) -> Importance:
    """The importance of d domains from encoded places (n, d) and m objectives (n, m)."""
    low, high = y.min(axis=0), y.max(axis=0)
    span = high - low
    levels = np.array([len(d.levels) for d in domains])
    grown = grow(x, (y - low) / np.where(span > 0, span, 1.0), trees, seed)
    return Importance(tuple(domains), tuple(decompose(boxes_of(tree, levels)) for tree in grown), low, span)


def evenly(records: list[TrialRecord]) -> list[TrialRecord]:
    """At most MOST of the trials, evenly from first to last."""
    if len(records) <= MOST:
        return records
    return [records[i] for i in np.linspace(0, len(records) - 1, MOST).astype(int)]


def _weights(points: FloatArray, made: Importance) -> tuple[float, ...]:
    scaled = (points - made.low) / np.where(made.span > 0, made.span, 1.0)
    total = scaled.sum(axis=1)
    return tuple(float(s[0] / t) if t > 0 else 0.5 for s, t in zip(scaled, total, strict=True))
