"""The run directory and its journal, the only source of truth of a search.

A journal is a text file of JSON objects, one event a line, appended and flushed to the disk before anything
else happens with it. Two events suffice: `asked` (a trial was proposed) and `finished` (it has a result).
Each line ends with a CRC-32 of itself, so a line that a crash or a full disk tore is told from a good one: a
torn last line is cut off when writing goes on (its event had not happened), damage anywhere else is an error
that names the line.

    {"event":"asked","time":"2026-01-01T00:00:00+00:00","trial":{"id":1,…},"crc":"89abcdef"}
    {"event":"finished","time":"…","trial":1,"duration_s":3.2,"result":{…},"crc":"…"}

One process writes a run at a time. The operating system holds its lock, so no stale lock survives a crash;
readers need none.
"""

import json
import os
import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from filelock import FileLock, Timeout

from jouleshift.config import load_yaml
from jouleshift.errors import BadInput
from jouleshift.records import (
    Evaluation,
    Failure,
    Run,
    Trial,
    TrialRecord,
    result_from_json,
    to_json,
    trial_from_json,
)

JOURNAL = "trials.jsonl"
VERIFICATION = "verify.jsonl"
CONFIG = "config.yaml"
ENVIRONMENT = "env.json"
CHECKPOINTS = "checkpoints"
LOG = "run.log"
_LOCK = "run.lock"
_HOLDER = "run.holder.json"
_CRC = ',"crc":"'


@dataclass(frozen=True)
class Asked:
    trial: Trial


@dataclass(frozen=True)
class Finished:
    trial_id: int
    result: Evaluation | Failure
    duration_s: float


Event = Asked | Finished


def encode(event: Event) -> str:
    """One journal line, checksum and newline included."""
    body: dict[str, Any]
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    if isinstance(event, Asked):
        body = {"event": "asked", "time": now, "trial": to_json(event.trial)}
    else:
        body = {
            "event": "finished",
            "time": now,
            "trial": event.trial_id,
            "duration_s": event.duration_s,
            "result": to_json(event.result),
        }
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return f'{text[:-1]}{_CRC}{_checksum(text)}"}}\n'


def decode(line: str) -> Event | None:
    """The event of a line, or None where the line is torn or damaged."""
    text, found, checksum = line.rpartition(_CRC)
    if not found or checksum != f'{_checksum(text + "}")}"}}\n':
        return None
    body = json.loads(text + "}")
    if body["event"] == "asked":
        return Asked(trial_from_json(body["trial"]))
    return Finished(body["trial"], result_from_json(body["result"]), body["duration_s"])


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def read_events(path: Path) -> tuple[list[Event], int, int]:
    """The events of a journal, the length in bytes of its intact part, and the bytes of a torn last line."""
    events: list[Event] = []
    intact = 0
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return [], 0, 0
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    for number, raw in enumerate(lines, start=1):
        event = decode(raw.decode("utf-8", errors="replace"))
        if event is None:
            if number < len(lines):
                raise BadInput(
                    f"{path} line {number} is damaged; restore it from a copy, or start anew with --fresh"
                )
            return events, intact, len(raw)
        events.append(event)
        intact += len(raw)
    return events, intact, 0


def records(events: list[Event]) -> tuple[TrialRecord, ...]:
    """The trials that the events tell of, in the order of proposal."""
    found: dict[int, TrialRecord] = {}
    for event in events:
        if isinstance(event, Asked):
            found[event.trial.id] = TrialRecord(event.trial)
        else:
            asked = found[event.trial_id]
            found[event.trial_id] = replace(asked, result=event.result, duration_s=event.duration_s)
    return tuple(found.values())


class Journal:
    """A run directory opened for writing. Use as a context manager: it holds the run's lock."""

    def __init__(self, directory: Path, name: str = JOURNAL) -> None:
        self.directory = directory
        self.path = directory / name
        self.events: list[Event] = []
        self.torn_bytes = 0
        self._lock = FileLock(directory / _LOCK)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / CHECKPOINTS).mkdir(exist_ok=True)
            self._acquire()
            try:
                self.events, intact, self.torn_bytes = read_events(self.path)
                self._file = self.path.open("ab")
                self._file.truncate(intact)
            except BaseException:
                self._lock.release()
                raise
        return self

    def _acquire(self) -> None:
        _acquire(self._lock, self.directory)
        holder = self.directory / _HOLDER
        write_atomically(holder, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n")

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
            self._file.write(encode(event).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        self.events.append(event)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        return records(self.events)


def _acquire(lock: FileLock, directory: Path) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInput(f"{directory} is being written by {_describe(directory / _HOLDER)}") from None


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Nobody writes this run meanwhile."""
    lock = FileLock(directory / _LOCK)
    _acquire(lock, directory)
    try:
        yield
    finally:
        lock.release()


def _describe(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


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
    """A run directory as values, whether or not a process is writing it. `BadInput` where it is none."""
    if not (directory / CONFIG).is_file():
        known = ", ".join(str(path) for path in _runs_beside(directory)) or "none"
        raise BadInput(f"{directory} is not a run directory (it has no {CONFIG}); runs here: {known}")
    trials, verified = (records(read_events(directory / name)[0]) for name in (JOURNAL, VERIFICATION))
    return Run(
        path=directory,
        config=load_yaml(directory / CONFIG),
        env=_read_environment(directory / ENVIRONMENT),
        trials=trials,
        verified=verified,
    )


def _read_environment(path: Path) -> Mapping[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}") from None


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
