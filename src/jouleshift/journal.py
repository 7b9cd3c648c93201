"""The lines of a journal, the only source of truth of a search.

A journal is a text file of JSON objects, one event a line. Two events suffice: `asked` (a trial was proposed)
and `finished` (it has a result). Each line ends with a CRC-32 of itself, so a line that a crash or a full
disk tore is told from a good one: a torn last line is cut off when writing goes on (its event had not
happened), damage anywhere else is an error that names the line. So is a whole line that says something else
than these two, such as one of a later version.

    {"event":"asked","time":"2026-01-01T00:00:00+00:00","trial":{"id":1,…},"crc":"89abcdef"}
    {"event":"finished","time":"…","trial":1,"duration_s":3.2,"result":{…},"crc":"…"}
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jouleshift.errors import BadInput
from jouleshift.records import (
    Evaluation,
    Failure,
    Trial,
    TrialRecord,
    checked,
    result_from_json,
    to_json,
    trial_from_json,
)

_CRC = ',"crc":"'


@dataclass(frozen=True)
class Asked:
    trial: Trial
    time: datetime | None = field(default=None, compare=False)
    """When it was written; None for now."""


@dataclass(frozen=True)
class Finished:
    trial_id: int
    result: Evaluation | Failure
    duration_s: float
    time: datetime | None = field(default=None, compare=False)


Event = Asked | Finished


def encode(event: Event) -> str:
    """One journal line, checksum and newline included."""
    body: dict[str, Any]
    now = (event.time or datetime.now(UTC)).isoformat(timespec="milliseconds")
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
    """The event of a line, or None where the line is torn or damaged. Raises TypeError, KeyError or
    ValueError for a whole line that is no event."""
    text, found, checksum = line.rpartition(_CRC)
    if not found or checksum != f'{_checksum(text + "}")}"}}\n':
        return None
    body = json.loads(text + "}")
    time = datetime.fromisoformat(body["time"])
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    if body["event"] == "asked":
        return Asked(trial_from_json(body["trial"]), time)
    if body["event"] != "finished":
        raise ValueError(f"event {body['event']!r}")
    return checked(Finished(body["trial"], result_from_json(body["result"]), body["duration_s"], time))


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def read_events(path: Path, start: int = 0, running: Iterable[int] = ()) -> tuple[list[Event], int, int]:
    """The events of a journal from a byte on, which begins a line and before which the trials `running` were
    begun; where its intact part ends; the bytes of a torn last line. A file that is not there is empty."""
    events: list[Event] = []
    begun = set(running)
    intact = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            lines = _lines(file.read())
    except FileNotFoundError:
        return [], 0, 0
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    for number, raw in enumerate(lines, start=1):
        try:
            event = decode(raw.decode("utf-8", errors="replace"))
            _follow(event, begun)
        except (KeyError, TypeError, ValueError, AttributeError):
            where = f"{path} line {_line(path, intact)}"
            raise BadInput(f"{where}: not understood; was it written by another version?") from None
        if event is None:
            if number < len(lines):
                raise BadInput(
                    f"{path} line {_line(path, intact)} is damaged; restore it from a copy, or start anew "
                    "with --fresh"
                )
            return events, intact, len(raw)
        events.append(event)
        intact += len(raw)
    return events, intact, 0


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends. Only a newline ends one: torn bytes may hold any other mark."""
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _follow(event: Event | None, begun: set[int]) -> None:
    """Keep which trials run. Raises KeyError where one ends that does not."""
    if isinstance(event, Asked):
        begun.add(event.trial.id)
    elif event is not None:
        begun.remove(event.trial_id)


def _line(path: Path, offset: int) -> int:
    """The number of the line that begins at a byte."""
    with path.open("rb") as file:
        return file.read(offset).count(b"\n") + 1


def records(events: list[Event]) -> tuple[TrialRecord, ...]:
    """The trials that the events tell of, in the order of proposal."""
    found: dict[int, TrialRecord] = {}
    for event in events:
        if isinstance(event, Asked):
            found[event.trial.id] = TrialRecord(event.trial)
        else:
            found[event.trial_id] = replace(
                found[event.trial_id],
                result=event.result,
                duration_s=event.duration_s,
                ended_s=_seconds(events[0].time, event.time),
            )
    return tuple(found.values())


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
