"""One measurement at a time on a machine, and none unnoticed beside a training.

Two processes that measure together measure each other. `measuring` is a lock of the whole machine: the second
process waits. `trial_running` marks a training; `trials_running` counts the marks of other processes, so that
a measurement beside them is refused or flagged.

Both are locks that the operating system holds on an open file for a living process (flock), so a crash,
even a kill, releases them; a file left behind means nothing. They lie in the machine's temporary directory,
or where JOULESHIFT_LOCKS says.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_VARIABLE = "JOULESHIFT_LOCKS"


@contextmanager
def measuring(timeout_s: float = 3600.0) -> Iterator[bool]:
    """Hold the machine's measuring lock; gives False, without it, when others kept it for `timeout_s`."""
    lock = _lock("measuring.lock")
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def trial_running() -> Iterator[None]:
    """Mark this process as one that trains, for as long as the block lasts or the process lives."""
    name = f"trial-{os.getpid()}.lock"
    try:
        with _lock(name):
            yield
    finally:
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
