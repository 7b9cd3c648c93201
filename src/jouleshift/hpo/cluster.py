"""Trials on the workers of a Dask cluster, one at a time on each (Rocklin, 2015).

Dask brings workers together and finds out when one is gone. Which trial runs where is decided here, so that
each worker trains one trial with all its threads, however Dask would count. A worker that joins gets a trial
at the next look, a second later. A trial whose worker is gone runs again elsewhere and goes on from its last
checkpoint in the run directory, which all machines must share; at the tenth time the trial is to blame. On
its machine a trial runs in a process of its own, under the same limits as anywhere (`remote`, `seat`).

A search is lost when its Dask scheduler is: it ends in one line, and the same command continues it.
"""

import queue
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker

from jouleshift.errors import BadInput
from jouleshift.hpo import remote
from jouleshift.hpo.executor import Done, OnEpoch, Work
from jouleshift.hpo.jobqueue import submitted
from jouleshift.records import Failure, Trial, result_from_json, to_json

LOSSES = 10
"""How many workers a trial may lose."""
_LOOK_S = 1.0
_CONNECT_S = 20
_Event = Future | tuple[int, Mapping[str, Any]]


@dataclass(frozen=True)
class _Placed:
    trial: Trial
    worker: str
    future: Future


class ClusterWorkers:
    """The workers of the Dask scheduler at an address, or of the cluster that a YAML file describes.

    Use as a context manager: jobs that it submitted end with it, workers of others stay.
    """

    def __init__(self, where: str, work: Work, on_epoch: OnEpoch, on_note: Callable[[str], None]) -> None:
        self._where, self._work = where, work
        self._on_epoch, self._note = on_epoch, on_note
        proof = Path(work.setup["checkpoints"]) / f".shared-{uuid.uuid4().hex}"
        self._session = remote.Session(proof.name, work, proof)
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._placed: dict[str, _Placed] = {}
        self._again: list[Trial] = []
        self._losses: dict[int, int] = {}
        self._workers: set[str] = set()
        self._looked_s = -_LOOK_S
        self._open = ExitStack()
        self.facts: Mapping[str, Any] = {}
        self.foreknown: Mapping[str, Any] = {}

    def __enter__(self) -> "ClusterWorkers":
        with self._open:
            self._session.proof.touch()
            self._open.callback(self._session.proof.unlink, missing_ok=True)
            self._client = self._connect()
            self._release()
            self._open.callback(self._release)
            self._client.subscribe_topic(self._session.name, lambda event: self._events.put(event[1]))
            answer = self._first_answer()
            self.facts, self.foreknown = answer["ready"], answer.get("foreknown", {})
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def free(self) -> int:
        self._look()
        return max(0, len(self._idle()) - len(self._again))

    def submit(self, trial: Trial) -> None:
        self._again.append(trial)
        self._place()

    def wait(self) -> Done | None:
        self._look()
        self._place()
        for trial in self._again:
            if self._losses.get(trial.id, 0) >= LOSSES:
                self._again.remove(trial)
                return Done(trial, Failure("crashed", f"{LOSSES} workers were lost while it ran"), 0.0)
        try:
            event = self._events.get(timeout=_LOOK_S)
        except queue.Empty:
            return None
        if isinstance(event, Future):
            return self._ended(event)
        number, epoch = event
        for placed in self._placed.values():
            if placed.trial.id == number:
                self._on_epoch(placed.trial, epoch)
        return None

    def _ended(self, future: Future) -> Done | None:
        placed = self._placed.get(future.key)
        if placed is None:
            return None
        try:
            answer = future.result()
        except (CancelledError, KilledWorker):
            self._lost(placed)
            return None
        del self._placed[future.key]
        return Done(placed.trial, result_from_json(answer["result"]), answer["duration_s"])

    def _connect(self) -> Client:
        """A client of the cluster, closed with it. BadInput where there is none."""
        where: Any = self._where
        if where.endswith((".yaml", ".yml")):
            where = self._open.enter_context(submitted(Path(where), self._work.log.parent))
        try:
            client = Client(where, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"workers {self._where}: no Dask scheduler answers there ({reason})") from None
        self._open.callback(client.close, timeout=2)
        return client

    def _release(self) -> None:
        """End what workers still do for this run, a killed search's trials included."""
        with suppress(OSError, TimeoutError, ValueError):
            if self._client.status == "running":
                self._client.run(remote.release, self._work.log, on_error="ignore")

    def _first_answer(self) -> Mapping[str, Any]:
        """What the first worker says of data and network, however long it takes one to come."""
        told = False
        while True:
            self._look()
            if not self._workers and not told:
                self._note(f"waiting for a worker of {self._client.scheduler.address}")
                told = True
            for worker in sorted(self._workers)[:1]:
                future = self._submit(worker, remote.describe, self._session)
                while worker in self._workers and not future.done():
                    time.sleep(0.1)
                    self._look()
                if worker in self._workers:
                    return future.result()
            time.sleep(0.1)

    def _submit(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Future:
        return self._client.submit(function, *arguments, workers=[worker], pure=False)

    def _look(self) -> None:
        """Learn who is there. Trials of workers that are gone are to run again."""
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        if self._client.status == "running":
            self._workers = set(self._client.scheduler_info(n_workers=-1)["workers"])
        if self._client.status != "running":
            raise BadInput(
                f"the Dask scheduler of {self._where} is gone; finished trials are kept, and the same command "
                "continues when there is one again"
            )
        self._looked_s = time.monotonic()
        for placed in [placed for placed in self._placed.values() if placed.worker not in self._workers]:
            self._lost(placed)

    def _lost(self, placed: _Placed) -> None:
        del self._placed[placed.future.key]
        placed.future.cancel()
        self._losses[placed.trial.id] = self._losses.get(placed.trial.id, 0) + 1
        self._note(f"worker {placed.worker} is gone; trial {placed.trial.id} runs again")
        self._again.insert(0, placed.trial)

    def _idle(self) -> list[str]:
        busy = {placed.worker for placed in self._placed.values()}
        return sorted(self._workers - busy)

    def _place(self) -> None:
        """Give what waits to workers without a trial."""
        for worker in self._idle():
            if not self._again:
                return
            trial = self._again.pop(0)
            future = self._submit(worker, remote.run, self._session, {"trial": to_json(trial)})
            self._placed[future.key] = _Placed(trial, worker, future)
            future.add_done_callback(self._events.put)
