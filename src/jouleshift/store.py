"""The run directory: who may write it, and how files in it survive a crash.

The journal (`journal`) is appended to, each event flushed to the disk before anything else happens with it;
every other file is replaced as a whole. One process writes a run at a time. The operating system holds its
lock, so no stale lock survives a crash; readers need none.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from jouleshift import environment
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.journal import Event, encode, read_events, records
from jouleshift.records import Run, TrialRecord
from jouleshift.words import count

JOURNAL = "trials.jsonl"
VERIFICATION = "verify.jsonl"
CONFIG = "config.yaml"
ENVIRONMENT = "env.json"
PRIORS = "priors.json"
CHECKPOINTS = "checkpoints"
LOG = "run.log"
_LOCK = "run.lock"
_HOLDER = "run.holder.json"
_LONG_AGO = datetime.fromtimestamp(0, UTC)
"""Stands for an unknown time."""
_PATIENCE_S = 1.0
"""A reader that looks whether the lock is held holds it for a moment."""


class Journal:
    """A run directory opened for writing. Use as a context manager: it holds the run's lock."""

    def __init__(self, directory: Path, name: str = JOURNAL) -> None:
        self.directory = directory
        self.path = directory / name
        self.events: list[Event] = []
        self.torn_bytes = 0
        self._lock = FileLock(directory / _LOCK)
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / CHECKPOINTS).mkdir(exist_ok=True)
            self._acquire()
            try:
                self.events, intact, self.torn_bytes = read_events(self.path)
                self._file = self.path.open("ab", buffering=0)
                self._file.truncate(intact)
            except BaseException:
                self._lock.release()
                raise
        return self

    def _acquire(self) -> None:
        _acquire(self._lock, self.directory)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        me = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        write_atomically(self.directory / _HOLDER, json.dumps(me) + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        (self.directory / _HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def append(self, event: Event) -> None:
        """Write one event; when this returns it is on the disk."""
        if self._file is None:
            raise RuntimeError("the journal is not open")
        with writing(self.path):
            intact = os.fstat(self._file.fileno()).st_size
            try:
                rest = encode(event).encode()
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fsync(self._file.fileno())
            except OSError:
                with suppress(OSError):
                    self._file.truncate(intact)
                raise
        self.events.append(event)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        return records(self.events)


def _acquire(lock: FileLock, directory: Path) -> None:
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        raise BadInput(f"{directory} is being written by {_describe(directory)}") from None


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Nobody writes this run meanwhile."""
    lock = FileLock(directory / _LOCK)
    _acquire(lock, directory)
    try:
        yield
    finally:
        lock.release()


def written_since(directory: Path) -> datetime | None:
    """Since when a process has been writing this run; None where none is."""
    if not (directory / _LOCK).exists():  # who only looks leaves no file
        return None
    if not _is_held(directory / _LOCK):
        return None
    return datetime.fromisoformat(_holder(directory).get("since", _LONG_AGO.isoformat()))


def _is_held(lock: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # who may not write the file can still ask for a shared lock
        import fcntl

        try:
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            raise BadInput(f"cannot tell whether {lock.parent} is being written: {error.strerror}") from None
        return False


def is_beginning(directory: Path) -> bool:
    """Whether a process holds a run that has no settings yet: it still loads data and libraries."""
    return not (directory / CONFIG).is_file() and written_since(directory) is not None


def written_in_words(directory: Path, now: datetime) -> str:
    """Whether a process writes this run at the moment, and since when."""
    since = written_since(directory)
    if since is None:
        return "No process writes this run now."
    who = _describe(directory)
    known = (
        f", since {count(round((now - since).total_seconds() / 60), 'minute')}" if since > _LONG_AGO else ""
    )
    return f"{who[0].upper()}{who[1:]} writes this run{known}."


def _holder(directory: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((directory / _HOLDER).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _describe(directory: Path) -> str:
    who = _holder(directory)
    return f"process {who['pid']} on {who['host']}" if {"pid", "host"} <= set(who) else "another process"


class writing:  # noqa: N801 - reads as a phrase: with writing(path)
    """Turn a full disk or a missing permission into one line for the user; what is on the disk stays."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise BadInput(
                f"cannot write {self.path}: {error.strerror or error}; finished trials are kept, "
                "and the same command continues once this is mended"
            ) from None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole: after a crash it is the old one or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def read_run(directory: Path) -> Run:
    """A run directory as values, whether or not a process is writing it. `BadInput` where it is none.

    Its path is that given, unless that has no name to call the run by, as `.` and `..` have none.
    """
    if not (directory / CONFIG).is_file():
        known = ", ".join(str(path) for path in _runs_beside(directory)) or "none"
        raise BadInput(f"{directory} is not a run directory (it has no {CONFIG}); runs here: {known}")
    refuse_lost(directory)
    trials, verified = (records(read_events(directory / name)[0]) for name in (JOURNAL, VERIFICATION))
    return Run(
        path=directory.resolve() if directory.name in ("", "..") else directory,
        config=read_settings(directory).model_dump(mode="json"),
        env=environment.read(directory / ENVIRONMENT),
        trials=trials,
        verified=verified,
    )


def read_settings(directory: Path) -> StudyConfig:
    """A run's settings; those that an older version did not know have their defaults.

    Raises `BadInput` for what cannot be, and where data, network, seed or budgets are missing.
    """
    path = directory / CONFIG
    study = StudyConfig.from_file(path)
    for name in ("data", "model", "seed", "min_budget", "max_budget"):
        if name not in study.model_fields_set:
            raise BadInput(f"{path}: {name} is missing, which every run has: restore it")
    return study


def refuse_lost(directory: Path) -> None:
    """Raise `BadInput` where a run is there without its journal."""
    if (directory / CONFIG).is_file() and not (directory / JOURNAL).is_file():
        raise BadInput(f"{directory} has lost {JOURNAL}, its trials: restore it, or start anew with --fresh")


def _runs_beside(directory: Path) -> Iterator[Path]:
    for root in (directory, directory.parent, Path("runs")):
        if root.is_dir():
            yield from sorted(path.parent for path in root.glob(f"*/{CONFIG}"))
            return


def set_aside(directory: Path) -> Path | None:
    """Move a run directory out of the way, keeping it as NAME.1, NAME.2 …; None where there is none."""
    if not directory.exists():
        return None
    refuse_foreign(directory)
    number = 1
    while (kept := directory.with_name(f"{directory.name}.{number}")).exists():
        number += 1
    with writing(directory), _held(directory):
        directory.rename(kept)
    return kept


def refuse_foreign(directory: Path) -> None:
    """Raise `BadInput` where a folder holds something other than a run: nothing of the user's is touched."""
    if not directory.is_dir():
        if directory.exists():
            raise BadInput(f"{directory} is a file; name a folder for the run with --out")
        return
    ours = {CONFIG, JOURNAL, CHECKPOINTS, LOG}
    names = {path.name for path in directory.iterdir()}
    if names and not names & ours:
        raise BadInput(f"{directory} holds other files and no run; name another folder with --out")
