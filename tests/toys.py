"""Small stand-ins shared by the tests: results, a space and a scheduler that need no training."""

import time
from collections.abc import Callable
from pathlib import Path

from jouleshift import store
from jouleshift.hpo.executor import Done
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.journal import Asked, Finished
from jouleshift.records import EnergyReading, Epoch, Evaluation, Failure, Trial, TrialRecord

RUN_SETTINGS = "data: digits\nmodel: tiny\nseed: 0\nmin_budget: 1\nmax_budget: 9\ntrials: 10\n"
"""What a run's config.yaml must say."""


def write_run(directory: Path, *records: TrialRecord) -> Path:
    """These ended trials as a run directory, without checkpoints."""
    with store.Journal(directory) as journal:
        for made in records:
            assert made.result is not None
            journal.append(Asked(made.trial))
            journal.append(Finished(made.trial.id, made.result, made.duration_s or 0.0))
    (directory / store.CONFIG).write_text(RUN_SETTINGS.replace("10", str(len(records))))
    (directory / store.ENVIRONMENT).write_text("{}")
    return directory


def evaluation(error: float, energy_j: float, epochs: int = 1) -> Evaluation:
    curve = tuple(Epoch(k, 1.0 / k, 1.1 / k, error, 0.1, 0.5) for k in range(1, epochs + 1))
    reading = EnergyReading(energy_j, "modelled", "modelled", "a toy", components={"adds": energy_j})
    return Evaluation(error, reading, curve, epochs, 1000, 0.5, 0.1)


def evaluate(trial: Trial) -> Evaluation | Failure:
    """A closed-form trade-off; configurations with x = 5 fail."""
    x = trial.config["x"]
    if x == 5:
        return Failure("diverged", "x is five")
    return evaluation(1 / (1 + x + trial.budget), 1e-6 * (1 + x))


class Counting(Scheduler):
    """Proposes x = 1, 2, 3 …, and twice the last successful x after every third outcome: it has a state."""

    def __init__(self) -> None:
        super().__init__(Problem(space=None, max_budget=9))
        self._next = 0
        self._told: list[int] = []

    def _default_proposal(self) -> Proposal:
        return Proposal({"x": 0}, 9, bracket=-1)

    def _propose(self) -> Proposal:
        self._next += 1
        x = 2 * self._told[-1] if self._told and len(self._told) % 3 == 0 else self._next
        return Proposal({"x": x}, 1 + 2 * (x % 2))

    def _observe(self, trial: Trial, outcome) -> None:
        if not isinstance(outcome, Failure):
            self._told.append(trial.config["x"])


class Serial:
    """Trials in this process, one after the other: for functions that need no protection."""

    def __init__(self, evaluate: Callable[[Trial], Evaluation | Failure]) -> None:
        self._evaluate = evaluate
        self._waiting: list[Trial] = []

    @property
    def free(self) -> int:
        return 1 - len(self._waiting)

    def submit(self, trial: Trial) -> None:
        self._waiting.append(trial)

    def wait(self) -> Done:
        trial = self._waiting.pop(0)
        started = time.monotonic()
        result = self._evaluate(trial)
        return Done(trial, result, time.monotonic() - started)
