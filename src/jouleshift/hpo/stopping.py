"""When a search ends, besides the number of trials: rules, each a line that says why.

A rule is told every trial that is proposed and every one that ends, those of the journal too when a run is
continued, and asked before each proposal whether to stop. Trials that run then are finished. Epochs and
stagnation follow from the journal alone, so an interrupted search stops where a straight one does; time and
joules are what the search took so far, every time it was run. A continued run may raise its limits.
"""

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from jouleshift.analysis.pareto import USUAL_GOAL, hypervolume, non_dominated
from jouleshift.config import StudyConfig
from jouleshift.fidelity import Fidelity
from jouleshift.objectives import Goal
from jouleshift.records import Evaluation, Trial, TrialRecord
from jouleshift.words import count

Points = NDArray[np.float64]

GAIN = 0.01
"""A front that has grown by less stagnates."""


class Rule:
    """Gives no reason to stop."""

    def asked(self, trial: Trial) -> None:
        """A trial was proposed."""

    def finished(self, record: TrialRecord) -> None:
        """A trial has a result."""

    def reason(self) -> str | None:
        """Why to stop now, None to go on."""
        return None


class Epochs(Rule):
    """So many epochs in all, passes over the whole training set, each trial at what its fidelity costs."""

    def __init__(self, limit: int, cost: Callable[[int, int], float]) -> None:
        self._limit, self._cost = limit, cost
        self._budgets: dict[int, int] = {}
        self._total = 0.0

    def asked(self, trial: Trial) -> None:
        self._budgets[trial.id] = trial.budget
        self._total += self._cost(self._budgets.get(trial.parent or 0, 0), trial.budget)

    def reason(self) -> str | None:
        return f"epochs trained: {self._total:g} of {self._limit}" if self._total >= self._limit else None


class Spent(Rule):
    """So much of what a meter shows: seconds or joules. A meter without a value stops nothing.

    `origin` says how the meter knows, where that is not plain.
    """

    def __init__(self, limit: float, unit: str, meter: Callable[[], float | None], origin: str = "") -> None:
        self._limit, self._unit, self._meter, self._origin = limit, unit, meter, origin

    def reason(self) -> str | None:
        spent = self._meter()
        if spent is None or spent < self._limit:
            return None
        how = f" ({self._origin})" if self._origin else ""
        return f"{spent:.4g} {self._unit} of {self._limit:g} {self._unit}{how}"


class Stagnation(Rule):
    """The front's hypervolume grew by less than a hundredth while so many trials of the full budget ended.

    Trials of lower budgets can add nothing to a front, so they do not count. Both hypervolumes are taken up
    to the worst value of each objective that any trial had by now. The front is that of feasible networks;
    counted from its first member on.
    """

    def __init__(self, trials: int, full_budget: int, goal: Goal = USUAL_GOAL) -> None:
        self._trials, self._full_budget, self._goal = trials, full_budget, goal
        self._fronts: deque[Points] = deque(maxlen=trials + 1)
        self._worst = np.full(len(goal.objectives), -np.inf)

    def finished(self, record: TrialRecord) -> None:
        front = self._fronts[-1] if self._fronts else None
        values = record.result.values if isinstance(record.result, Evaluation) else {}
        point = self._goal.point(values)
        if point is not None:
            self._worst = np.maximum(self._worst, point)
        if record.trial.budget < self._full_budget:
            return
        if point is not None and not self._goal.broken(values):
            points = np.array([point]) if front is None else np.vstack([front, point])
            front = points[non_dominated(points)]
        if front is not None:
            self._fronts.append(front)

    def reason(self) -> str | None:
        if len(self._fronts) <= self._trials:
            return None
        before, now = (hypervolume(front, self._worst) for front in (self._fronts[0], self._fronts[-1]))
        if now > before * (1 + GAIN):
            return None
        trials, share = count(self._trials, "trial"), f"{100 * GAIN:.0f} %"
        return f"{trials} of the full budget added less than {share} to the hypervolume of the front"


def rules_of(
    study: StudyConfig,
    duration_s: Callable[[], float],
    energy_j: Callable[[], float | None],
    energy_origin: str,
) -> list[Rule]:
    """The rules that the settings ask for; the meters tell what the search took so far, and the last argument
    how the joules are known."""
    rules: list[Rule] = []
    if study.stop_epochs is not None:
        rules.append(Epochs(study.stop_epochs, Fidelity.of(study.model_dump()).cost))
    if study.stop_time_s is not None:
        rules.append(Spent(study.stop_time_s, "s", duration_s))
    if study.stop_energy_j is not None:
        rules.append(Spent(study.stop_energy_j, "J", energy_j, energy_origin))
    if study.stop_stagnation is not None:
        rules.append(Stagnation(study.stop_stagnation, study.max_budget, Goal.of(study.model_dump())))
    return rules


def first_reason(rules: Iterable[Rule]) -> str | None:
    """The reason of the first rule that has one."""
    return next((reason for rule in rules if (reason := rule.reason()) is not None), None)
