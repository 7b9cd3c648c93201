"""One measurement at a time on a machine, and none unnoticed beside a training.

Two processes that measure together measure each other. `measuring` is a lock of the whole machine: the second
process waits. `trial_running` marks a training, which stands still between two epochs while another process
wants to measure; `measuring` begins once all do. So trials are trained in parallel and measured one at a time
on a quiet machine. Where a training does not come to its next epoch in time, `trials_running` counts it, so
that a measurement beside it is refused or flagged. A measurement that has waited for two seconds says so, and
for whom: on standard error, unless `telling` names another way to a person.

Both are locks that the operating system holds on an open file for a living process (flock), so a crash,
even a kill, releases them; a file left behind means nothing. They lie in the machine's temporary directory,
or where JOULESHIFT_LOCKS says.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

_VARIABLE = "JOULESHIFT_LOCKS"
_MEASURING = "measuring.lock"
_HOLDER = "measuring.pid"
_POLL_S = 0.05
_SILENT_S = 2.0
_LONGEST_COMMAND = 60
_EPOCH_S = 600.0
_LONGEST_S = 3600.0
"""A training goes on after that, whoever measures."""

Tell = Callable[[str], None]


def _on_standard_error(text: str) -> None:
    print(f"jouleshift: {text}", file=sys.stderr, flush=True)


_tell: Tell = _on_standard_error


def telling(tell: Tell) -> None:
    """From now on, words of this process for a person who waits go to `tell`."""
    global _tell
    _tell = tell


def tell(text: str) -> None:
    """Say something to a person who waits."""
    _tell(text)


@contextmanager
def measuring(timeout_s: float = 3600.0) -> Iterator[bool]:
    """Hold the machine's measuring lock; gives False, without it, when others kept it for `timeout_s`.

    Trainings get as long again, ten minutes at most, to come to the end of their epoch.
    """
    lock = _lock(_MEASURING)
    if not _acquired(lock, timeout_s):
        yield False
        return
    try:
        with suppress(OSError):  # another user's file; the lock counts, not the name beside it
            (_folder() / _HOLDER).write_text(str(os.getpid()))
        _wait_for_trials(min(timeout_s, _EPOCH_S))
        yield True
    finally:
        lock.release()


def _acquired(lock: FileLock, timeout_s: float) -> bool:
    silent_s = min(timeout_s, _SILENT_S)
    with suppress(Timeout):
        lock.acquire(timeout=silent_s)
        return True
    if timeout_s > silent_s:
        tell(f"waiting to measure energy until {_measurer()} has measured")
        with suppress(Timeout):
            lock.acquire(timeout=timeout_s - silent_s)
            return True
    return False


def _wait_for_trials(timeout_s: float) -> None:
    start_s, told = time.monotonic(), False
    while (trials := _trials()) and (waited_s := time.monotonic() - start_s) < timeout_s:
        if waited_s > _SILENT_S and not told:
            epochs = " and ".join(map(_process, trials))
            tell(f"waiting to measure energy until the epoch of {epochs} ends")
            told = True
        time.sleep(_POLL_S)


def _measurer() -> str:
    try:
        return _process(int((_folder() / _HOLDER).read_text()))
    except (OSError, ValueError):
        return "another process"


def _process(pid: int) -> str:
    """A process in words, with the end of its command where that can be read."""
    try:
        command = " ".join(" ".join(psutil.Process(pid).cmdline()).split())
    except psutil.Error:
        command = ""
    shown = command if len(command) <= _LONGEST_COMMAND else f"…{command[-_LONGEST_COMMAND:]}"
    return f"process {pid} ({shown})" if shown else f"process {pid}"


@contextmanager
def trial_running() -> Iterator[Callable[[], None]]:
    """Mark this process as one that trains, for as long as the block lasts or the process lives.

    Gives a function to call between two epochs: it stands still while another process measures.
    """
    name = f"trial-{os.getpid()}.lock"
    mark, measured = _lock(name), _lock(_MEASURING)

    def stand_still() -> None:
        mark.release()
        with suppress(Timeout), measured.acquire(timeout=_LONGEST_S):
            mark.acquire()
            return
        mark.acquire()

    try:
        stand_still()
        yield stand_still
    finally:
        mark.release()
        (_folder() / name).unlink(missing_ok=True)


def trials_running() -> int:
    """How many other processes are inside `trial_running` now."""
    return len(_trials())


def _trials() -> list[int]:
    """The ids of other processes inside `trial_running`."""
    names = {path.name: int(path.stem.removeprefix("trial-")) for path in _folder().glob("trial-[0-9]*.lock")}
    return [pid for name, pid in names.items() if pid != os.getpid() and _is_held(name)]


def _is_held(name: str) -> bool:
    try:
        with _lock(name).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock(name: str) -> FileLock:
    """A lock file that every user of the machine may open."""
    path = _folder() / name
    if not path.exists():
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            path.chmod(0o666)
    return FileLock(path)


def _folder() -> Path:
    folder = Path(os.environ.get(_VARIABLE) or Path(tempfile.gettempdir()) / "jouleshift-locks")
    if not folder.is_dir():
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            folder.chmod(0o777)
    return folder
