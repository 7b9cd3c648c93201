"""One measurement at a time, across processes that crash."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jouleshift.energy import quiet
from jouleshift.energy.meter import EnergyMeter, Protocol
from jouleshift.energy.quiet import measuring, telling, trial_running, trials_running
from jouleshift.energy.replay import VirtualClock

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    monkeypatch.setenv("JOULESHIFT_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def other():
    """Starts another process that enters a block and stays there until it is killed."""
    started = []

    def start(block):
        code = (
            "from jouleshift.energy.quiet import *\nimport time\n"
            f"with {block}:\n    print('in', flush=True)\n    time.sleep(60)"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        started.append(process)
        assert process.stdout.readline() == b"in\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_the_lock_is_exclusive_and_survives_a_crash(other):
    process = other("measuring()")
    with measuring(timeout_s=0.2) as alone:
        assert not alone
    kill(process)
    start = time.perf_counter()
    with measuring(timeout_s=5) as alone:
        assert alone
    assert time.perf_counter() - start < 2


def test_a_trial_of_another_process_is_seen_until_it_ends(other):
    assert trials_running() == 0
    process = other("trial_running()")
    assert trials_running() == 1
    kill(process)
    assert trials_running() == 0


def test_a_training_stands_still_between_epochs_while_another_process_measures(tmp_path):
    code = (
        "from jouleshift.energy.quiet import *\nimport time\n"
        "with trial_running() as stand_still:\n"
        "    while True:\n"
        "        print(time.time(), flush=True)\n"
        "        time.sleep(0.02)\n"
        "        stand_still()\n"
    )
    training = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        training.stdout.readline()
        with measuring(timeout_s=5) as alone:
            began = time.time()
            assert alone and trials_running() == 0
            time.sleep(0.3)
            ended = time.time()
        stamps = [float(training.stdout.readline())]
        while stamps[-1] <= ended:
            stamps.append(float(training.stdout.readline()))
    finally:
        training.kill()
        training.communicate()
    assert not [stamp for stamp in stamps if began < stamp < ended]


@pytest.fixture
def said(monkeypatch):
    """What a person who waits is told; after a fifth of the usual silence."""
    words = []
    monkeypatch.setattr(quiet, "_tell", words.append)
    monkeypatch.setattr(quiet, "_SILENT_S", 0.4)
    return words


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("measuring()", "waiting to measure energy until process {pid} (…) has measured"),
        ("trial_running()", "waiting to measure energy until the epoch of process {pid} (…) ends"),
    ],
)
def test_a_measurement_that_waits_says_once_for_whom(other, said, block, words):
    process = other(block)
    with measuring(timeout_s=1.5):
        pass
    (line,) = said
    before, after = words.format(pid=process.pid).split("…")
    assert line.startswith(before) and line.endswith(after) and "\n" not in line
    assert len(line) == len(before) + 61 + len(after)
    kill(process)
    with measuring(timeout_s=5) as alone:
        assert alone
    assert len(said) == 1


def test_a_short_wait_needs_no_words(other, said):
    other("measuring()")
    with measuring(timeout_s=0.1) as alone:
        assert not alone
    assert said == []


def test_words_go_to_standard_error_or_elsewhere(capsys, monkeypatch):
    monkeypatch.setattr(quiet, "_tell", quiet._tell)
    quiet.tell("waiting")
    assert capsys.readouterr() == ("", "jouleshift: waiting\n")
    heard = []
    telling(heard.append)
    quiet.tell("waiting")
    assert heard == ["waiting"] and capsys.readouterr() == ("", "")


def test_a_trial_of_this_process_does_not_count():
    with trial_running():
        assert trials_running() == 0


def test_the_mark_goes_away_with_the_trial(locks):
    with trial_running():
        assert list(locks.glob("trial-*"))
    assert not list(locks.glob("trial-*"))


def estimate(**settings):
    clock = VirtualClock()
    meter = EnergyMeter(None, power_w=10.0, clock=clock, protocol=Protocol(window_s=1.0, **settings))
    return meter.measure(lambda: clock.sleep(0.1), 1)


def test_measuring_beside_a_trial_is_flagged_or_refused(other):
    other("trial_running()")
    flagged = estimate(lock_timeout_s=0.1)
    assert flagged.energy_j == pytest.approx(1.0)
    assert "trials-beside" in flagged.flags
    refused = estimate(refuse_beside_trials=True, lock_timeout_s=0.1)
    assert refused.energy_j is None
    assert refused.flags == ("refused", "trials-beside")


def test_a_measurement_that_cannot_have_the_machine_says_so(other):
    other("measuring()")
    refused = estimate(lock_timeout_s=0.1)
    assert refused.energy_j is None
    assert refused.flags == ("refused", "another-measurement")
