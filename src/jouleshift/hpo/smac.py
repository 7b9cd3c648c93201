"""The paper's search: SMAC3 with ParEGO and Hyperband (section 4.3 and Algorithm 1), by ask and tell.

Hyperband (Li et al., 2017) trains many configurations for few epochs and promotes one in `eta` to `eta`
times as many. ParEGO (Knowles, 2006) draws random weights θ, makes one number of the normalised objectives,
max(θ·f) + 0.05 Σ θ·f, and lets a random forest of that number propose the next configuration. As in the
paper's code, 15 random configurations come first; SMAC's other settings are its own. Where the paper's
set-up does not run, or runs into a trap of SMAC 2.4, this module differs on purpose:

- Incumbents are kept at the highest budget only; the paper's "any_budget" ends in an AssertionError.
- A failed trial is told as failed. Its cost must be finite for the forest, so ParEGO sees the worst value
  seen in each objective, and promotion a value worse than any. These numbers stay inside SMAC. The paper's
  constant of 1 for both objectives would squeeze all real emissions into a thousandth of the normalised
  range.
- A configuration that failed is not trained again: if SMAC promotes it because its whole rung failed, the
  same failure is told at once.
- SMAC takes an objective whose range is below 1e-10 for a constant, which would drop energies in joules of
  small networks; it is therefore told objectives in units of the first value seen.
- SMAC takes a space for exhausted where 16 draws give nothing new; here 200 do not, since a small part of the
  space may be drawn often.
- The forest is trained on the highest budget with at least 8 results, instead of at least one.
- SMAC's budgets are max_budget / eta^k and stay inside; trials get the nearest whole number of epochs.
- The number of trials is unlimited here, so nothing depends on how many will be asked for. No file is kept,
  nothing is read from a terminal, and the user's space is left as it is.

What makes SMAC the weaker search is left as its users have it: of a rung it may promote a dominated trial,
and with one place an extreme; θ and the forest change once in 8 proposals; low rungs do not inform it.

The default configuration, which every scheduler proposes first at full budget, is not told to SMAC. Told
before the first bracket, it would be put into that bracket and trained again at the lowest budget, and
Algorithm 1 starts from random configurations only. With several workers SMAC opens the next bracket rather
than wait; `ask` returns None only when a finite space is exhausted, where SMAC itself would search for a
new configuration for ever.
"""

import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ConfigSpace import Configuration
from smac import MultiFidelityFacade, Scenario
from smac.acquisition.maximizer import LocalAndSortedRandomSearch, LocalSearch
from smac.intensifier import Hyperband
from smac.main.config_selector import ConfigSelector
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.model.random_forest import RandomForest
from smac.multi_objective.parego import ParEGO
from smac.runhistory import StatusType, TrialInfo, TrialValue

from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler, plain
from jouleshift.records import Failure, FailureKind, Outcome, Trial

_INITIAL_CONFIGS = 15
_RETRAIN_AFTER = 8
_MIN_TRIALS = 8
_MAX_REPEATS = 200
_WORST = 1e30
"""Cost of a failure for promotion: above any objective in units of the first value seen."""

_STATUS: Mapping[FailureKind, StatusType] = {
    "timeout": StatusType.TIMEOUT,
    "out-of-memory": StatusType.MEMORYOUT,
}


class _ClippedParEGO(ParEGO):
    """ParEGO that takes a failure for as bad as the worst success: its normalised costs are 0 … 1."""

    def __call__(self, values: list[float]) -> float:
        return super().__call__(np.clip(values, 0.0, 1.0).tolist())


class _OrderedLocalSearch(LocalSearch):
    """SMAC's local search, from start points in a fixed order.

    SMAC keeps them in a set, whose order changes with the hash seed of the process, and draws random numbers
    for one after the other: the same history gave other proposals in each process.
    """

    def _get_initial_points(self, *args: Any, **kwargs: Any) -> list[Configuration]:
        return sorted(super()._get_initial_points(*args, **kwargs), key=repr)


class _FiniteSelector(ConfigSelector):
    """SMAC's selector that ends when a finite space has nothing new.

    A bracket can only be opened whole, so known configurations fill the last ones; Hyperband trains none of
    them twice at the same budget.
    """

    def __iter__(self) -> Iterator[Configuration]:
        known: dict[Configuration, None] = {}
        repeats = 0
        try:
            for config in super().__iter__():
                repeats = repeats + 1 if config in known else 0
                if repeats > _MAX_REPEATS:
                    return
                known[config] = None
                yield config
        except ConfigurationSpaceExhaustedException:
            for index in range(_MAX_REPEATS):
                yield list(known)[index % len(known)]


class ParegoHyperband(Scheduler):
    """SMAC3's MultiFidelityFacade with ParEGO and Hyperband."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._hyperband, self._facade = _build(problem)
        self._asked_info: TrialInfo | None = None
        self._infos: dict[int, TrialInfo] = {}
        self._successes: dict[Configuration, dict[int, int]] = {}
        self._failures: dict[Configuration, Failure] = {}
        self._units: dict[str, float] = {}

    def _propose(self) -> Proposal | None:
        info = self._next_info()
        if info is None:
            return None
        self._asked_info = info
        budget = round(info.budget or 0)
        bracket, rung = self._place(info)
        return Proposal(plain(info.config), budget, bracket, rung, self._parent(info.config, budget))

    def _next_info(self) -> TrialInfo | None:
        """SMAC's next trial whose configuration has not failed already."""
        while True:
            try:
                info = self._facade.ask()
            except StopIteration:
                return None
            failure = self._failures.get(info.config)
            if failure is None:
                return info
            self._tell_smac(info, failure)

    def _on_asked(self, trial: Trial) -> None:
        if self._asked_info is not None:
            self._infos[trial.id] = self._asked_info
            self._asked_info = None

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        if not isinstance(outcome, Failure) and not self._units:
            self._units = {name: abs(outcome[name]) or 1.0 for name in self.problem.objectives}
        info = self._infos.pop(trial.id, None)
        if info is None:  # the default configuration, which SMAC did not ask for
            return
        if isinstance(outcome, Failure):
            self._failures[info.config] = outcome
        else:
            self._successes.setdefault(info.config, {})[trial.budget] = trial.id
        self._tell_smac(info, outcome)

    def _tell_smac(self, info: TrialInfo, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            cost = [_WORST] * len(self.problem.objectives)
            value = TrialValue(cost=cost, status=_STATUS.get(outcome.kind, StatusType.CRASHED))
        else:
            cost = [outcome[name] / self._units[name] for name in self.problem.objectives]
            value = TrialValue(cost=cost, status=StatusType.SUCCESS)
        self._facade.tell(info, value, save=False)

    def _parent(self, config: Configuration, budget: int) -> int | None:
        """The trial of the same configuration at the highest budget below `budget`."""
        lower = [known for known in self._successes.get(config, {}) if known < budget]
        return self._successes[config][max(lower)] if lower else None

    def _place(self, info: TrialInfo) -> tuple[int, int]:
        """Bracket (0 starts at the lowest budget) and rung in which Hyperband keeps the trial."""
        return next(
            place
            for place, groups in self._hyperband._tracker.items()
            if self._hyperband._budgets_in_stage[place[0]][place[1]] == info.budget
            and any(info.config is config for _, configs in groups for config in configs)
        )


def _build(problem: Problem) -> tuple[Hyperband, MultiFidelityFacade]:
    logging.getLogger("smac").setLevel(logging.ERROR)
    space = deepcopy(problem.space)  # SMAC seeds it
    with TemporaryDirectory(prefix="jouleshift-smac-") as directory:
        scenario = Scenario(
            space,
            name="search",
            output_directory=Path(directory),
            deterministic=True,
            objectives=list(problem.objectives),
            crash_cost=[_WORST] * len(problem.objectives),
            n_trials=2**31,
            min_budget=problem.min_budget,
            max_budget=problem.max_budget,
            seed=problem.seed,
        )
        hyperband = Hyperband(scenario, eta=problem.eta, incumbent_selection="highest_budget")
        return hyperband, MultiFidelityFacade(
            scenario,
            model=_forest(scenario),
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=_INITIAL_CONFIGS),
            intensifier=hyperband,
            acquisition_maximizer=_maximizer(scenario),
            multi_objective_algorithm=_ClippedParEGO(scenario),
            config_selector=_selector(scenario),
            logging_level=False,
            overwrite=True,
        )


def _selector(scenario: Scenario) -> _FiniteSelector:
    return _FiniteSelector(
        scenario,
        retrain_after=_RETRAIN_AFTER,
        min_trials=_MIN_TRIALS,
        max_new_config_tries=_MAX_REPEATS,
    )


def _maximizer(scenario: Scenario) -> LocalAndSortedRandomSearch:
    maximizer = MultiFidelityFacade.get_acquisition_maximizer(scenario)
    maximizer._local_search = _OrderedLocalSearch(scenario.configspace, seed=scenario.seed)
    return maximizer


def _forest(scenario: Scenario) -> RandomForest:
    """The facade's own forest, in one thread: training needs the cores more than ten small trees do."""
    return RandomForest(
        scenario.configspace,
        n_trees=10,
        log_y=True,
        bootstrapping=True,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_depth=2**20,
        seed=scenario.seed,
        n_jobs=1,
    )
