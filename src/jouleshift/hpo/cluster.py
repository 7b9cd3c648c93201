"""Trials on the workers of a Dask cluster, one at a time on each (Rocklin, 2015).

Dask brings workers together and finds out when one is gone. Which trial runs where is decided here, so that
each worker trains one trial with all its threads, however Dask would count. A worker that joins gets a trial
at the next look, a second later. A trial whose worker is gone runs again elsewhere and goes on from its last
checkpoint in the run directory, which all machines must share; at the tenth time the trial is to blame. On
its machine a trial runs in a process of its own, under the same limits as anywhere (`remote`, `seat`).

Where energies are measured, they can be on machines of one kind: workers with the Dask resource `measure_on`
measure one trial at a time and train none, the others leave what they trained in its checkpoint.

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
from jouleshift.hpo.executor import Done, OnEpoch, OnNote, Work
from jouleshift.hpo.jobqueue import submitted
from jouleshift.hpo.seat import NotStarted
from jouleshift.records import Failure, Trial, result_from_json, to_json
from jouleshift.words import count

LOSSES = 10
"""How many workers a trial may lose."""
_LOOK_S = 1.0
_CONNECT_S = 20
_Event = Future | str | tuple[int, Mapping[str, Any]]


@dataclass(frozen=True)
class _Task:
    """A trial to be trained or, where it has been for `trained_s` seconds, to be measured elsewhere."""

    trial: Trial
    trained_s: float | None = None


@dataclass(frozen=True)
class _Placed:
    task: _Task
    worker: str
    future: Future


class ClusterWorkers:
    """The workers of the Dask scheduler at an address, or of the cluster that a YAML file describes.

    Use as a context manager: jobs that it submitted end with it, workers of others stay.
    """

    def __init__(self, where: str, work: Work, on_epoch: OnEpoch, on_note: OnNote) -> None:
        self._where, self._work = where, work
        self._measure_on: str | None = work.setup["study"]["measure_on"]
        self._on_epoch, self._note = on_epoch, on_note
        proof = Path(work.setup["checkpoints"]) / f".shared-{uuid.uuid4().hex}"
        self._session = remote.Session(proof.name, work, proof)
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._placed: dict[object, _Placed] = {}
        self._waiting: list[_Task] = []
        self._losses: dict[int, int] = {}
        self._trainers: set[str] = set()
        self._meters: set[str] = set()
        self._unfit: set[str] = set()
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
        """How many more trials can be submitted now: none while as many as there are trainers are trained and
        wait to be measured, which more would only join."""
        self._look()
        to_measure = sum(task.trained_s is not None for task in self._waiting)
        if to_measure >= max(1, len(self._trainers)):
            return 0
        waiting = len(self._waiting) - to_measure
        return max(0, len(self._idle(self._trainers)) - waiting)

    def submit(self, trial: Trial) -> None:
        self._waiting.append(_Task(trial))
        self._place()

    def wait(self) -> Done | None:
        self._look()
        self._place()
        for task in self._waiting:
            if self._losses.get(task.trial.id, 0) >= LOSSES:
                self._waiting.remove(task)
                lost = f"{count(LOSSES, 'worker')} lost while it ran"
                return Done(task.trial, Failure("crashed", lost), 0.0)
        try:
            event = self._events.get(timeout=_LOOK_S)
        except queue.Empty:
            return None
        if isinstance(event, Future):
            return self._ended(event)
        if isinstance(event, str):
            self._note(event)
            return None
        number, epoch = event
        for placed in self._placed.values():
            if placed.task.trial.id == number:
                self._on_epoch(placed.task.trial, epoch)
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
        except NotStarted as error:
            self._set_aside(placed.worker, error)
            self._lost(placed)
            return None
        del self._placed[future.key]
        task, result, took_s = placed.task, answer["result"], answer["duration_s"]
        if result is None:
            self._waiting.append(_Task(task.trial, took_s))
            if not self._meters:
                self._note(
                    f"trial {task.trial.id} is trained and waits for a worker with the resource "
                    f"{self._measure_on} to be measured"
                )
            return None
        if task.trained_s is not None and "kind" not in result:
            result["train_s"] = round(task.trained_s, 3)
        return Done(task.trial, result_from_json(result), took_s + (task.trained_s or 0.0))

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
            if not self._trainers and not told:
                self._note(f"waiting for a worker of {self._client.scheduler.address}")
                told = True
            for worker in sorted(self._trainers)[:1]:
                future = self._submit(worker, remote.describe, self._session)
                while worker in self._trainers and not future.done():
                    time.sleep(0.1)
                    self._look()
                if worker in self._trainers:
                    try:
                        return future.result()
                    except NotStarted as error:
                        self._set_aside(worker, error)
            time.sleep(0.1)

    def _submit(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Future:
        return self._client.submit(function, *arguments, workers=[worker], pure=False)

    def _look(self) -> None:
        """Learn who is there. Trials of workers that are gone are to run again."""
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        if self._client.status == "running":
            there = self._client.scheduler_info(n_workers=-1)["workers"]
            fit = {name: told for name, told in there.items() if name not in self._unfit}
            self._meters = {name for name, told in fit.items() if self._measure_on in told["resources"]}
            self._trainers = set(fit) - self._meters
        if self._client.status != "running":
            raise BadInput(
                f"the Dask scheduler of {self._where} is gone; finished trials are kept, and the same "
                "command continues when there is one again"
            )
        self._looked_s = time.monotonic()
        for placed in [p for p in self._placed.values() if p.worker not in self._trainers | self._meters]:
            self._lost(placed)

    def _set_aside(self, worker: str, error: NotStarted) -> None:
        """Give a worker nothing more whose processes do not start: it would take every trial and end none.

        Raises BadInput where no other is there.
        """
        self._unfit.add(worker)
        self._note(f"worker {worker} gets no more trials: {error}")
        self._trainers.discard(worker)
        self._meters.discard(worker)
        if not self._trainers:
            raise BadInput(
                f"no worker of {self._where} can start trials ({error}); finished trials are kept, and the "
                "same command continues"
            )

    def _lost(self, placed: _Placed) -> None:
        del self._placed[placed.future.key]
        placed.future.cancel()
        trial = placed.task.trial
        self._losses[trial.id] = self._losses.get(trial.id, 0) + 1
        if placed.worker not in self._unfit:
            self._note(f"worker {placed.worker} is gone; trial {trial.id} runs again")
        self._waiting.insert(0, placed.task)

    def _idle(self, workers: set[str]) -> list[str]:
        busy = {placed.worker for placed in self._placed.values()}
        return sorted(workers - busy)

    def _place(self) -> None:
        """Give what waits to workers without a trial."""
        for task in list(self._waiting):
            idle = self._idle(self._trainers if task.trained_s is None else self._meters)
            if idle:
                self._waiting.remove(task)
                measure = self._measure_on is None or task.trained_s is not None
                message = {"trial": to_json(task.trial), "measure": measure}
                future = self._submit(idle[0], remote.run, self._session, message)
                self._placed[future.key] = _Placed(task, idle[0], future)
                future.add_done_callback(self._events.put)
