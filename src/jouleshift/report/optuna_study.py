"""A run as a study of Optuna, in an SQLite file: the run's objectives are the study's, its constraints too.

Results at the full budget are complete trials and those of lower budgets pruned ones, which Optuna never has
among the best; what still runs is left out. How far a trial breaks each constraint is a positive number, so
these are not among the best either.
"""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jouleshift.analysis.domains import Domain, domains_of_space
from jouleshift.analysis.pareto import full_budget, goal_of, point
from jouleshift.errors import BadInput
from jouleshift.objectives import USUAL, Goal
from jouleshift.records import Run, TrialRecord
from jouleshift.report.export import write_files
from jouleshift.report.tables import status

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def write_optuna(run: Run, space: "ConfigurationSpace", path: Path) -> None:
    """Write the study, named as the run; in place of a file of this path. Raises BadInput without optuna."""
    try:
        import optuna
    except ImportError:
        raise BadInput("the format 'optuna' needs optuna: pip install optuna") from None
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with TemporaryDirectory() as folder:  # an address cannot hold every path
            made = Path(folder) / "optuna.db"
            _fill_study(optuna, run, space, f"sqlite:///{made}")
            write_files(path.parent, {path.name: made.read_bytes()})
    finally:
        optuna.logging.set_verbosity(verbosity)


def _fill_study(optuna: Any, run: Run, space: "ConfigurationSpace", storage: str) -> None:
    goal = goal_of([run])
    directions = ["minimize"] * len(goal.objectives)
    study = optuna.create_study(storage=storage, study_name=run.path.name, directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(goal.objectives))
    distributions = {d.name: _distribution(optuna, space, d) for d in domains_of_space(space)}
    full = full_budget(run)
    states = optuna.trial.TrialState
    for record in run.trials:
        if record.result is None:
            continue
        costs, config = point(record, goal), dict(record.trial.config)
        complete = costs is not None and record.trial.budget >= full
        state = states.COMPLETE if complete else states.PRUNED if costs else states.FAIL
        study.add_trial(
            optuna.create_trial(
                state=state,
                values=list(costs) if complete and costs else None,
                params=config,
                distributions={name: distributions[name] for name in config},
                user_attrs=_facts(record, goal),
                system_attrs=_constraints(record, goal),
            )
        )


def _facts(record: TrialRecord, goal: Goal) -> dict[str, Any]:
    """What a trial is, and its values, which Optuna keeps of complete trials alone."""
    trial = record.trial
    facts = {"trial": trial.id, "budget": trial.budget, "rung": trial.rung, "status": status(record)}
    known = (*USUAL, *goal.objectives) if point(record, goal) else ()
    return facts | {name: record.values[name] for name in known}


def _constraints(record: TrialRecord, goal: Goal) -> dict[str, list[float]]:
    """How far a result is beyond each limit, where Optuna looks for it; at most 0 is kept."""
    if not goal.constraints or point(record, goal) is None:
        return {}
    return {"constraints": [record.values[c.objective] - c.limit for c in goal.constraints]}


def _distribution(optuna: Any, space: "ConfigurationSpace", domain: Domain) -> Any:
    if domain.is_named:
        return optuna.distributions.CategoricalDistribution(domain.levels)
    hyperparameter: Any = space[domain.name]
    whole = isinstance(hyperparameter.default_value, int) and not isinstance(hyperparameter.lower, float)
    kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    return kind(hyperparameter.lower, hyperparameter.upper, log=bool(hyperparameter.log))
