import errno
import json
import multiprocessing
import os
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from jouleshift import environment, store
from jouleshift.errors import BadInput
from jouleshift.journal import Asked, Finished, read_events, records
from jouleshift.records import Failure, Trial, to_json
from jouleshift.store import Journal
from tests.toys import RUN_SETTINGS, evaluation

EVENTS = [
    Asked(Trial(1, {"lr": 0.1 + 0.2, "name": 'quote " and ,"crc":" inside', "bits": 4}, 9, 0, bracket=-1)),
    Finished(1, evaluation(1 / 3, 1e-7 / 3, epochs=2), 3.25),
    Asked(Trial(2, {"lr": 1e-300, "name": "ünïcode\u2028", "bits": 2}, 3, 0, 1, 0, None)),
    Finished(2, Failure("crashed", "line one\nline two"), 0.5),
    Asked(Trial(3, {"lr": 0.5, "name": "x", "bits": 2}, 9, 0, 1, 1, parent=2)),
]


def write(directory: Path, events) -> Path:
    with Journal(directory) as opened:
        for event in events:
            opened.append(event)
    return directory / store.JOURNAL


def test_events_come_back_exactly(tmp_path):
    events, _, torn = read_events(write(tmp_path, EVENTS))
    assert events == EVENTS
    assert torn == 0


def test_each_line_is_json_with_a_crc32_of_the_rest(tmp_path):
    for line in write(tmp_path, EVENTS).read_text().splitlines():
        crc = json.loads(line)["crc"]
        rest = line[: line.rindex(',"crc"')] + "}"
        assert crc == f"{zlib.crc32(rest.encode()):08x}"


def test_a_journal_torn_at_any_byte_keeps_all_whole_lines_and_goes_on(tmp_path):
    whole = write(tmp_path / "whole", EVENTS[:3]).read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        directory = tmp_path / str(cut)
        directory.mkdir()
        (directory / store.JOURNAL).write_bytes(whole[:cut])
        complete = sum(end <= cut for end in ends)
        with Journal(directory) as journal:
            assert journal.events == EVENTS[:complete]
            assert journal.torn_bytes == cut - ([0, *ends][complete])
            journal.append(EVENTS[4])
        assert read_events(directory / store.JOURNAL)[0] == [*EVENTS[:complete], EVENTS[4]]


@pytest.mark.parametrize("mark", [b"\r", b"\x0b", b"\x1c", b"\r\0\0"])
def test_whatever_a_torn_line_holds_it_is_one(tmp_path, mark):
    path = write(tmp_path, EVENTS[:2])
    with path.open("ab") as file:
        file.write(b'{"event":"fin' + mark + b"x")
    assert read_events(path)[0] == EVENTS[:2]
    assert read_events(path)[2] == 14 + len(mark)


def test_who_may_not_write_a_run_is_told_who_does(tmp_path, monkeypatch):
    class Refused(FileLock):
        def acquire(self, *_, **__):
            raise PermissionError(13, "Permission denied")

    with Journal(tmp_path):
        monkeypatch.setattr(store, "FileLock", Refused)
        assert f"Process {os.getpid()} on " in store.written_in_words(tmp_path, datetime.now(UTC))
        monkeypatch.setattr(store, "FileLock", FileLock)
    (tmp_path / "run.lock").touch()
    monkeypatch.setattr(store, "FileLock", Refused)
    assert store.written_since(tmp_path) is None
    monkeypatch.setattr(Path, "open", Refused.acquire)
    with pytest.raises(BadInput, match=r"cannot tell whether .* is being written: Permission denied"):
        store.written_since(tmp_path)


@pytest.mark.parametrize("entry", [{}, 3, {"duration_s": 1.0}, {"duration_s": "1", "energy_j": 2.0}])
def test_a_cost_without_its_numbers_is_named(tmp_path, entry):
    path = tmp_path / store.ENVIRONMENT
    path.write_text(json.dumps({"search_energy": [{"duration_s": 1.0, "energy_j": None}, entry]}))
    with pytest.raises(BadInput, match=r"env\.json: search_energy has .*: restore it"):
        environment.read(path)


def test_a_flipped_bit_in_the_last_line_is_a_torn_line_and_elsewhere_an_error_naming_it(tmp_path):
    path = write(tmp_path, EVENTS)
    lines = path.read_bytes().splitlines(keepends=True)

    def flipped(line: bytes) -> bytes:
        return line[:20] + bytes([line[20] ^ 1]) + line[21:]

    path.write_bytes(b"".join([*lines[:-1], flipped(lines[-1])]))
    assert read_events(path)[0] == EVENTS[:-1]
    path.write_bytes(b"".join([lines[0], flipped(lines[1]), *lines[2:]]))
    with pytest.raises(BadInput, match=r"trials\.jsonl line 2 is damaged"):
        read_events(path)


def line(**body) -> str:
    """A whole line of a journal, whatever it says."""
    text = json.dumps(body, separators=(",", ":"))
    return f'{text[:-1]},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'


NOW = "2026-01-01T00:00:00+00:00"
ASKED = {"event": "asked", "time": NOW, "trial": to_json(EVENTS[2].trial)}
ENDED = {"event": "finished", "time": NOW, "trial": 3, "duration_s": 1.0, "result": to_json(EVENTS[1].result)}


def ended(**changes) -> dict:
    return {**ENDED, "result": {**ENDED["result"], **changes}}


@pytest.mark.parametrize(
    "body",
    [
        {**ENDED, "trial": 99},
        {**ENDED, "trial": 1},
        {**ASKED, "trial": {**ASKED["trial"], "island": 2}},
        {**ASKED, "trial": {**ASKED["trial"], "config": [1]}},
        {**ASKED, "trial": {**ASKED["trial"], "config": {"bits": [1]}}},
        {**ASKED, "trial": {**ASKED["trial"], "budget": "3"}},
        {**ASKED, "time": "2026-01-01T00:00:00"},
        {"event": "asked", "trial": ASKED["trial"]},
        {"event": "paused", "time": NOW, "trial": 3},
        {**ENDED, "duration_s": "1"},
        ended(flops=3),
        ended(error="0.3"),
        ended(error=None),
        ended(curve=[{"epoch": 1}]),
        ended(energy={**ENDED["result"]["energy"], "energy_j": "1e-7"}),
        ended(energy={**ENDED["result"]["energy"], "components": {"adds": None}}),
        ended(energy={**ENDED["result"]["energy"], "interval_j": [1, "2"]}),
        {**ENDED, "result": {"kind": "crashed", "message": "x", "island": 1}},
        {**ENDED, "result": 3},
    ],
)
def test_a_whole_line_that_is_no_event_is_named(body, tmp_path):
    path = write(tmp_path, EVENTS)
    with path.open("a") as file:
        file.write(line(**body))
    with pytest.raises(BadInput, match=r"trials\.jsonl line 6: not understood.*another version"):
        read_events(path)
    with pytest.raises(BadInput, match="line 6"), Journal(tmp_path):
        pass


def test_whole_lines_are_understood_and_a_journal_is_read_on(tmp_path):
    path = write(tmp_path, EVENTS)
    size = path.stat().st_size
    with path.open("a") as file:
        file.write(line(**ENDED))
    assert len(read_events(path)[0]) == 6
    (event,), _, _ = read_events(path, size, running=[3])
    assert event.trial_id == 3


def test_records_pair_questions_with_answers(tmp_path):
    first, second, third = records(EVENTS)
    assert first.result == EVENTS[1].result
    assert first.duration_s == 3.25
    assert isinstance(second.result, Failure)
    assert third.result is None


def test_records_tell_when_trials_ran_after_the_first_event():
    def at(second: float) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)

    times = [at(0), at(4), at(4.5), at(3600.5), at(3601)]
    first, second, third = records([replace(e, time=t) for e, t in zip(EVENTS, times, strict=True)])
    assert (first.started_s, first.ended_s) == (0.75, 4.0)
    assert (second.started_s, second.ended_s) == (3600.0, 3600.5), "it waited an hour for a worker"
    assert (third.started_s, third.ended_s) == (None, None)
    assert {r.ended_s for r in records(EVENTS)} == {None}


def _hold(directory: Path, ready, done) -> None:
    with Journal(directory):
        ready.set()
        done.wait()


def test_a_second_writer_is_refused_with_the_name_of_the_first_and_a_killed_one_leaves_no_lock(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, done))
    other.start()
    assert ready.wait(30)
    with pytest.raises(BadInput, match=f"process {other.pid} on "), Journal(tmp_path):
        pass
    with pytest.raises(BadInput, match=f"process {other.pid} on "):
        store.set_aside(tmp_path)
    assert read_events(tmp_path / store.JOURNAL)[0] == []
    other.kill()
    other.join()
    with Journal(tmp_path) as journal:
        journal.append(EVENTS[0])


def test_a_full_disk_is_one_line_and_loses_nothing_finished(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(tmp_path) as journal:
        journal.append(EVENTS[0])
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(BadInput, match="No space left on device; finished trials are kept"):
            journal.append(EVENTS[1])
    monkeypatch.undo()
    assert read_events(tmp_path / store.JOURNAL)[0][0] == EVENTS[0]


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot write .*file"), Journal(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize(
    "text", ["{", "[1, 2]", '{"versions": 3}', '{"max_depth": "many"}', '{"images": 5, "max_depth": 3}']
)
def test_an_environment_that_was_damaged_is_named(text, tmp_path):
    path = tmp_path / store.ENVIRONMENT
    assert environment.read(path) == {}
    path.write_text(text)
    with pytest.raises(BadInput, match=r"env\.json"):
        environment.read(path)


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    store.write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(BadInput):
        store.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_set_aside_keeps_every_earlier_run_and_touches_no_foreign_folder(tmp_path):
    run = tmp_path / "run"
    for expected in ("run.1", "run.2"):
        write(run, EVENTS)
        assert store.set_aside(run).name == expected
    assert store.set_aside(run) is None
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(BadInput, match="holds other files"):
        store.set_aside(tmp_path / "photos")


def test_reading_what_is_no_run_names_the_runs_that_are_there(tmp_path):
    write(tmp_path / "good", EVENTS)
    (tmp_path / "good" / "config.yaml").write_text(RUN_SETTINGS)
    with pytest.raises(BadInput, match=r"bad is not a run directory.*runs here: .*good"):
        store.read_run(tmp_path / "bad")
    assert len(store.read_run(tmp_path / "good").trials) == 3


def test_a_run_has_a_name_wherever_it_is_read_from(tmp_path, monkeypatch):
    write(tmp_path / "good", EVENTS)
    (tmp_path / "good" / "config.yaml").write_text(RUN_SETTINGS)
    monkeypatch.chdir(tmp_path)
    assert store.read_run(Path("good")).path == Path("good"), "as given, so that messages say what was typed"
    monkeypatch.chdir(tmp_path / "good" / store.CHECKPOINTS)
    assert store.read_run(Path("..")).path == tmp_path / "good"
    monkeypatch.chdir(tmp_path / "good")
    assert store.read_run(Path()).path == tmp_path / "good"
