"""Schedulers by name.

A scheduler is a subclass of `hpo.scheduler.Scheduler` in a module of its own, which is imported when it is
asked for: SMAC takes seconds. To add one, write its file and name it here, or leave this package alone and
ask for it by "package.module:Class".
"""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from numbers import Integral, Real
from typing import TYPE_CHECKING

from jouleshift.errors import BadInput, nearest, told
from jouleshift.hpo.acquisition.registry import find_acquisition
from jouleshift.hpo.known import refuse_impossible
from jouleshift.hpo.scheduler import Problem, Scheduler, continued
from jouleshift.records import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

_SCHEDULERS = {
    "mo-hyperband": "jouleshift.hpo.mo_hyperband:MoHyperband",
    "nsga2": "jouleshift.hpo.nsga2:Nsga2",
    "parego-hyperband": "jouleshift.hpo.smac:ParegoHyperband",
    "random": "jouleshift.hpo.random:RandomSearch",
}


def scheduler_names() -> list[str]:
    return sorted(_SCHEDULERS)


def make_scheduler(
    name: str,
    space: "ConfigurationSpace",
    objectives: Sequence[str] = ("error", "energy_j"),
    min_budget: int = 1,
    max_budget: int = 27,
    eta: int = 3,
    seed: int = 0,
    known: Mapping[str, Callable[[Mapping[str, Value]], float]] | None = None,
    constraints: Mapping[str, float] | None = None,
    priors: Sequence[Mapping[str, Value]] = (),
    acquisition: str = "ehvi",
    cost: Callable[[int, int], float] = continued,
) -> Scheduler:
    """The search strategy `name` on any ConfigSpace `space`, which is left as it is.

    `objectives` (at least two) are the names of what is minimised; `tell` wants a value for each. Budgets are
    whole epochs; `eta` is the factor between two rungs. `known` maps an objective to a function of the
    configuration that gives its value without training; schedulers that cannot use it ignore it.
    `constraints` maps names, of objectives or of other values that `tell` gets, to upper limits. `priors` are
    configurations to try first. `cost` gives the epochs from one budget to the next of the same trial.
    Raises BadInput for an unknown name, settings that contradict each other, the space or what the scheduler
    takes, and limits that no configuration is found to keep.
    """
    known, constraints = known or {}, constraints or {}
    _refuse_contradictions(objectives, known, constraints)
    if not 1 <= min_budget <= max_budget:
        raise BadInput(f"budgets {min_budget} … {max_budget}: expected 1 ≤ min_budget ≤ max_budget")
    if eta < 2:
        raise BadInput(f"eta {eta}: expected at least 2")
    if not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise BadInput(f"seed {seed!r}: expected a whole number from 0 to {2**32 - 1}")
    kind = refuse_untaken(name, acquisition, bool(priors))
    _refuse_illegal(priors, space)
    problem = Problem(
        space, tuple(objectives), min_budget, max_budget, eta, seed, dict(known), dict(constraints),
        tuple(priors), acquisition, cost,
    )  # fmt: skip
    refuse_impossible(problem)
    return kind(problem)


def refuse_untaken(name: str, acquisition: str, has_priors: bool) -> type[Scheduler]:
    """The class behind a scheduler's name. Raises BadInput where there is none, where a library that it needs
    is missing, and for an unknown acquisition and settings that it does not take."""
    kind = scheduler_class(name)
    if has_priors and not kind.takes_priors:
        raise BadInput(f"scheduler {name!r} takes no priors; mo-hyperband does")
    if acquisition != Problem.acquisition and not kind.takes_acquisitions:
        raise BadInput(f"scheduler {name!r} has an acquisition of its own; mo-hyperband takes others")
    find_acquisition(acquisition)
    kind.refuse_missing_library()
    return kind


def _refuse_contradictions(
    objectives: Sequence[str], known: Mapping[str, object], constraints: Mapping[str, float]
) -> None:
    if len(set(objectives)) < 2 or len(set(objectives)) != len(objectives):
        raise BadInput(f"objectives {list(objectives)}: at least two different names are needed")
    values = (*objectives, *constraints)
    for value in known:
        if value not in values:
            raise BadInput(f"known: {value!r} is not an objective{nearest(value, values)}")
    for value, limit in constraints.items():
        if not isinstance(limit, Real) or math.isnan(limit):
            raise BadInput(f"constraints: {value!r} has the limit {limit!r}, which is no number")


def _refuse_illegal(priors: Sequence[Mapping[str, Value]], space: "ConfigurationSpace") -> None:
    """Raise BadInput for the first prior that is no configuration of the space."""
    from ConfigSpace import Configuration

    for number, prior in enumerate(priors, start=1):
        try:
            Configuration(space, values=dict(prior))
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(f"prior {number} is no configuration of the space: {told(error)}") from None


def scheduler_class(name: str) -> type[Scheduler]:
    """The class behind a name or "package.module:Class". Raises BadInput."""
    path = name if ":" in name else _SCHEDULERS.get(name)
    if path is None:
        raise BadInput(f"unknown scheduler {name!r}{nearest(name, _SCHEDULERS)}")
    module, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"scheduler {name!r} cannot be loaded: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Scheduler)):
        raise BadInput(f"scheduler {name!r} is not a subclass of jouleshift.hpo.scheduler.Scheduler")
    return found
