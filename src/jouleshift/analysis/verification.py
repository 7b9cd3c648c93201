"""What a front is worth once it is trained again and judged on images that the search never saw.

A front is chosen for its low validation errors, so part of what put a network there is luck: of its seed, and
with the images it was judged on. Trained again with fresh seeds the same configuration does worse on average,
the more so the more trials it was chosen from: *regression to the mean*. Verification separates what changes:

    luck of the seed     validation error with fresh seeds, less the one that the search saw
    other images         test error less validation error, both with fresh seeds

A verified front is the non-dominated part of the means over the fresh seeds, in the objectives of the run and
without what breaks its constraints; the default configuration has had the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jouleshift.analysis.pareto import (
    DEFAULT_BRACKET,
    USUAL_GOAL,
    complete,
    dominates,
    energy_source,
    goal_of,
    mean_values,
    non_dominated,
    point,
)
from jouleshift.objectives import Constraint, Goal
from jouleshift.records import Evaluation, Run, TrialRecord


@dataclass(frozen=True)
class Member:
    """One configuration as the search saw it, and trained again with n ≥ 1 fresh seeds."""

    run: int
    """Which of the runs, from 0."""
    found: TrialRecord
    again: tuple[Evaluation, ...]

    @property
    def is_default(self) -> bool:
        return self.found.trial.bracket == DEFAULT_BRACKET

    @cached_property
    def values(self) -> Mapping[str, float]:
        """The mean of every objective that is known, by its name; of the error that on the test images."""
        return mean_values([e.values for e in self.again])

    @property
    def error(self) -> float:
        """Mean error on the test images."""
        return self.values["error"]

    @cached_property
    def error_sd(self) -> float | None:
        """Standard deviation of that error over the seeds; None with one seed."""
        return float(np.std([e.error for e in self.again], ddof=1)) if len(self.again) > 1 else None

    @cached_property
    def val_error(self) -> float:
        """Mean error on the validation images."""
        return float(np.mean([e.curve[-1].val_error for e in self.again]))

    @property
    def energy_j(self) -> float:
        """Mean energy of one inference, in joules."""
        return self.values["energy_j"]

    @property
    def found_error(self) -> float:
        """The validation error that put it on the front."""
        assert isinstance(self.found.result, Evaluation)
        return self.found.result.error


@dataclass(frozen=True)
class Verification:
    """All that was verified of some runs: configurations from their fronts, and the default ones."""

    members: tuple[Member, ...]
    """Without the defaults, from the lowest mean error to the highest."""
    defaults: tuple[Member, ...]
    """The default configuration, once a run."""
    failed: int
    """Verifications that ended without a result."""
    goal: Goal = USUAL_GOAL

    @cached_property
    def front(self) -> tuple[Member, ...]:
        """The members, and the default of a single run, that keep the constraints and that no other such
        dominates on the test images."""
        pool = [*self.members, *(self.defaults if len(self.defaults) == 1 else ())]
        pool = [m for m in pool if not self.broken(m)]
        mask = non_dominated([self._point(m.values) for m in pool])
        chosen = [m for m, kept in zip(pool, mask, strict=True) if kept]
        return tuple(sorted(chosen, key=lambda m: (m.error, m.energy_j)))

    @cached_property
    def default(self) -> Mapping[str, float] | None:
        """The objectives of the default configuration, as a member's values; the mean over seeds and runs."""
        return mean_values([m.values for m in self.defaults]) if self.defaults else None

    @cached_property
    def dominating(self) -> tuple[Member, ...]:
        """The members that keep the constraints and dominate the default configuration."""
        if self.default is None or not self.members:
            return ()
        mask = dominates([self._point(m.values) for m in self.members], self._point(self.default))
        return tuple(m for m, kept in zip(self.members, mask, strict=True) if kept and not self.broken(m))

    def broken(self, member: Member) -> tuple[Constraint, ...]:
        """The constraints that a configuration does not keep on average."""
        return self.goal.broken(member.values)

    def _point(self, values: Mapping[str, float]) -> tuple[float, ...]:
        return tuple(values[name] for name in self.goal.objectives)

    @property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most seeds that a configuration was trained with."""
        numbers = [len(m.again) for m in (*self.members, *self.defaults)]
        return min(numbers), max(numbers)

    @property
    def seed_luck(self) -> float:
        """Validation error with fresh seeds less the one that the search saw, mean over what was verified."""
        return float(np.mean([m.val_error - m.found_error for m in self._chosen]))

    @property
    def other_images(self) -> float:
        """Test error less validation error, both with fresh seeds, mean over what was verified."""
        return float(np.mean([m.error - m.val_error for m in self._chosen]))

    @property
    def _chosen(self) -> tuple[Member, ...]:
        return self.members or self.defaults


def verification_of(runs: Sequence[Run]) -> Verification | None:
    """What has been verified of these runs so far; None where nothing has a result.

    Raises BadInput where energies come from different sources, and where runs have different goals.
    """
    goal = goal_of(runs)
    energy_source([r for run in runs for r in run.verified])
    found: list[Member] = []
    for index, run in enumerate(runs):
        for original in complete(run):
            again = [
                r.result
                for r in run.verified
                if r.trial.config == original.trial.config
                and isinstance(r.result, Evaluation)
                and point(r, goal) is not None
            ]
            known = any(m.run == index and m.found.trial.config == original.trial.config for m in found)
            if again and not known:
                found.append(Member(index, original, tuple(again)))
    if not found:
        return None
    failed = sum(r.result is not None and point(r, goal) is None for run in runs for r in run.verified)
    members = sorted((m for m in found if not m.is_default), key=lambda m: (m.error, m.energy_j))
    return Verification(tuple(members), tuple(m for m in found if m.is_default), failed, goal)
