"""Which hyperparameters matter for error, for energy, and for any mix of the two.

The finished trials of one budget grow forests on configuration → objective, whose variance `fanova` splits:
main effects and interactions of pairs with their spread over the trees, and marginal curves. Error and
energy have a forest each, and so has each of nine weights w between them, grown on w·error + (1 − w)·energy
with both scaled to 0 … 1, as in MO-fANOVA (Theodorakopoulos, Stahl and Lindauer 2024). All have the same
seed; w = 1 is the error's own forest and w = 0 the energy's. One forest on both would be cheaper, but the
less noisy objective would take its cuts (see `fanova`). The weightings of the front's own members are those
of DeepCAVE: a member's scaled objectives divided by their sum.

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
from jouleshift.analysis.thinning import evenly
from jouleshift.records import Run, Value

FloatArray = NDArray[np.float64]

FEWEST = 12
"""Finished trials below which a forest says nothing worth showing."""

MOST = 2000
"""Trials that a forest is grown on at most, taken evenly from more."""

WEIGHTS = tuple(step / 10 for step in range(11))
"""Weights on the error for which importance is shown, each with a forest of its own."""


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
    """What a forest knows of d hyperparameters and one objective."""

    domains: tuple[Domain, ...]
    trees: tuple[Decomposition, ...]
    low: float
    """Smallest value of the objective, which the forest knows as 0."""
    span: float
    """Largest less smallest value, which the forest knows as 1."""

    def main_effects(self) -> tuple[Effect, ...]:
        """The share of each hyperparameter alone in the variance."""
        shares = _shares([tree.main for tree in self.trees], self.trees)
        return _effects([(d.name,) for d in self.domains], shares)

    def pair_effects(self) -> tuple[Effect, ...]:
        """The share of each pair beyond its two main effects."""
        names = [(a.name, b.name) for a, b in combinations(self.domains, 2)]
        return _effects(names, _shares([tree.pairs for tree in self.trees], self.trees))

    def curve(self, name: str) -> Curve:
        """The marginal of a hyperparameter, in the objective's unit. Raises ValueError for no such name."""
        axis = [d.name for d in self.domains].index(name)
        places = self.domains[axis].grid()
        drawn = np.stack([tree.marginals[axis](places) for tree in self.trees])
        plain = self.low + self.span * drawn
        values = tuple(self.domains[axis].decode(places))
        return Curve(name, values, plain.mean(axis=0), plain.std(axis=0))


def _shares(parts: Sequence[FloatArray], trees: Sequence[Decomposition]) -> FloatArray:
    """Each tree's parts (k,) as shares of its variance, (trees, k); constant trees do not count."""
    kept = [
        np.maximum(part, 0.0) / tree.total
        for part, tree in zip(parts, trees, strict=True)
        if tree.total > 1e-14
    ]
    return np.stack(kept) if kept else np.zeros((1, len(parts[0])))


def _effects(names: Sequence[tuple[str, ...]], shares: FloatArray) -> tuple[Effect, ...]:
    return tuple(
        Effect(name, float(share.mean()), float(share.std()))
        for name, share in zip(names, shares.T, strict=True)
    )


@dataclass(frozen=True)
class Sample:
    """What forests are grown on: places (n, d) of n trials in d domains, and how."""

    places: FloatArray
    domains: tuple[Domain, ...]
    trees: int = 64
    seed: int = 0

    def importance(self, values: FloatArray, pairs: bool = True) -> Importance:
        """The importance for an objective with these values, (n,); without pairs in half the time."""
        scaled, low, span = _scaled(values)
        levels = np.array([len(d.levels) for d in self.domains])
        grown = grow(self.places, scaled, self.trees, self.seed)
        found = tuple(decompose(boxes_of(tree, levels), pairs) for tree in grown)
        return Importance(self.domains, found, low, span)


def _scaled(values: FloatArray) -> tuple[FloatArray, float, float]:
    """Values as 0 … 1, their smallest, and the largest less the smallest."""
    low, span = float(values.min()), float(np.ptp(values))
    return (values - low) / (span or 1.0), low, span


@dataclass(frozen=True)
class RunImportance:
    """Importance for error, for energy, and for weightings of them, from results at one budget."""

    error: Importance
    energy: Importance
    sample: Sample
    objectives: FloatArray
    """Error and energy of each trial of the sample, (n, 2)."""
    budget: int
    trials: int
    front_weights: tuple[float, ...]
    """The weight on the error at each member of that budget's front."""

    @cached_property
    def over_weights(self) -> tuple[FloatArray, FloatArray]:
        """WEIGHTS, from the energy alone to the error alone, and the main effects there, (11, d).

        Nine forests are grown when it is first asked for; the ends are `energy` and `error`.
        """
        error, energy = (_scaled(column)[0] for column in self.objectives.T)
        between = [self.sample.importance(w * error + (1 - w) * energy, pairs=False) for w in WEIGHTS[1:-1]]
        effects = [[e.mean for e in found.main_effects()] for found in (self.energy, *between, self.error)]
        return np.array(WEIGHTS), np.array(effects)

    @property
    def at_front(self) -> FloatArray:
        """The main effects at the weight of each member of the front, (members, d), between those of the two
        nearest WEIGHTS in a straight line."""
        grid, shares = self.over_weights
        return np.column_stack([np.interp(self.front_weights, grid, column) for column in shares.T])


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
    records = evenly([r for r in finished if r.trial.budget == budget], MOST)
    chosen = [d for d in domains or domains_of_runs(runs) if not d.is_single]
    if len(records) < FEWEST or not chosen:
        return None
    rng = np.random.default_rng(seed)
    x = np.column_stack([d.encode([r.trial.config.get(d.name) for r in records], rng) for d in chosen])
    y = points_of(records)
    sample = Sample(x, tuple(chosen), trees, seed)
    error, energy = sample.importance(y[:, 0]), sample.importance(y[:, 1])
    return RunImportance(error, energy, sample, y, budget, len(records), _front_weights(y))


def _front_weights(points: FloatArray) -> tuple[float, ...]:
    """The weight on the error at each point that none dominates."""
    scaled = np.column_stack([_scaled(column)[0] for column in points.T])[non_dominated(points)]
    total = scaled.sum(axis=1)
    return tuple(float(s[0] / t) if t > 0 else 0.5 for s, t in zip(scaled, total, strict=True))
