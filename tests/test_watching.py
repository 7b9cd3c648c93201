"""`status --watch`: what is drawn, what is written elsewhere, and when it ends."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from jouleshift import store, watching
from jouleshift.analysis.digest import digest
from jouleshift.cli import app
from jouleshift.errors import BadInput
from jouleshift.journal import Asked, Finished
from jouleshift.records import Failure, Run, Trial, TrialRecord
from jouleshift.report.terminal import picture
from tests.toys import RUN_SETTINGS, evaluation


def run_of(*points: tuple[float, float], budget: int = 9) -> Run:
    trials = tuple(
        TrialRecord(Trial(number, {}, budget, 0, bracket=-1 if number == 1 else 0), evaluation(*point))
        for number, point in enumerate(points, start=1)
    )
    return Run(Path("runs/x"), {"max_budget": 9, "trials": 9}, {}, trials)


def drawn(run: Run, width: int = 49, height: int = 12) -> list[str]:
    return picture(digest([run]), width, height).plain.splitlines()


def test_energy_goes_right_accuracy_up_and_the_axes_carry_their_ends():
    lines = drawn(run_of((0.5, 1e-7), (0.1, 1e-6), (0.3, 1e-8), (0.6, 1e-6)))
    assert all(len(line) <= 49 for line in lines) and len(lines) == 12
    assert lines[0] == " 90.0 % │" + " " * 39 + "●"
    assert lines[9].startswith(" 40.0 % │") and lines[9].endswith("∘")
    assert lines[4].rstrip() == "        │●"
    assert "◆" in lines[7]
    assert lines[11].split() == ["10.0", "nJ", "1.00", "µJ"]


def test_one_trial_is_drawn_and_none_is_said():
    assert "◆" in "".join(drawn(run_of((0.5, 1e-7))))
    assert drawn(run_of()) == ["No trial has a result to draw yet."]


@pytest.fixture
def started(tmp_path):
    """A run that is being written, with two trials ended and one begun."""
    run = tmp_path / "run"
    with store.Journal(run) as journal:
        (run / store.CONFIG).write_text(RUN_SETTINGS)
        for number, result in ((1, evaluation(0.5, 1e-7)), (2, Failure("crashed", "boom"))):
            journal.append(Asked(Trial(number, {}, 9, 0)))
            journal.append(Finished(number, result, 1.0))
        journal.append(Asked(Trial(3, {}, 3, 0)))
        yield run, journal


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, height=30, legacy_windows=False)


def test_the_picture_says_pace_and_what_runs(started):
    run, _ = started
    followed = watching.Followed.of(run)
    followed.more()
    since = store.written_since(run)
    assert since is not None
    screen = console(True)
    screen.print(watching.shown(followed, screen, since + timedelta(minutes=2)))
    text = screen.file.getvalue()
    assert "2 of 10 trials, 1 a minute, about 8 min" in text
    assert "trial 3, 3 epochs for" in text


def test_elsewhere_it_writes_a_line_a_trial_and_ends_with_the_run(started):
    run, journal = started
    screen = console(False)
    watcher = threading.Thread(target=watching.watch, args=(run, screen, 0.05))
    watcher.start()
    journal.append(Finished(3, evaluation(0.25, 1e-8), 1.0))
    watcher.join(0.5)
    assert watcher.is_alive()
    journal.__exit__(None, None, None)
    watcher.join(10)
    assert not watcher.is_alive()
    lines = screen.file.getvalue().splitlines()
    assert lines[0].startswith("[1/10] trial 1 (9 epochs): accuracy 50.0 %")
    assert lines[1] == "[2/10] trial 2 (9 epochs): crashed: boom"
    assert lines[2].startswith("[3/10] trial 3 (3 epochs): accuracy 75.0 %")


def test_on_a_terminal_the_picture_is_drawn_anew_while_the_run_is_written(started, monkeypatch):
    monkeypatch.setattr(watching, "_PATIENCE", 0.0)
    run, journal = started
    screen = console(True)
    watcher = threading.Thread(target=watching.watch, args=(run, screen, 0.05))
    watcher.start()
    _until(lambda: "2 of 10 trials" in screen.file.getvalue())
    assert "75.0 %" not in screen.file.getvalue()
    journal.append(Finished(3, evaluation(0.25, 1e-8), 1.0))
    _until(lambda: "3 of 10 trials" in screen.file.getvalue())
    journal.__exit__(None, None, None)
    watcher.join(10)
    assert not watcher.is_alive()


def _until(condition) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_run_begun_anew_is_watched_from_its_beginning(started):
    run, journal = started
    followed = watching.Followed.of(run)
    assert len(followed.more()) == 5
    journal.__exit__(None, None, None)
    store.set_aside(run)
    with store.Journal(run) as anew:
        (run / store.CONFIG).write_text(RUN_SETTINGS)
        anew.append(Asked(Trial(1, {}, 9, 0)))
        assert followed.more() == anew.events
    assert [event.trial.id for event in followed.running] == [1]


def test_a_run_that_nobody_writes_is_shown_once(tmp_path, started):
    run, journal = started
    journal.__exit__(None, None, None)
    screen = console(True)
    watching.watch(run, screen)
    assert "2 of 10 trials, not running" in screen.file.getvalue()


def test_what_is_no_run_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BadInput, match="is not a run directory"):
            watching.watch(place, console(False))
    assert list(tmp_path.iterdir()) == [], "who only looks leaves nothing"


def test_a_search_that_still_loads_is_waited_for(tmp_path):
    run, screen = tmp_path / "run", console(False)
    with store.Journal(run) as journal:
        watcher = threading.Thread(target=watching.watch, args=(run, screen, 0.05))
        watcher.start()
        watcher.join(0.5)
        assert watcher.is_alive()
        assert "is beginning" in screen.file.getvalue()
        (run / store.CONFIG).write_text(RUN_SETTINGS)
        journal.append(Asked(Trial(1, {}, 9, 0)))
        journal.append(Finished(1, evaluation(0.5, 1e-7), 1.0))
    watcher.join(10)
    assert not watcher.is_alive()
    assert "[1/10] trial 1" in screen.file.getvalue()


def test_a_search_that_ends_while_it_loads_is_no_run(tmp_path):
    run, failed = tmp_path / "run", []

    def watch():
        try:
            watching.watch(run, console(False), 0.05)
        except BadInput as error:
            failed.append(str(error))

    with store.Journal(run):
        watcher = threading.Thread(target=watch)
        watcher.start()
        watcher.join(0.3)
    watcher.join(10)
    assert "is not a run directory" in failed[0]


def status(run, capsys):
    app(["status", str(run)], exit_on_error=False, print_error=False, result_action="return_value")
    return capsys.readouterr().out


def test_status_says_who_writes_a_run(started, capsys):
    run, journal = started
    said = status(run, capsys)
    assert (
        "2 of 10" in said
        and f"Process {os.getpid()} on " in said
        and "writes this run, since 0 minutes." in said
    )
    journal.__exit__(None, None, None)
    assert status(run, capsys).endswith("No process writes this run now.\n")


def test_status_of_a_search_that_still_loads_is_no_error(tmp_path, capsys):
    with store.Journal(tmp_path / "run"):
        assert "writes this run" in status(tmp_path / "run", capsys)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_who_stops_watching_leaves_the_run_alone(started, how):
    run, journal = started
    before = (run / store.JOURNAL).read_bytes()
    command = [sys.executable, "-u", "-m", "jouleshift", "status", "--watch", run]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watcher.stdout.readline().startswith("[1/10] trial 1")
    watcher.send_signal(how)
    _, said = watcher.communicate(timeout=20)
    assert watcher.returncode == 130
    assert "Traceback" not in said and said.count("\n") <= 1, said
    journal.append(Finished(3, evaluation(0.25, 1e-8), 1.0))
    assert (run / store.JOURNAL).read_bytes().startswith(before)
