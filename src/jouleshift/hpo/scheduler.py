"""Ask and tell: the one interface between a search strategy and the rest.

    trial = scheduler.ask()          # or None: nothing to propose before a running trial is told
    scheduler.tell(trial, outcome)   # a value per objective, or a Failure

A scheduler is deterministic: the same space, seed and sequence of calls give the same trials. Its state is
therefore the journal: replaying the recorded calls into a fresh scheduler rebuilds it, and there is no second
state to keep in step. How many trials are wanted is not its business, so a run can be extended.

The default configuration is proposed first, at full budget, by every scheduler: it is what the front is
compared with.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, final

from jouleshift.hpo.threads import one_thread
from jouleshift.records import Failure, Outcome, Trial, Value

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace


@dataclass(frozen=True)
class Proposal:
    """A trial before it has a number. `parent` is the id of the trial it promotes."""

    config: Mapping[str, Value]
    budget: int
    bracket: int = 0
    rung: int = 0
    parent: int | None = None


def continued(start: int, budget: int) -> float:
    """The cost where trials continue from checkpoints: only what the parent has not trained."""
    return budget - start


@dataclass(frozen=True)
class Problem:
    """What is searched: a space, objectives to minimise, and budgets in epochs."""

    space: "ConfigurationSpace"
    objectives: Sequence[str] = ("error", "energy_j")
    min_budget: int = 1
    max_budget: int = 9
    eta: int = 3
    seed: int = 0
    known: Mapping[str, Callable[[Mapping[str, Value]], float]] = field(default_factory=dict)
    """What depends on the configuration alone, as functions that cost no training."""
    constraints: Mapping[str, float] = field(default_factory=dict)
    """Upper limits, of objectives or of other values that outcomes have."""
    priors: Sequence[Mapping[str, Value]] = ()
    """Configurations of the space that are thought to be good."""
    acquisition: str = "ehvi"
    cost: Callable[[int, int], float] = continued
    """Epochs from a trial of one budget (0: none) to its continuation at a higher one."""

    @property
    def needed(self) -> tuple[str, ...]:
        """What an outcome must have: the objectives, then what is constrained and no objective."""
        return tuple(dict.fromkeys((*self.objectives, *self.constraints)))

    @property
    def known_limits(self) -> str:
        """Limits on what is known before training, in words; empty where there are none."""
        limits = [f"{name} <= {limit:g}" for name, limit in self.constraints.items() if name in self.known]
        return " and ".join(limits)

    def is_ruled_out(self, config: Mapping[str, Value]) -> bool:
        """Whether a configuration is known to break a constraint before it is trained."""
        return any(
            self.known[name](config) > limit for name, limit in self.constraints.items() if name in self.known
        )


class Scheduler(ABC):
    """A search strategy. Subclasses say what to propose and what to learn; numbering is done here."""

    takes_priors = False
    takes_acquisitions = False

    @classmethod  # noqa: B027 - most need none
    def refuse_missing_library(cls) -> None:
        """Raise `BadInput` where a library that it needs is not installed."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._asked = 0
        self._running: dict[int, Trial] = {}

    @final
    def ask(self) -> Trial | None:
        """The next trial, or None where nothing can be proposed before a running trial is told."""
        with one_thread():
            proposal = self._default_proposal() if self._asked == 0 else self._propose()
        if proposal is None:
            return None
        trial = Trial(
            id=self._asked + 1,
            config=proposal.config,
            budget=proposal.budget,
            seed=self.problem.seed,
            bracket=proposal.bracket,
            rung=proposal.rung,
            parent=proposal.parent,
        )
        self._begin(trial)
        return trial

    @final
    def repeat(self, recorded: Trial, elsewhere: bool = False) -> bool:
        """Take up a recorded trial as if it had just been asked for; False where another one would be.

        One proposed `elsewhere`, by another processor or other versions, whose sums may differ in their last
        digits, is taken up unseen by a scheduler that can.
        """
        with one_thread():
            caught_up = self._asked > 0 and self._catch_up(recorded, elsewhere)
        if not caught_up:
            return self.ask() == recorded
        self._begin(recorded)
        return recorded.id == self._asked

    def _begin(self, trial: Trial) -> None:
        self._asked += 1
        self._running[trial.id] = trial
        self._on_asked(trial)

    @final
    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Report a trial's outcome. Raises KeyError for a trial that is not running, ValueError where a value
        that is needed is missing or not finite; then the trial still runs, and may be told again."""
        if trial.id not in self._running:
            raise KeyError(trial.id)
        if not isinstance(outcome, Failure):
            missing = [name for name in self.problem.needed if not _is_finite(outcome.get(name))]
            if missing:
                raise ValueError(f"trial {trial.id}: no finite value for {missing}")
        del self._running[trial.id]
        self._observe(trial, outcome)

    @property
    def running(self) -> tuple[Trial, ...]:
        return tuple(self._running.values())

    def _default_proposal(self) -> Proposal:
        config = plain(self.problem.space.get_default_configuration())
        return Proposal(config, self.problem.max_budget, bracket=-1)

    def _catch_up(self, recorded: Trial, elsewhere: bool) -> bool:
        """Bring the state to where proposing this trial would leave it; False where only that does."""
        return False

    def _on_asked(self, trial: Trial) -> None:  # noqa: B027 - a hook most schedulers do without
        """Called with each numbered trial, for schedulers that must know the number of their proposal."""

    @abstractmethod
    def _propose(self) -> Proposal | None: ...

    @abstractmethod
    def _observe(self, trial: Trial, outcome: Outcome) -> None: ...


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def plain(configuration: "Configuration") -> dict[str, Value]:
    """A ConfigSpace configuration as a dict of plain Python values, in the order of the space."""
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in configuration.items()}
