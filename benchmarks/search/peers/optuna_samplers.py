"""Optuna's NSGA-II and TPE (Akiba et al., 2019; Ozaki et al., 2022) at full budget.

Optuna cannot stop trials of a study with several objectives early, so each trial is trained to the end.
"""

import warnings
from typing import TYPE_CHECKING

from ConfigSpace.hyperparameters import CategoricalHyperparameter, IntegerHyperparameter

from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.records import Failure, Outcome, Trial

if TYPE_CHECKING:
    from ConfigSpace.hyperparameters import Hyperparameter
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler


class _OptunaSampler(Scheduler):
    """A study in memory; the default configuration is added to it as a finished trial."""

    def __init__(self, problem: Problem) -> None:
        import optuna

        super().__init__(problem)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._study = optuna.create_study(
            directions=["minimize"] * len(problem.objectives), sampler=self._sampler(problem.seed)
        )
        self._space = {name: _distribution(hp) for name, hp in problem.space.items()}
        self._theirs: dict[int, int] = {}

    def _sampler(self, seed: int) -> "BaseSampler":
        raise NotImplementedError

    def _propose(self) -> Proposal:
        theirs = self._study.ask(self._space)
        self._theirs[self._asked + 1] = theirs.number
        return Proposal(theirs.params, self.problem.max_budget)

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        import optuna

        failed = isinstance(outcome, Failure)
        values = None if isinstance(outcome, Failure) else [outcome[name] for name in self.problem.objectives]
        if trial.id in self._theirs:
            state = optuna.trial.TrialState.FAIL if failed else None
            self._study.tell(self._theirs.pop(trial.id), values, state=state)
        elif not failed:
            self._study.add_trial(
                optuna.create_trial(params=dict(trial.config), distributions=self._space, values=values)
            )


class Nsga2(_OptunaSampler):
    """A population of 50, as Optuna has it."""

    def _sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed)


class Tpe(_OptunaSampler):
    """Ten random trials first, as Optuna has it."""

    def _sampler(self, seed: int) -> "BaseSampler":
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed)


def _distribution(hp: "Hyperparameter") -> "BaseDistribution":
    from optuna import distributions

    if isinstance(hp, CategoricalHyperparameter):
        return distributions.CategoricalDistribution(hp.choices)
    if isinstance(hp, IntegerHyperparameter):
        return distributions.IntDistribution(hp.lower, hp.upper, log=hp.log)
    return distributions.FloatDistribution(hp.lower, hp.upper, log=hp.log)
