"""NSGA-II at full budget: evolution by non-dominated rank and crowding, Optuna's implementation.

NSGA-II (Deb et al., 2002) keeps a population, prefers the lower non-dominated rank and then the less crowded
of two parents, and crosses and mutates them. It knows no budgets, so every trial is trained in full; with
`random` it is the yardstick of what multi-fidelity search adds. Constraints are Optuna's: a configuration
that breaks fewer wins. What differs from a plain study:

- Children that were tried before are not trained again. Optuna is told their known values, a copy of a trial
  still running or failed counts as failed, and the next child is asked for.
- Configurations that are known to break a constraint are not trained. Optuna is told by how much they do,
  which is all it asks of them, so that evolution leads to those that keep it.

Needs `pip install 'jouleshift[nsga2]'`.
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration
from ConfigSpace.exceptions import ForbiddenValueError
from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, OrdinalHyperparameter

from jouleshift.errors import BadInput
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler, plain
from jouleshift.records import Failure, Outcome, Trial, Value

if TYPE_CHECKING:
    from ConfigSpace.hyperparameters import Hyperparameter

_POPULATION = 20
_TRIES = 1000
"""Children without a new configuration after which the space counts as exhausted."""


class Nsga2(Scheduler):
    """Every configuration at most once, at full budget."""

    @classmethod
    def refuse_missing_library(cls) -> None:
        _optuna()

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._study = _study(problem)
        self._asked_by_optuna: Any = None
        self._children: dict[int, Any] = {}
        self._outcomes: dict[tuple[tuple[str, Value], ...], Outcome | None] = {}

    def _propose(self) -> Proposal | None:
        for _ in range(_TRIES):
            child = self._study.ask()
            config = self._configuration(child)
            if config is None:
                self._fail(child)
                continue
            if self.problem.is_ruled_out(config):
                self._tell_excess(child, {name: known(config) for name, known in self.problem.known.items()})
                continue
            if _key(config) not in self._outcomes:
                self._asked_by_optuna = child
                return Proposal(config, self.problem.max_budget)
            self._tell_optuna(child, self._outcomes[_key(config)])
        return None

    def _on_asked(self, trial: Trial) -> None:
        self._outcomes[_key(trial.config)] = None
        if self._asked_by_optuna is not None:
            self._children[trial.id], self._asked_by_optuna = self._asked_by_optuna, None

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        self._outcomes[_key(trial.config)] = outcome
        child = self._children.pop(trial.id, None)
        if child is not None:  # None: the default configuration, which Optuna did not ask for
            self._tell_optuna(child, outcome)

    def _tell_optuna(self, child: Any, outcome: Outcome | None) -> None:
        if outcome is None or isinstance(outcome, Failure):
            self._fail(child)
            return
        self._tell_excess(child, outcome)

    def _tell_excess(self, child: Any, values: Mapping[str, float]) -> None:
        """Tell Optuna a child's objectives, and by which share it is above each limit; what is not known
        counts as within."""
        for name, limit in self.problem.constraints.items():
            child.set_constraint(name, (values.get(name, limit) - limit) / (abs(limit) or 1.0))
        self._study.tell(child, [values.get(name, 0.0) for name in self.problem.objectives])

    def _fail(self, child: Any) -> None:
        self._study.tell(child, state=_optuna().trial.TrialState.FAIL)

    def _configuration(self, child: Any) -> dict[str, Value] | None:
        """The child's values as a configuration of the space, None where the space forbids it."""
        space = self.problem.space
        values: dict[str, Any] = {}
        vector = np.full(len(space), np.nan)
        for index, (name, hyperparameter) in enumerate(space.items()):
            conditions = space.parent_conditions_of[name]
            if all(condition.satisfied_by_vector(vector) for condition in conditions):
                values[name] = _suggested(child, hyperparameter)
                vector[index] = hyperparameter.to_vector(values[name])
        try:
            return plain(Configuration(space, values=values))
        except ForbiddenValueError:
            return None


def _suggested(child: Any, hyperparameter: "Hyperparameter") -> Any:
    """Optuna's value for one hyperparameter."""
    hp: Any = hyperparameter
    if isinstance(hp, Constant):
        return hp.value
    if isinstance(hp, CategoricalHyperparameter):
        return child.suggest_categorical(hp.name, list(hp.choices))
    if isinstance(hp, OrdinalHyperparameter):
        return hp.sequence[child.suggest_int(hp.name, 0, len(hp.sequence) - 1)]
    suggest = child.suggest_int if isinstance(hp.default_value, int) else child.suggest_float
    return suggest(hp.name, hp.lower, hp.upper, log=bool(hp.log))


def _key(config: Any) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(config.items()))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise BadInput(
            "scheduler 'nsga2' needs optuna: pip install 'jouleshift[nsga2]', or use mo-hyperband"
        ) from None
    return optuna


def _study(problem: Problem) -> Any:
    optuna = _optuna()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=problem.seed)
        return optuna.create_study(sampler=sampler, directions=["minimize"] * len(problem.objectives))
    finally:
        optuna.logging.set_verbosity(verbosity)
