"""Where trials run: in processes of their own, which may die without taking the search along.

A trial can run out of memory, hang, or crash the interpreter. Each worker is therefore a separate Python
process (`python -m jouleshift.worker`) that speaks JSON lines over its standard input and output, keeps the
data set and its libraries loaded between trials, and is replaced when it dies:

    → {"setup": {…}}      ← {"ready": {…}, "foreknown": {…}} or {"bad_input": "…"}
    → {"trial": {…}}      ← {"epoch": {…}} …  ← {"result": {…}}

A worker that ends without an answer, outlives `timeout_s` or outgrows `memory_mb` yields a `Failure`. When
this process dies, the workers see their input close and end too.

Threads of a worker sleep while they wait for each other (OMP_WAIT_POLICY): spinning, they made trials up to
20 times slower on a machine that had anything else to do.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import psutil

from jouleshift.errors import BadInput
from jouleshift.records import Evaluation, Failure, Trial, result_from_json, to_json

_POLL_S = 0.5


@dataclass(frozen=True)
class Done:
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

    def wait(self) -> Done:
        """Block until a submitted trial has a result."""
        ...


class Workers:
    """`count` worker processes. Use as a context manager, which ends them on every way out."""

    def __init__(
        self,
        setup: Mapping[str, Any],
        *,
        count: int,
        log: Path,
        timeout_s: float | None = None,
        memory_mb: int | None = None,
        on_epoch: Callable[[Trial, Mapping[str, Any]], None] = lambda trial, epoch: None,
        command: Sequence[str] = (sys.executable, "-m", "jouleshift.worker"),
    ) -> None:
        self._setup = setup
        self._command = command
        self._log = log
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._on_epoch = on_epoch
        self._messages: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._count = count
        self.facts: Mapping[str, Any] = {}
        self.foreknown: Mapping[str, Any] = {}

    def __enter__(self) -> "Workers":
        try:
            first = self._start()
            ready = self._await_ready(first)
            self.facts, self.foreknown = ready["ready"], ready.get("foreknown", {})
            self._workers.append(first)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    @property
    def free(self) -> int:
        return self._count - sum(worker.trial is not None for worker in self._workers)

    def submit(self, trial: Trial) -> None:
        idle = next((worker for worker in self._workers if worker.trial is None), None)
        if idle is None:
            idle = self._start()
            self._workers.append(idle)
        idle.begin(trial)

    def wait(self) -> Done:
        while True:
            try:
                worker, message = self._messages.get(timeout=_POLL_S)
            except queue.Empty:
                self._enforce_limits()
                continue
            self._enforce_limits()
            if worker not in self._workers or worker.trial is None:
                if message is not None and "bad_input" in message:
                    raise BadInput(message["bad_input"])
                continue
            if message is None:
                return self._bury(worker)
            if "bad_input" in message:
                raise BadInput(message["bad_input"])
            if "ready" in message:
                worker.restart_clock()
            elif "epoch" in message:
                self._on_epoch(worker.trial, message["epoch"])
            elif "result" in message:
                return worker.end(result_from_json(message["result"]))

    def _start(self) -> "_Worker":
        worker = _Worker(self._command, self._log, self._messages)
        worker.send({"setup": self._setup})
        return worker

    def _await_ready(self, worker: "_Worker") -> Mapping[str, Any]:
        try:
            while True:
                _, message = self._messages.get()
                if message is None:
                    raise RuntimeError(
                        f"a worker ended while starting (exit code {worker.exit_code()}): {self._log}"
                    )
                if "bad_input" in message:
                    raise BadInput(message["bad_input"])
                if "ready" in message:
                    return message
        except BaseException:
            worker.kill()
            raise

    def _enforce_limits(self) -> None:
        for worker in self._workers:
            if worker.trial is None or worker.verdict is not None:
                continue
            if self._timeout_s is not None and worker.elapsed_s > self._timeout_s:
                worker.condemn(Failure("timeout", f"longer than {self._timeout_s:g} s"))
            elif self._memory_mb is not None and worker.memory_mb() > self._memory_mb:
                worker.condemn(Failure("out-of-memory", f"more than {self._memory_mb} MB of memory"))

    def _bury(self, worker: "_Worker") -> Done:
        self._workers.remove(worker)
        code = worker.exit_code()
        if worker.verdict is not None:
            return worker.end(worker.verdict)
        if code == -9:
            return worker.end(
                Failure("out-of-memory", "killed by the system (signal 9), usually for its memory")
            )
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        return worker.end(Failure("crashed", f"its process ended with {cause}; see {self._log.name}"))


class _Worker:
    """One process, the trial it runs, and the thread that reads its answers."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        messages: "queue.Queue[tuple[_Worker, dict[str, Any] | None]]",
    ) -> None:
        with log.open("ab") as log_file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self.trial: Trial | None = None
        self.verdict: Failure | None = None
        self._started = 0.0
        threading.Thread(target=self._read, args=(self._process.stdout, messages), daemon=True).start()

    def _read(
        self, stdout: IO[bytes], messages: "queue.Queue[tuple[_Worker, dict[str, Any] | None]]"
    ) -> None:
        for line in stdout:
            messages.put((self, json.loads(line)))
        messages.put((self, None))

    def send(self, message: Mapping[str, Any]) -> None:
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            pass  # the process is gone; its reader reports that

    def begin(self, trial: Trial) -> None:
        self.trial, self.verdict = trial, None
        self.restart_clock()
        self.send({"trial": to_json(trial)})

    def restart_clock(self) -> None:
        """Start a trial's time anew, so that loading libraries and data does not count."""
        self._started = time.monotonic()

    def end(self, result: Evaluation | Failure) -> Done:
        assert self.trial is not None
        finished = Done(self.trial, result, self.elapsed_s)
        self.trial = None
        return finished

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def memory_mb(self) -> float:
        try:
            return psutil.Process(self._process.pid).memory_info().rss / 2**20
        except psutil.Error:
            return 0.0

    def condemn(self, verdict: Failure) -> None:
        self.verdict = verdict
        self._process.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def exit_code(self) -> int:
        return self._process.wait()
