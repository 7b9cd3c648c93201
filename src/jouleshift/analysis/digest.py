"""One or several runs, sorted out once for every table, figure and page.

Each trial gets one role: on the *front*, the *default* configuration, *rejected* (full budget, but
dominated), *infeasible* (full budget, but a constraint is broken), *lower* (finished at a lower budget),
*failed*, or *running*. Several runs, usually of different
seeds, are pooled as in the paper (section 5.2.1): the front is that of all their trials together, and the
default is the mean of their defaults.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from jouleshift.analysis.pareto import (
    USUAL_GOAL,
    Comparison,
    broken,
    compare_with,
    complete,
    default_trial,
    energy_source,
    front_of,
    goal_of,
    mean_values,
    objectives,
)
from jouleshift.analysis.verification import Verification, verification_of
from jouleshift.config import RESUMABLE, same_setting
from jouleshift.errors import BadInput
from jouleshift.objectives import Goal
from jouleshift.records import Evaluation, Failure, Run, TrialRecord

_POOLABLE = {
    *("seed", "scheduler", "acquisition", "prior", "eta", "device", "compile", "on_corrupt", "measure_on"),
    *("energy", "objectives", "constraint"),  # these have a test and words of their own
}
"""Settings in which runs of one front may differ."""

Role = Literal["front", "default", "rejected", "infeasible", "lower", "failed", "running"]


@dataclass(frozen=True)
class Point:
    """A trial with its part in the whole. `run` counts the runs from 0."""

    run: int
    record: TrialRecord
    role: Role
    on_front: bool = False
    """True for the front, and for a default configuration that is on it."""


@dataclass(frozen=True)
class Digest:
    """Runs, the role of each of their trials, and the pooled front against the mean default.

    `verification` is what the front is worth trained again, None where that was not done.
    """

    runs: tuple[Run, ...]
    points: tuple[Point, ...]
    comparison: Comparison
    goal: Goal = USUAL_GOAL
    verification: Verification | None = None

    def of(self, *roles: Role) -> tuple[Point, ...]:
        """The trials of these roles, in the order of runs and proposals."""
        return tuple(p for p in self.points if p.role in roles)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What to call each run."""
        return names_of(self.runs)

    @property
    def front(self) -> tuple[Point, ...]:
        """The pooled front, from the lowest error to the lowest energy."""
        by_record = {id(p.record): p for p in self.points}
        return tuple(by_record[id(r)] for r in self.comparison.front)

    @property
    def results(self) -> tuple[Evaluation, ...]:
        return tuple(p.record.result for p in self.points if isinstance(p.record.result, Evaluation))


def digest(runs: Sequence[Run]) -> Digest:
    """Sort out one or several runs. Raises BadInput for none, or where they cannot share a front."""
    if not runs:
        raise BadInput("no run to report: name at least one run directory")
    energy_source([record for run in runs for record in run.trials])
    goal = goal_of(runs)
    _refuse_strangers(runs)
    pool = [record for run in runs for record in complete(run)]
    comparison = compare_with(front_of(pool, goal), mean_default(runs), goal)
    on_front = {id(record) for record in comparison.front}
    finished = {id(record) for record in pool}
    points = []
    for index, run in enumerate(runs):
        default = default_trial(run)
        for record in run.trials:
            best = id(record) in on_front
            role = _role(record, record is default, best, id(record) in finished)
            if role == "rejected" and broken(record, goal):
                role = "infeasible"
            points.append(Point(index, record, role, best))
    return Digest(tuple(runs), tuple(points), comparison, goal, verification_of(runs))


def names_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """A name for each run, its folder's; where folders of one name lie in different places, with as much of
    the path in front as tells them apart."""
    places = [run.path.parts for run in runs]
    for length in range(1, max(map(len, places), default=0) + 1):
        names = tuple(str(Path(*parts[-length:])) for parts in places)
        if len(set(names)) == len(set(places)):
            return names
    return tuple(str(run.path) for run in runs)


def differing(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """The settings in which runs differ, by name, with the value of each run.

    Left out are those that change no finished trial, and those that not every run has recorded.
    """
    shared = set.intersection(*(set(run.config) for run in runs)) - RESUMABLE
    values = {name: tuple(run.config[name] for run in runs) for name in sorted(shared)}
    return {
        name: found
        for name, found in values.items()
        if not all(same_setting(name, value, found[0]) for value in found)
    }


def _refuse_strangers(runs: Sequence[Run]) -> None:
    """Raise BadInput where runs were trained or priced differently: such results share no front."""
    first = runs[0]
    for run in runs[1:]:
        different = differing([first, run])
        told = "; ".join(f"{n} {a!r} and {b!r}" for n, (a, b) in different.items() if n not in _POOLABLE)
        if told:
            raise BadInput(f"{first.path} and {run.path} share no front ({told}): report each alone")


def _role(record: TrialRecord, is_default: bool, on_front: bool, complete_: bool) -> Role:
    match record.result:
        case None:
            return "running"
        case Failure():
            return "failed"
    if is_default and complete_:
        return "default"
    if on_front:
        return "front"
    return "rejected" if complete_ else "lower"


def mean_default(runs: Sequence[Run]) -> TrialRecord | None:
    """The default configuration with the mean of every objective over the runs where it succeeded.

    With one run that is its default trial itself. None where no default has a result.
    """
    trials = [t for run in runs if (t := default_trial(run)) is not None and objectives(t) is not None]
    if len(trials) < 2:
        return next(iter(trials), None)
    first = trials[0].result
    assert isinstance(first, Evaluation)
    means = mean_values([t.values for t in trials])
    energy = replace(first.energy, energy_j=means["energy_j"], interval_j=None, components={}, layers={})
    mean = replace(
        first,
        error=means["error"],
        energy=energy,
        curve=(),
        weight_bytes=round(means["size_bytes"]),
        latency_s=means.get("latency_s"),
    )
    return replace(trials[0], result=mean)
