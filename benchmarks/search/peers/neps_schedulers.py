"""NePS' Hyperband for several objectives, and PriMO without priors (Basu et al., 2025).

PriMO begins with asynchronous successive halving and goes on with Bayesian optimisation at full budget; its
weights of the objectives are drawn once. NePS draws from the global generators, which are seeded here.
"""

from typing import TYPE_CHECKING, Any

from ConfigSpace.hyperparameters import CategoricalHyperparameter, IntegerHyperparameter

from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.records import Failure, Outcome, Trial

if TYPE_CHECKING:
    from ConfigSpace.hyperparameters import Hyperparameter

_EPOCHS = "epochs"


class _Neps(Scheduler):
    """NePS' own ask and tell."""

    def __init__(self, problem: Problem) -> None:
        import neps
        from neps.space import SearchSpace

        super().__init__(problem)
        _seed(problem.seed)
        parameters = {name: _parameter(hp) for name, hp in problem.space.items()}
        parameters[_EPOCHS] = neps.HPOInteger(problem.min_budget, problem.max_budget, is_fidelity=True)
        self._neps = neps.AskAndTell(self._optimizer(SearchSpace(parameters)))
        self._asked_theirs: Any = None
        self._theirs: dict[int, Any] = {}
        self._ours: dict[str, int] = {}

    def _optimizer(self, space: Any) -> Any:
        raise NotImplementedError

    def _propose(self) -> Proposal:
        theirs = self._asked_theirs = self._neps.ask()
        config = dict(theirs.config)
        budget = int(config.pop(_EPOCHS))
        return Proposal(config, budget, parent=self._ours.get(theirs.metadata.previous_trial_id or ""))

    def _on_asked(self, trial: Trial) -> None:
        if self._asked_theirs is not None:
            self._theirs[trial.id] = self._asked_theirs
            self._ours[self._asked_theirs.id] = trial.id

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        if trial.id not in self._theirs:  # the default configuration
            return
        failed = isinstance(outcome, Failure)
        values = [1e30 if isinstance(outcome, Failure) else outcome[name] for name in self.problem.objectives]
        self._neps.tell(self._theirs.pop(trial.id), ValueError("failed") if failed else {"objective_to_minimize": values})


class NepsHyperband(_Neps):
    def _optimizer(self, space: Any) -> Any:
        from neps.optimizers.algorithms import mo_hyperband

        return mo_hyperband(space, eta=self.problem.eta)


class NepsPrimo(_Neps):
    def _optimizer(self, space: Any) -> Any:
        from neps.optimizers.algorithms import primo

        return primo(space, eta=self.problem.eta, prior_centers={})


def _seed(seed: int) -> None:
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _parameter(hp: "Hyperparameter") -> Any:
    import neps

    if isinstance(hp, CategoricalHyperparameter):
        return neps.HPOCategorical(list(hp.choices))
    if isinstance(hp, IntegerHyperparameter):
        return neps.HPOInteger(hp.lower, hp.upper, log=hp.log)
    return neps.HPOFloat(hp.lower, hp.upper, log=hp.log)
