"""What a search reaches typically, and how fast: several runs of different seeds as one picture.

A run *attains* a point (error, energy) if some network of its front is at least as good in both. The points
that at least k of R runs attain are bounded by the k-th *attainment surface*: k = 1 is the best of all runs
together, the middle one the median, what to expect of a single run (Grunert da Fonseca, Fonseca and Hall,
2001). The band around the median holds the middle half of the runs.

How fast is the hypervolume of the front found so far against epochs spent, up to one reference point for all
runs. Only results at the full budget count, but all epochs do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jouleshift.analysis.pareto import (
    broken,
    complete,
    front,
    full_budget,
    goal_of,
    hypervolume_share,
    point,
    points_of,
)
from jouleshift.records import Evaluation, Run

FloatArray = NDArray[np.float64]


def attainment_surface(fronts: Sequence[FloatArray], attained: int) -> FloatArray:
    """The corners (k, 2) of the region that at least `attained` of the fronts attain, by rising second
    objective.

    Fronts are arrays (n, 2) of objectives to minimise, possibly empty. Empty where too few fronts reach
    anything.
    """
    if not 1 <= attained <= len(fronts):
        raise ValueError(f"attained must be in 1 … {len(fronts)}, not {attained}")
    places = np.unique(np.concatenate([f[:, 1] for f in fronts]))
    best = np.full((len(fronts), len(places)), np.inf)
    for index, members in enumerate(fronts):
        order = np.argsort(members[:, 1], kind="stable")
        lowest = np.minimum.accumulate(members[order, 0])
        reached = np.searchsorted(members[order, 1], places, side="right") - 1
        best[index, reached >= 0] = lowest[reached[reached >= 0]]
    level = np.sort(best, axis=0)[attained - 1]
    falls = level < np.concatenate(([np.inf], level[:-1]))
    return np.column_stack((level[falls], places[falls]))


@dataclass(frozen=True)
class Attainment:
    """The median surface of several runs and the surfaces that bound the middle half of them, each (k, 2)."""

    median: FloatArray
    optimistic: FloatArray
    pessimistic: FloatArray


def attainment_of(runs: Sequence[Run]) -> Attainment:
    """The attainment of the fronts of these runs; the median of an even number is the lower, worse one."""
    fronts = [points_of(front(run)) for run in runs]
    count = len(fronts)
    return Attainment(
        attainment_surface(fronts, count // 2 + 1),
        attainment_surface(fronts, max(1, round(count / 4))),
        attainment_surface(fronts, min(count, count + 1 - round(count / 4))),
    )


@dataclass(frozen=True)
class Progress:
    """Hypervolume after so many epochs: a step up at each `epochs[i]` to `hypervolume[i]`; both (k,)."""

    epochs: FloatArray
    hypervolume: FloatArray

    def at(self, epochs: FloatArray) -> FloatArray:
        """The hypervolume after so many epochs; 0 before the first result."""
        index = np.searchsorted(self.epochs, epochs, side="right") - 1
        return (
            np.where(index >= 0, self.hypervolume[np.maximum(index, 0)], 0.0)
            if len(self.epochs)
            else 0 * epochs
        )


def progress(run: Run, reference: tuple[float, ...]) -> Progress:
    """The hypervolume of a run's front, as a share of the reference box, against the epochs of finished
    trials.

    One step for each finished trial, in the order of proposal.
    """
    full, goal = full_budget(run), goal_of([run])
    spent, reached = 0.0, 0.0
    members = np.empty((0, len(reference)))
    steps = []
    for record in run.trials:
        if not isinstance(record.result, Evaluation):
            continue
        spent += record.result.epoch_equivalents
        found = point(record, goal)
        if record.trial.budget >= full and found is not None and not broken(record, goal):
            members = np.vstack((members, found))
            reached = hypervolume_share(members, reference)
        steps.append((spent, reached))
    table = np.array(steps).reshape(-1, 2)
    return Progress(table[:, 0], table[:, 1])


@dataclass(frozen=True)
class ProgressBand:
    """Median and quartiles of the hypervolume of several runs on common epochs; all (k,)."""

    epochs: FloatArray
    median: FloatArray
    low: FloatArray
    high: FloatArray


def progress_band(runs: Sequence[Run], reference: tuple[float, ...], steps: int = 120) -> ProgressBand:
    """How fast these runs advance, up to where the shortest of them ends."""
    curves = [progress(run, reference) for run in runs if complete(run)]
    end = min((curve.epochs[-1] for curve in curves), default=0.0)
    epochs = np.linspace(0, end, steps)
    table = np.array([curve.at(epochs) for curve in curves]).reshape(-1, steps)
    if not len(table):
        return ProgressBand(epochs, 0 * epochs, 0 * epochs, 0 * epochs)
    low, median, high = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
    return ProgressBand(epochs, median, low, high)
