"""One place where trials run, one after the other: a process that may die without taking the search along.

A trial can run out of memory, hang, or crash the interpreter. It therefore runs in a Python process of its
own (`python -m jouleshift.worker`), which speaks JSON lines over its standard input and output, keeps the
data set and its libraries loaded between trials, and is replaced when it dies:

    → {"setup": {…}}      ← {"ready": {…}, "foreknown": {…}} or {"bad_input": "…"}
    → {"trial": {…}}      ← {"epoch": {…}} or {"note": "…"} …  ← {"result": {…}} or {"crashed": "…"}

With "measure": false beside the trial, a result of null says that it is trained and in its checkpoint.

A process that outlives `timeout_s`, outgrows `memory_mb` or crashes yields a `Failure`. One that was killed
from outside is started again with the same trial, which goes on from its last checkpoint; at the third time
the trial is to blame, as when the system kills it for its memory. When the process that owns the seat dies,
the worker sees its input close and ends too.

Threads of a worker sleep while they wait for each other (OMP_WAIT_POLICY): spinning, they made trials up to
20 times slower on a machine that had anything else to do.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from jouleshift.errors import BadInput
from jouleshift.hpo.executor import OnNote, Work
from jouleshift.records import Failure, to_json

ATTEMPTS = 3
"""How often a trial may have its process killed."""
_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
_POLL_S = 0.5

Message = Mapping[str, Any]
Result = dict[str, Any] | None


class NotStarted(RuntimeError):  # noqa: N818 - it names what happened
    """A worker process that ended before it was ready: its exit code, and where its last words are."""

    def __init__(self, code: int, log: Path) -> None:
        super().__init__(code, log)
        self.killed = code in _FROM_OUTSIDE

    def __str__(self) -> str:
        code, log = self.args
        return f"a worker ended while starting (exit code {code}): {log}"


class Seat:
    """Runs trials one at a time; `close`, from any thread, ends whatever runs."""

    def __init__(
        self, work: Work, environment: Mapping[str, str] | None = None, on_note: OnNote = lambda note: None
    ) -> None:
        self._work = work
        self._on_note = on_note
        self._environment = environment or {}
        self._process: _Process | None = None
        self._closed = False
        self._lock = threading.Lock()

    def open(self) -> Message:
        """Start the process and wait until it is ready: its first answer.

        Raises BadInput where it refuses the set-up, NotStarted where it dies of itself or is killed again and
        again.
        """
        for attempt in range(1, ATTEMPTS + 1):
            process = self._start()
            answer = process.answer()
            if answer is not None:
                return answer
            code = process.exit_code()
            if code not in _FROM_OUTSIDE or attempt == ATTEMPTS or self._closed:
                break
        raise NotStarted(code, self._work.log)

    def run(
        self, message: Message, on_epoch: Callable[[Message], None] = lambda epoch: None
    ) -> tuple[Result, float]:
        """The result of a trial as plain JSON, and how many seconds it took. Raises as `open` does."""
        for attempt in range(1, ATTEMPTS + 1):
            process = self._process or self._opened()
            try:
                return process.run(message, on_epoch, self._on_note, self._work), process.elapsed_s
            except _Ended:
                self._process = None
            if process.verdict is not None:
                return to_json(process.verdict), process.elapsed_s
            code = process.exit_code()
            if code not in _FROM_OUTSIDE or attempt == ATTEMPTS or self._closed:
                break
        return to_json(self._blame(code)), process.elapsed_s

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _opened(self) -> "_Process":
        self.open()
        assert self._process is not None
        return self._process

    def _start(self) -> "_Process":
        with self._lock:
            if self._closed:
                raise RuntimeError("this seat is closed")
            self._process = _Process(self._work, self._environment)
            return self._process

    def _blame(self, code: int) -> Failure:
        if code == -signal.SIGKILL:
            return Failure(
                "out-of-memory", f"killed {ATTEMPTS} times by the system (signal 9), usually for its memory"
            )
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Failure("crashed", f"its process ended with {cause}; see {self._work.log.name}")


class _Ended(Exception):  # noqa: N818 - it names what happened
    """A worker process ended without an answer."""


class _Process:
    """One worker process and the thread that reads its answers."""

    def __init__(self, work: Work, environment: Mapping[str, str]) -> None:
        with work.log.open("ab") as log_file:
            self._process = subprocess.Popen(
                work.command or (sys.executable, "-m", "jouleshift.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **environment},
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.verdict: Failure | None = None
        self._started = time.monotonic()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self._send({"setup": work.setup})

    def _read(self, stdout: IO[bytes]) -> None:
        for line in stdout:
            if line.endswith(b"\n"):  # a killed process may leave half of one
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _send(self, message: Message) -> None:
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            pass  # the process is gone; its reader reports that

    def answer(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message, None where the process has ended. Raises BadInput where it refuses the set-up,
        queue.Empty where none comes within the time."""
        message = self._answers.get(timeout=timeout_s)
        if message is not None and "bad_input" in message:
            raise BadInput(message["bad_input"])
        return message

    def run(
        self, message: Message, on_epoch: Callable[[Message], None], on_note: OnNote, work: Work
    ) -> Result:
        """The result of a trial. Raises _Ended where the process has; `verdict` says if we did it."""
        self._started = time.monotonic()
        self._send(message)
        while True:
            try:
                answer = self.answer(_POLL_S)
            except queue.Empty:
                self._enforce_limits(work)
                continue
            if answer is None:
                raise _Ended
            if "result" in answer:
                return answer["result"]
            if "crashed" in answer:
                self._condemn(Failure("crashed", answer["crashed"]))
                continue
            self._enforce_limits(work)
            if "note" in answer:
                on_note(answer["note"])
            else:
                on_epoch(answer["epoch"])

    def _enforce_limits(self, work: Work) -> None:
        if work.timeout_s is not None and self.elapsed_s > work.timeout_s:
            self._condemn(Failure("timeout", f"longer than {work.timeout_s:g} s"))
        elif work.memory_mb is not None and self._memory_mb() > work.memory_mb:
            self._condemn(Failure("out-of-memory", f"more than {work.memory_mb} MB of memory"))

    def _condemn(self, verdict: Failure) -> None:
        if self.verdict is None:
            self.verdict = verdict
            self._process.kill()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def _memory_mb(self) -> float:
        try:
            return psutil.Process(self._process.pid).memory_info().rss / 2**20
        except psutil.Error:
            return 0.0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def exit_code(self) -> int:
        return self._process.wait()
