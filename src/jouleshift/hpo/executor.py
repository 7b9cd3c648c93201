"""What a search needs of the place where its trials run, whatever that place is.

    with workers as executor:
        while executor.free:
            executor.submit(scheduler.ask())
        done = executor.wait()

Workers may come and go: `free` is asked for anew each time, and `wait` returns None when there may be more of
it. A trial whose worker was lost runs again; whoever submitted it does not notice. Implementations: `local`
(processes of this machine) and `cluster` (those of a Dask cluster); `executors` chooses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from jouleshift.records import Evaluation, Failure, Trial

OnEpoch = Callable[[Trial, Mapping[str, Any]], None]
OnNote = Callable[[str], None]
"""Told what a person who waits should know."""


@dataclass(frozen=True)
class Done:
    """A trial's result and the seconds it took, loading libraries and data not counted."""

    trial: Trial
    result: Evaluation | Failure
    duration_s: float


class Executor(Protocol):
    """What the study needs: room for a trial, a way in, a way out."""

    @property
    def free(self) -> int:
        """How many more trials can be submitted now."""
        ...

    def submit(self, trial: Trial) -> None: ...

    def wait(self) -> Done | None:
        """Block until a submitted trial has a result, or until workers may have come (None)."""
        ...


class WorkerPool(Executor, Protocol):
    """An executor that owns workers, which end with the block."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the first worker found out about data, network and machine (`evaluate.Evaluator.facts`)."""
        ...

    @property
    def foreknown(self) -> Mapping[str, Any]:
        """What prices a configuration without training it (`evaluate.Evaluator.foreknown`)."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Work:
    """What every worker of a search is told once. The paths must be the same on all machines.

    `setup` is sent to the worker process as it is: the study, where checkpoints are, the split to judge on.
    """

    setup: Mapping[str, Any]
    log: Path
    timeout_s: float | None = None
    memory_mb: int | None = None
    command: Sequence[str] | None = None
    """What starts a worker process; by default `python -m jouleshift.worker`."""
