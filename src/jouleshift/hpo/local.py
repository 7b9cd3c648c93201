"""Trials in processes of this machine, `count` at a time.

Each has a seat (`seat`) and a thread that waits for it. Where there are GPUs, each seat sees one of them, in
turn; where there are none, the variable is left alone.
"""

import os
import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jouleshift.errors import BadInput
from jouleshift.hpo.executor import Done, OnEpoch, OnNote, Work
from jouleshift.hpo.seat import NotStarted, Seat
from jouleshift.records import Trial, result_from_json, to_json


@dataclass(frozen=True)
class _Epoch:
    trial: Trial
    epoch: Mapping[str, Any]


@dataclass(frozen=True)
class _Ended:
    seat: Seat
    done: Future[Done]


class LocalWorkers:
    """`count` worker processes. Use as a context manager, which ends them on every way out."""

    def __init__(
        self,
        work: Work,
        count: int = 1,
        on_epoch: OnEpoch = lambda trial, epoch: None,
        gpus: Sequence[str] | None = None,
        on_note: OnNote = lambda note: None,
    ) -> None:
        gpus = visible_gpus() if gpus is None else gpus
        self._seats = [Seat(work, one_gpu(gpus, index), self._noted) for index in range(count)]
        self._idle = list(self._seats)
        self._threads = ThreadPoolExecutor(count)
        self._on_epoch, self._on_note = on_epoch, on_note
        self._events: queue.SimpleQueue[_Ended | _Epoch | str] = queue.SimpleQueue()
        self.facts: Mapping[str, Any] = {}
        self.foreknown: Mapping[str, Any] = {}

    def __enter__(self) -> "LocalWorkers":
        try:
            with _outside_told():
                answer = self._seats[0].open()
        except BaseException:
            self.close()
            raise
        self.facts, self.foreknown = answer["ready"], answer.get("foreknown", {})
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for seat in self._seats:
            seat.close()
        self._threads.shutdown(cancel_futures=True)

    @property
    def free(self) -> int:
        return len(self._idle)

    def submit(self, trial: Trial) -> None:
        seat = self._idle.pop(0)
        future = self._threads.submit(self._run, seat, trial)
        future.add_done_callback(lambda ended: self._events.put(_Ended(seat, ended)))

    def wait(self) -> Done:
        while not isinstance(event := self._events.get(), _Ended):
            if isinstance(event, _Epoch):
                self._on_epoch(event.trial, event.epoch)
            else:
                self._on_note(event)
        self._idle.append(event.seat)
        with _outside_told():
            return event.done.result()

    def _noted(self, note: str) -> None:
        self._events.put(note)

    def _run(self, seat: Seat, trial: Trial) -> Done:
        message = {"trial": to_json(trial)}
        result, duration_s = seat.run(message, lambda epoch: self._events.put(_Epoch(trial, epoch)))
        assert result is not None
        return Done(trial, result_from_json(result), duration_s)


@contextmanager
def _outside_told() -> Iterator[None]:
    """Who kills processes that start, as a system without memory does, is no bug of ours."""
    try:
        yield
    except NotStarted as error:
        if not error.killed:
            raise
        raise BadInput(f"{error}; finished trials are kept, and the same command continues") from None


def visible_gpus() -> Sequence[str]:
    """The NVIDIA GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        return [name for name in stated.split(",") if name]
    import pynvml  # of codecarbon's requirements

    try:
        pynvml.nvmlInit()
        return [str(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def one_gpu(gpus: Sequence[str], seat: int) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": gpus[seat % len(gpus)]} if gpus else {}
