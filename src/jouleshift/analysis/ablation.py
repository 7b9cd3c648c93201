"""Which changes turn the default configuration into a better one.

Two configurations differ in many hyperparameters, of which few matter. An *ablation path* goes from one to
the other, changing one hyperparameter at a time, each time the one that helps most (Fawcett and Hoos,
2016). Training every step anew would cost as much as a search, so the steps are predicted by forests on
all results of the runs, with the budget as a further input (Biedenkapp et al., AAAI 2017): one for the
error and one for the energy, since a forest on both would cut along what the less noisy one depends on and
hardly see the other's causes. Only the two ends were measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jouleshift.analysis.domains import Domain, domains_of_runs
from jouleshift.analysis.fanova import grow
from jouleshift.analysis.importance import FEWEST, MOST
from jouleshift.analysis.pareto import full_budget, objectives, points_of
from jouleshift.analysis.thinning import evenly
from jouleshift.records import Run, Value

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One change on the path and what the forest predicts after it."""

    name: str
    old: Value | None
    new: Value | None
    error: float
    energy_j: float


@dataclass(frozen=True)
class Predictor:
    """Forests on (configuration, budget) → error and → energy, asked at the full budget."""

    domains: tuple[Domain, ...]
    forests: tuple[Sequence[Any], ...]
    """The trees for the error and those for the energy, both scaled to 0 … 1."""
    low: FloatArray
    span: FloatArray
    budget_place: float

    def __call__(self, configs: Sequence[Mapping[str, Value]]) -> FloatArray:
        """Predicted error and energy in joules of configurations, (n, 2)."""
        x = _encode(configs, self.domains, np.full(len(configs), self.budget_place)).astype(np.float32)
        scaled = [np.mean([tree.predict(x).ravel() for tree in trees], axis=0) for trees in self.forests]
        return self.low + self.span * np.column_stack(scaled)


def predictor_of(runs: Sequence[Run], trees: int = 32, seed: int = 0) -> Predictor | None:
    """Forests on all finished trials of these runs, for configurations from any of their trials.

    None where too few have finished.
    """
    records = evenly([r for run in runs for r in run.trials if objectives(r) is not None], MOST)
    if len(records) < FEWEST:
        return None
    domains = tuple(d for d in domains_of_runs(runs) if not d.is_single)
    full = max(full_budget(run) for run in runs)
    budgets = np.log([r.trial.budget for r in records])
    places = budgets / np.log(full) if full > 1 else 0 * budgets
    y = points_of(records)
    low, span = y.min(axis=0), np.ptp(y, axis=0)
    x = _encode([r.trial.config for r in records], domains, places)
    scaled = (y - low) / np.where(span > 0, span, 1.0)
    forests = tuple(grow(x, column, trees, seed) for column in scaled.T)
    return Predictor(domains, forests, low, span, 1.0 if full > 1 else 0.0)


def _encode(
    configs: Sequence[Mapping[str, Value]], domains: Sequence[Domain], places: FloatArray
) -> FloatArray:
    rng = np.random.default_rng(0)
    return np.column_stack([*(d.encode([c.get(d.name) for c in configs], rng) for d in domains), places])


def ablation_path(
    predict: Predictor,
    source: Mapping[str, Value],
    target: Mapping[str, Value],
    weights: tuple[float, float] = (0.5, 0.5),
) -> tuple[Step, ...]:
    """The path from `source` to `target` that lowers weights · (error, energy), both scaled to 0 … 1,
    greedily."""
    current = dict(source)
    left = [n for n in dict.fromkeys([*source, *target]) if source.get(n) != target.get(n)]
    scale = np.asarray(weights) / np.where(predict.span > 0, predict.span, 1.0)
    steps = []
    while left:
        tried = [_changed(current, target, name) for name in left]
        predicted = predict(tried)
        best = int(np.argmin(predicted @ scale))
        name = left.pop(best)
        error, energy_j = predicted[best]
        steps.append(Step(name, current.get(name), target.get(name), float(error), float(energy_j)))
        current = tried[best]
    return tuple(steps)


def _changed(config: Mapping[str, Value], target: Mapping[str, Value], name: str) -> dict[str, Value]:
    rest = {key: value for key, value in config.items() if key != name}
    return {**rest, name: target[name]} if name in target else rest
