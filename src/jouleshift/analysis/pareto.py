"""Which networks are worth having, when both error and energy count.

A network *dominates* another if it is at least as good in every objective and better in one. The networks
that no other dominates are the *front*: each is the best there is at some preference between the objectives
("Leveraging AutoML for Sustainable Deep Learning", section 3.5, equation 3.5). Everything is minimised.

The front of a run is taken from results at the full budget alone: an error after few epochs says how a
network was ranked on the way, not what it is worth. A front is compared with the *default configuration*, the
first trial of each run: how many of the front dominate it, and by how much.

What is minimised, and which limits a network must keep to be on a front, is the run's `Goal`; error and
energy without limits, unless its configuration says otherwise.

One number for a whole front is its *hypervolume*: the area of objective space that it dominates, up to a
stated reference point (Zitzler and Thiele 1998). Two fronts are comparable only under the same reference
point.

The functions on arrays come first; those on a `Run` translate to them and back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jouleshift.errors import BadInput
from jouleshift.objectives import Constraint, Goal
from jouleshift.records import EnergySource, Evaluation, Run, TrialRecord
from jouleshift.words import count

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

USUAL_GOAL = Goal()
DEFAULT_BRACKET = -1
"""The bracket of the one trial that Hyperband did not ask for: the default configuration."""


def non_dominated(points: ArrayLike) -> BoolArray:
    """Which rows of an (n, m) array no other row dominates, as a mask of length n.

    Equal rows do not dominate one another, so all of them stay. A row with a value that is not finite is
    never on a front.
    """
    import moocore

    values = _as_points(points)
    mask = np.zeros(len(values), dtype=bool)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    if finite.size:
        mask[finite] = moocore.is_nondominated(values[finite], keep_weakly=True)
    return mask


def dominates(points: ArrayLike, point: ArrayLike) -> BoolArray:
    """Which rows of an (n, m) array dominate `point`: nowhere worse and somewhere better."""
    values, other = _as_points(points), np.asarray(point, dtype=float)
    return np.logical_and((values <= other).all(axis=1), (values < other).any(axis=1), dtype=bool)


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Volume of objective space dominated by the rows of an (n, m) array, up to `reference` of length m.

    In the product of the objectives' units. Rows that are not better than the reference in every objective
    add nothing.
    """
    import moocore

    values, corner = _as_points(points), np.asarray(reference, dtype=float)
    inside = values[(values < corner).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


def knee(points: ArrayLike) -> int:
    """The row of a front, an (n, m) array with n ≥ 1, where giving up any objective starts to cost most.

    The point furthest below the line (or plane) through the extremes once the objectives are scaled to 0 … 1
    over the front (Das 1999). With two objectives that is the one with the smallest sum, which also decides
    where the extremes span no plane. Of equals, the one with the lower first objective.
    """
    values = _as_points(points)
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    height = (scaled @ _normal(scaled)).round(12)
    return int(np.lexsort((values[:, 0], height))[0])


def _normal(scaled: FloatArray) -> FloatArray:
    """The vector w for which x · w = 1 is the plane through the best point of each objective (of equals, the
    one with the smallest sum); ones where these points span none."""
    total = scaled.sum(axis=1)
    extremes = scaled[[np.lexsort((total, column))[0] for column in scaled.T]]
    ones: FloatArray = np.ones(scaled.shape[1])
    if np.linalg.matrix_rank(extremes) < len(ones):
        return ones
    return np.linalg.solve(extremes, ones).astype(float)


def _as_points(points: ArrayLike) -> FloatArray:
    values = np.asarray(points, dtype=float)
    return values if values.ndim == 2 else values.reshape(-1, 2)


def mean_values(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each objective that all of one or more results know, by its name."""
    shared = [name for name in values[0] if all(name in one for one in values)]
    return {name: float(np.mean([one[name] for one in values])) for name in shared}


def full_budget(run: Run) -> int:
    """The full budget of a run in epochs: its configuration's, or else the largest that a trial had."""
    configured = run.config.get("max_budget")
    if isinstance(configured, int):
        return configured
    return max((record.trial.budget for record in run.trials), default=0)


def objectives(record: TrialRecord) -> tuple[float, float] | None:
    """(error, energy_j) of a trial, or None where it has no complete and finite result."""
    result = record.result
    if not isinstance(result, Evaluation) or result.energy.energy_j is None:
        return None
    pair = (result.error, result.energy.energy_j)
    return pair if np.isfinite(pair).all() else None


def most_frugal(members: Sequence[TrialRecord]) -> int:
    """The position of the lowest energy, of equals the last."""
    energies = points_of(members)[:, 1]
    return int(np.flatnonzero(energies == energies.min())[-1])


def goal_of(runs: Sequence[Run]) -> Goal:
    """What these runs are for, taken from their configurations. Raises BadInput where they differ."""
    goals = [Goal.of(run.config) for run in runs] or [Goal()]
    if any(goal != goals[0] for goal in goals):
        raise BadInput("runs with different objectives or constraints share no front; report each alone")
    return goals[0]


def point(record: TrialRecord, goal: Goal) -> tuple[float, ...] | None:
    """The goal's objectives of a trial, or None where a value is missing or not finite."""
    return None if objectives(record) is None else goal.point(record.values)


def broken(record: TrialRecord, goal: Goal) -> tuple[Constraint, ...]:
    """The constraints that a finished trial does not keep."""
    return goal.broken(record.result.values) if isinstance(record.result, Evaluation) else ()


def complete(run: Run) -> tuple[TrialRecord, ...]:
    """The trials at the full budget with a value in every objective, in the order of proposal."""
    full, goal = full_budget(run), Goal.of(run.config)
    return tuple(r for r in run.trials if r.trial.budget >= full and point(r, goal) is not None)


def points_of(records: Sequence[TrialRecord], goal: Goal = USUAL_GOAL) -> FloatArray:
    """The objectives of finished trials as an (n, m) array; usually error and energy in joules."""
    points = [cast(tuple[float, ...], point(r, goal)) for r in records]
    return np.array(points, dtype=float).reshape(-1, len(goal.objectives))


def front(run: Run) -> tuple[TrialRecord, ...]:
    """The non-dominated feasible trials of a run at the full budget, from the lowest error to the lowest
    energy."""
    return front_of(complete(run), Goal.of(run.config))


def front_or_reason(run: Run) -> tuple[TrialRecord, ...]:
    """The front of a run. Raises BadInput where it has none, with the reason."""
    members, finished = front(run), len(complete(run))
    if members:
        return members
    if not finished:
        raise BadInput(f"{run.path} has no result at the full budget yet; continue its search first")
    limits = " and ".join(constraint.text for constraint in Goal.of(run.config).constraints)
    raise BadInput(f"{run.path}: no network keeps {limits}, of {count(finished, 'trial')} at the full budget")


def front_of(records: Sequence[TrialRecord], goal: Goal = USUAL_GOAL) -> tuple[TrialRecord, ...]:
    """The non-dominated among feasible trials, from the lowest error to the lowest energy; those without a
    result are out.

    Raises BadInput where their energies come from different sources: such numbers share no front.
    """
    energy_source(records)
    records = [r for r in records if point(r, goal) is not None and not broken(r, goal)]
    chosen = np.flatnonzero(non_dominated(points_of(records, goal)))
    pairs = points_of(records)[chosen]
    order = np.lexsort((chosen, pairs[:, 1], pairs[:, 0]))
    return tuple(records[index] for index in chosen[order])


def energy_source(records: Sequence[TrialRecord]) -> EnergySource | None:
    """The one source of all energies among the results, None where there is no result."""
    sources = {r.result.energy.source for r in records if isinstance(r.result, Evaluation)}
    if len(sources) > 1:
        raise BadInput(
            f"energies from {' and '.join(sorted(sources))} cannot share a front: "
            "report the runs of each source on their own, or search with one --energy"
        )
    return next(iter(sources), None)


def default_trial(run: Run) -> TrialRecord | None:
    """The trial of the default configuration (the first, bracket −1), None where it was never asked for."""
    return next((r for r in run.trials if r.trial.bracket == DEFAULT_BRACKET), None)


@dataclass(frozen=True)
class Comparison:
    """A front beside the default configuration. Gains are positive where the front is better."""

    front: tuple[TrialRecord, ...]
    default: TrialRecord | None
    """The default configuration's trial if it has a result at the full budget, else None."""
    dominating: tuple[TrialRecord, ...]
    """The part of the front that dominates the default."""
    both: TrialRecord | None
    """Of those that dominate the default, the one with the largest product of gains in the objectives."""

    @property
    def others(self) -> tuple[TrialRecord, ...]:
        """The front without any run's own default: the networks of which it is asked whether they dominate
        the default, so the whole of "2 of 4"."""
        return tuple(r for r in self.front if r.trial.bracket != DEFAULT_BRACKET)

    def gains(self, record: TrialRecord) -> tuple[float, float] | None:
        """(error gain, share of energy saved) of one trial against the default; None without a default."""
        mine, base = objectives(record), self.default and objectives(self.default)
        if not mine or not base:
            return None
        return base[0] - mine[0], _saving(base[1], mine[1])


def _gains(base: Sequence[float], mine: Sequence[float], goal: Goal) -> tuple[float, ...]:
    """What is gained in each objective of a goal: points of the error, the share saved of any other."""
    return tuple(
        before - now if name == "error" else _saving(before, now)
        for name, before, now in zip(goal.objectives, base, mine, strict=True)
    )


def _saving(before: float, now: float) -> float:
    return 1.0 - now / before if before > 0 else 0.0


def compare(run: Run) -> Comparison:
    """The front of a run against its default configuration."""
    return compare_with(front(run), default_trial(run), Goal.of(run.config))


def compare_with(
    members: tuple[TrialRecord, ...], default: TrialRecord | None, goal: Goal = USUAL_GOAL
) -> Comparison:
    """A front against a default configuration that may be missing or failed."""
    base = point(default, goal) if default else None
    if base is None or not members:
        return Comparison(members, default if base else None, (), None)
    searched = np.array([r.trial.bracket != DEFAULT_BRACKET for r in members])  # no run's own default
    points = points_of(members, goal)
    winners = np.flatnonzero(dominates(points, base) & searched)
    gains = [_gains(base, mine, goal) for mine in points.tolist()]
    best = max(winners, key=lambda i: (math.prod(gains[i]), *gains[i]), default=None)
    return Comparison(
        front=members,
        default=default,
        dominating=tuple(members[i] for i in winners),
        both=None if best is None else members[best],
    )


def reference_point(runs: Sequence[Run]) -> tuple[float, ...] | None:
    """The corner up to which these runs' hypervolumes are counted, an entry for each objective: error 1, of
    the others the largest of any result.

    Results at every budget count, so the corner settles early in a run. None where nothing has finished.
    """
    goal = goal_of(runs)
    points = [found for run in runs for r in run.trials if (found := point(r, goal)) is not None]
    if not points:
        return None
    largest = np.max(points, axis=0)
    return tuple(
        1.0 if name == "error" else float(value) for name, value in zip(goal.objectives, largest, strict=True)
    )


def hypervolume_share(points: ArrayLike, reference: Sequence[float]) -> float:
    """The hypervolume as a share of the box between the origin and the reference point, 0 … 1."""
    box = float(np.prod(reference))
    return hypervolume(points, reference) / box if box > 0 else 0.0
