"""Searches that are killed again and again, and end as if nothing had happened."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from jouleshift import store
from jouleshift.analysis.pareto import front
from jouleshift.journal import Asked, Finished, read_events

SITE = Path(__file__).parent / "site"
SEARCH = (
    sys.executable, "-m", "jouleshift", "search", "digits", "--model", "tiny", "--scheduler", "mo-hyperband",
    "--max-budget", "9", "--limit-train", "200", "--threads", "1", "--trials", "70", "--out", "run",
)  # fmt: skip
FAULTS = {"main": 15, "worker": 12, "checkpoint": 6, "journal": 11, "disk": 3, "journal-disk": 3}
assert sum(FAULTS.values()) == 50


def outcomes(run: Path) -> dict:
    """What is finished in a run: trial and result by number, times apart; and no trial twice."""
    events, _, _ = read_events(run / store.JOURNAL)
    numbers = Counter(event.trial_id for event in events if isinstance(event, Finished))
    assert set(numbers.values()) <= {1}
    asked = {event.trial.id: event.trial for event in events if isinstance(event, Asked)}
    return {
        event.trial_id: (asked[event.trial_id], getattr(event.result, "objectives", event.result))
        for event in events
        if isinstance(event, Finished)
    }


def environment(folder: Path, fault: str) -> dict[str, str]:
    path = os.pathsep.join([str(SITE), os.environ["PYTHONPATH"]])
    return {**os.environ, "PYTHONPATH": path, "FAULT": fault, "FAULT_JOURNAL": str(folder / store.JOURNAL)}


def test_a_study_killed_at_random_lines_of_its_journal_ends_like_the_straight_one(tmp_path):
    random.seed(1)

    def run(folder: Path, fault: str = "") -> int:
        command = [sys.executable, "-m", "tests.hpo.faults.study", str(folder), "12"]
        return subprocess.run(command, env=environment(folder, fault)).returncode

    assert run(tmp_path / "straight") == 0
    before: dict = {}
    for kill in range(4):
        fault = f"journal:{tmp_path / str(kill)}:{random.randint(1, 4)}"
        assert run(tmp_path / "run", fault) == -signal.SIGKILL
        assert before.items() <= outcomes(tmp_path / "run").items()
        before = outcomes(tmp_path / "run")
    assert run(tmp_path / "run") == 0
    assert outcomes(tmp_path / "run") == outcomes(tmp_path / "straight")


class Tormented:
    """A real search, its processes and its disk treated badly, one fault at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        self.happened: Counter[str] = Counter()
        self.told = ""
        self.before: dict = {}

    def suffer(self, end: str, workers: int, checkpoint: bool) -> None:
        """Run the search until `end` befalls it; before that kill so many workers, one of them perhaps while
        it writes a checkpoint."""
        token = self.folder / f"token-{sum(self.happened.values())}"
        inside = "checkpoint" if checkpoint else end
        process = subprocess.Popen(
            SEARCH,
            cwd=self.folder,
            env=environment(self.run, f"{inside}:{token}:{random.randint(1, 3)}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=self.little_room if end == "journal-disk" else None,
        )
        for _ in range(workers):
            self.kill_worker(process)
        if checkpoint:
            self.until(process, token.exists)
        if end == "main":
            self.wait_for_progress(process)
            process.kill()
        told, _ = process.communicate(timeout=300)
        self.told += told
        expected = -signal.SIGKILL if end in ("main", "journal") else 2
        assert process.returncode == expected, (end, process.returncode, told)
        if expected == 2:
            assert "cannot write" in told.splitlines()[-1], told
        self.happened.update({end: 1, "worker": workers, "checkpoint": int(checkpoint)})
        now = outcomes(self.run)
        assert self.before.items() <= now.items(), "something finished is lost"
        self.before = now

    def little_room(self) -> None:
        size = (self.run / store.JOURNAL).stat().st_size if self.run.exists() else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + random.randint(500, 4000), resource.RLIM_INFINITY))

    def wait_for_progress(self, process: subprocess.Popen) -> None:
        path = self.run / store.JOURNAL
        size = path.stat().st_size if path.exists() else 0
        self.until(process, lambda: path.exists() and path.stat().st_size > size)
        time.sleep(random.uniform(0, 0.5))

    def kill_worker(self, process: subprocess.Popen) -> None:
        self.wait_for_progress(process)
        psutil.Process(process.pid).children()[0].kill()

    def until(self, process: subprocess.Popen, condition) -> None:
        ends = time.monotonic() + 300
        while not condition():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < ends
            time.sleep(0.01)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_the_front_is_that_of_the_straight_search(tmp_path):
    random.seed(0)
    straight = tmp_path / "straight"
    straight.mkdir()
    subprocess.run(SEARCH, cwd=straight, check=True, stdout=subprocess.DEVNULL)
    search = Tormented(tmp_path)
    ends = [end for end in ("main", "journal", "disk", "journal-disk") for _ in range(FAULTS[end])]
    sessions = [(end, int(k < FAULTS["worker"]), k < FAULTS["checkpoint"]) for k, end in enumerate(ends)]
    random.shuffle(sessions)
    for session in sessions:
        search.suffer(*session)
    done = subprocess.run(SEARCH, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = Counter(re.findall(r"^\[\d+/\d+\] (trial \d+) ", search.told + done.stdout, re.MULTILINE))
    assert set(told.values()) == {1}, "a finished trial ran twice"
    assert search.happened == FAULTS
    assert outcomes(search.run) == outcomes(straight / "run")
    fronts = [[r.trial for r in front(store.read_run(run))] for run in (search.run, straight / "run")]
    assert fronts[0] == fronts[1]
    print(f"{dict(search.happened)}: {len(search.before)} of 70 trials before the last start; fronts equal")
