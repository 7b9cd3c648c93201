"""One measurement at a time on a machine, and none unnoticed beside a training.

Two processes that measure together measure each other. `measuring` is a lock of the whole machine: the second
process waits. `trial_running` marks a training, which stands still between two epochs while another process
wants to measure; `measuring` begins once all do. So trials are trained in parallel and measured one at a time
on a quiet machine. Where a training does not come to its next epoch in time, `trials_running` counts it, so
that a measurement beside it is refused or flagged.

Both are locks that the operating system holds on an open file for a living process (flock), so a crash,
even a kill, releases them; a file left behind means nothing. They lie in the machine's temporary directory,
or where JOULESHIFT_LOCKS says.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_VARIABLE = "JOULESHIFT_LOCKS"
_MEASURING = "measuring.lock"
_POLL_S = 0.05
_EPOCH_S = 600.0
_LONGEST_S = 3600.0
"""A training goes on after that, whoever measures."""


@contextmanager
def measuring(timeout_s: float = 3600.0) -> Iterator[bool]:
    """Hold the machine's measuring lock; gives False, without it, when others kept it for `timeout_s`.

    Trainings get as long again, ten minutes at most, to come to the end of their epoch.
    """
    lock = _lock(_MEASURING)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        yield False
        return
    try:
        until_s = time.monotonic() + min(timeout_s, _EPOCH_S)
        while trials_running() and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        yield True
    finally:
        lock.release()


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
    mine = f"trial-{os.getpid()}.lock"
    return sum(_is_held(path.name) for path in _folder().glob("trial-*.lock") if path.name != mine)


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
