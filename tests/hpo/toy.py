"""Closed-form problems and a driver that plays the part of a study, for the scheduler tests."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenGreaterThanRelation,
    ForbiddenInClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    NotEqualsCondition,
    OrConjunction,
)

from jouleshift.hpo.scheduler import Scheduler
from jouleshift.records import Failure, Outcome, Trial, Value

Event = tuple[str, Trial, Outcome | None]


def mixed_space() -> ConfigurationSpace:
    """Every kind of hyperparameter, one of them conditional."""
    space = ConfigurationSpace()
    optimizer = Categorical("optimizer", ["SGD", "Adam", "RAdam"], default="SGD")
    momentum = Float("momentum", (0.0, 0.9), default=0.9)
    space.add(
        Float("learning_rate", (1e-3, 1e-1), default=0.1, log=True),
        optimizer,
        momentum,
        Integer("weight_bits", (2, 8), default=5),
        Constant("rounding", "deterministic"),
        EqualsCondition(momentum, optimizer, "SGD"),
    )
    return space


def tiny_space() -> ConfigurationSpace:
    """Six configurations in all."""
    space = ConfigurationSpace()
    space.add(Categorical("kind", ["Q", "PS"], default="PS"), Integer("bits", (2, 4), default=3))
    return space


def forbidding_space() -> ConfigurationSpace:
    """Half of it is forbidden, by both kinds of clauses."""
    space = ConfigurationSpace()
    low, high = Integer("low", (0, 9), default=1), Integer("high", (0, 9), default=8)
    kind = Categorical("kind", ["Q", "PS"], default="PS")
    space.add(low, high, kind, Float("learning_rate", (1e-3, 1e-1), default=0.1, log=True))
    space.add(
        ForbiddenGreaterThanRelation(low, high),
        ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "Q"), ForbiddenInClause(high, [7, 8, 9])),
    )
    return space


def conditional_space() -> ConfigurationSpace:
    """Conditions on what is itself conditional: or, and, not equal, greater, one of some."""
    space = ConfigurationSpace()
    a = Categorical("a", ["x", "y"], default="x")
    b = Categorical("b", ["p", "q", "r"], default="p")
    c, d, e, f = (Float(name, (0, 1), default=0.5) for name in "cdef")
    bits = Integer("weight_bits", (2, 8), default=5)
    space.add(a, b, c, d, e, f, bits)
    space.add(
        EqualsCondition(b, a, "x"),
        OrConjunction(EqualsCondition(c, b, "p"), EqualsCondition(c, a, "y")),
        AndConjunction(EqualsCondition(d, a, "x"), InCondition(d, b, ["q", "r"])),
        NotEqualsCondition(e, b, "p"),
        GreaterThanCondition(f, bits, 4),
    )
    return space


def energy(config: Mapping[str, Value]) -> float:
    return 1e-9 * (1 + float(config.get("weight_bits", 2)))


def outcome(trial: Trial) -> dict[str, float]:
    """Error falls with the budget, is best at rate 0.02; energy depends on the configuration only."""
    distance = abs(float(trial.config.get("learning_rate", 0.02)) - 0.02) / 0.1
    bits = float(trial.config.get("weight_bits", 2))
    momentum = float(trial.config.get("momentum", 0.5))
    error = 0.05 + 0.4 * distance + 0.3 / bits + 0.05 * momentum + 0.4 / (1 + trial.budget)
    return {"error": error, "energy_j": energy(trial.config), "size": bits**2 + 10 * momentum}


def never(trial: Trial) -> bool:
    return False


def always(trial: Trial) -> bool:
    return True


def third(trial: Trial) -> bool:
    """A third of all configurations fail, whatever the budget."""
    return sum(ord(letter) for letter in repr(sorted(trial.config.items()))) % 3 == 0


@dataclass
class Driver:
    """A study of `workers` workers whose trials end in an order drawn from `seed`."""

    scheduler: Scheduler
    workers: int = 1
    fails: Callable[[Trial], bool] = never
    seed: int = 0
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def trials(self) -> list[Trial]:
        return [trial for kind, trial, _ in self.events if kind == "ask"]

    @property
    def outcomes(self) -> dict[int, Outcome]:
        return {
            trial.id: result for kind, trial, result in self.events if kind == "tell" and result is not None
        }

    def run(self, n_trials: int) -> "Driver":
        """Run until `n_trials` trials have been asked for and told, or there is nothing to propose."""
        while True:
            wanted = n_trials - len(self.trials)
            if wanted > 0 and len(self.scheduler.running) < self.workers:
                trial = self.scheduler.ask()
                if trial is not None:
                    self.events.append(("ask", trial, None))
                    continue
            if not self.scheduler.running:
                return self
            self._finish(self._random.choice(self.scheduler.running))

    def _finish(self, trial: Trial) -> None:
        result: Outcome = Failure("diverged", "loss is NaN") if self.fails(trial) else outcome(trial)
        self.scheduler.tell(trial, result)
        self.events.append(("tell", trial, result))


def replay(scheduler: Scheduler, events: Iterable[Event]) -> None:
    """Repeat recorded calls, as a continued study does."""
    for kind, trial, result in events:
        if kind == "ask":
            assert scheduler.repeat(trial)
        else:
            assert result is not None
            scheduler.tell(trial, result)
