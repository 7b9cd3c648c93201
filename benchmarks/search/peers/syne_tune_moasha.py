"""Syne Tune's MOASHA: asynchronous successive halving by non-dominated sorting (Schmucker et al., 2021).

A random configuration trains on from rung to rung until the scheduler stops it; nothing that was stopped is
taken up again.
"""

from typing import TYPE_CHECKING, Any

from ConfigSpace.hyperparameters import CategoricalHyperparameter, IntegerHyperparameter

from jouleshift.hpo.brackets import ladder
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.records import Failure, Outcome, Trial

if TYPE_CHECKING:
    from ConfigSpace.hyperparameters import Hyperparameter

_EPOCHS = "epochs"


class Moasha(Scheduler):
    """One trial at a time. Syne Tune draws from NumPy's global generator, which is seeded here."""

    def __init__(self, problem: Problem) -> None:
        import numpy as np
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        super().__init__(problem)
        np.random.seed(problem.seed)
        self._budgets = ladder(problem.min_budget, problem.max_budget, problem.eta)
        self._moasha = MOASHA(
            {name: _domain(hp) for name, hp in problem.space.items()},
            list(problem.objectives),
            time_attr=_EPOCHS,
            max_t=problem.max_budget,
            grace_period=self._budgets[0],
            reduction_factor=problem.eta,
            random_seed=problem.seed,
        )
        self._theirs: dict[int, Any] = {}
        self._going_on: Trial | None = None

    def _propose(self) -> Proposal:
        if self._going_on is not None:
            trial, self._going_on = self._going_on, None
            rung = trial.rung + 1
            return Proposal(trial.config, self._budgets[rung], 0, rung, trial.id)
        return Proposal(self._moasha.suggest().config, self._budgets[0])

    def _on_asked(self, trial: Trial) -> None:
        from datetime import datetime

        from syne_tune.backend.trial_status import Trial as TheirTrial

        if trial.parent is not None:
            self._theirs[trial.id] = self._theirs.pop(trial.parent)
        elif trial.bracket >= 0:
            theirs = TheirTrial(trial.id, dict(trial.config), datetime.now())
            self._moasha.on_trial_add(theirs)
            self._theirs[trial.id] = theirs

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        if trial.id not in self._theirs:  # the default configuration
            return
        if isinstance(outcome, Failure):
            self._moasha.on_trial_remove(self._theirs.pop(trial.id))
            return
        values = {name: outcome[name] for name in self.problem.objectives}
        decision = self._moasha.on_trial_result(self._theirs[trial.id], {**values, _EPOCHS: trial.budget})
        if decision == "CONTINUE":
            self._going_on = trial


def _domain(hp: "Hyperparameter") -> Any:
    from syne_tune import config_space

    if isinstance(hp, CategoricalHyperparameter):
        return config_space.choice(list(hp.choices))
    if isinstance(hp, IntegerHyperparameter):
        return (config_space.lograndint if hp.log else config_space.randint)(hp.lower, hp.upper)
    return (config_space.loguniform if hp.log else config_space.uniform)(hp.lower, hp.upper)
