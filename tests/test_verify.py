"""Verification: fresh seeds, the test split, a journal of its own, and continuation after an interruption."""

import csv
import re
from dataclasses import replace

import pytest

from jouleshift import store, verify
from jouleshift.analysis.pareto import front
from jouleshift.analysis.verification import verification_of
from jouleshift.api import Silent
from jouleshift.data.sources import load
from jouleshift.errors import BadInput
from jouleshift.records import Trial
from tests.analysis.synthetic import evaluation, record, run_of
from tests.docs.pages import ROOT
from tests.test_cli import QUICK, jouleshift
from tests.toys import Serial

FRESH_J = 1e-6
"""What a fresh training's energy is said to be; no network of the search has it."""


class FakeWorkers(Serial):
    """Trials answered in this process; the `fatal`-th is interrupted as by Ctrl-C."""

    fatal = 0
    facts = {"images": {"skipped": ["a.png: empty, zero bytes"]}}  # noqa: RUF012 - nobody writes to it
    setups: list[dict] = []  # noqa: RUF012 - a test looks at what was asked of all of them

    def __init__(self, workers, work, *_) -> None:
        super().__init__(self._answer)
        self.setups.append(work.setup)
        self._done = 0

    def _answer(self, trial: Trial):
        self._done += 1
        if self._done == self.fatal:
            raise KeyboardInterrupt
        return replace(evaluation(0.4, FRESH_J), error=0.45)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None: ...


class Told(Silent):
    """Keeps what a verification tells: notes at its beginning, and trials."""

    def __init__(self) -> None:
        self.trials = []

    def started(self, config, finished, notes):
        self.notes = notes

    def progress(self, progress):
        self.trials.append(progress.trial)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    command = ("search", "digits", *QUICK, "--trials", "3", "--scheduler", "random", "--out", "run")
    done = jouleshift(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_front_and_default_are_trained_again_with_seeds_the_search_did_not_use(searched):
    run = store.read_run(searched)
    trials = verify.wanted(run, seeds=2)
    configs = [dict(r.trial.config) for r in front(run)]
    assert all(dict(t.config) in [*configs, dict(run.trials[0].trial.config)] for t in trials)
    assert all(sum(dict(t.config) == c for t in trials) == 2 for c in configs)
    assert {t.seed for t in trials} == {1000, 2000}
    assert {t.budget for t in trials} == {3}
    assert {t.parent for t in trials} == {None}
    assert trials[0].bracket == -1


def test_interrupted_and_continued_runs_each_training_once_and_extends(searched, monkeypatch):
    monkeypatch.setattr(verify, "make_workers", FakeWorkers)
    monkeypatch.setattr(FakeWorkers, "fatal", 2)
    with pytest.raises(KeyboardInterrupt):
        verify.verify(searched, seeds=1)
    assert sum(r.result is not None for r in store.read_run(searched).verified) == 1
    monkeypatch.setattr(FakeWorkers, "fatal", 0)
    told = Told()
    verify.verify(searched, seeds=1, watcher=told)
    assert told.notes == ["1 unreadable image left out: a.png: empty, zero bytes"]
    run = store.read_run(searched)
    assert len(run.verified) == len(verify.wanted(run, 1))
    assert all(r.result is not None for r in run.verified)
    with (searched / "verified.csv").open(newline="") as file:
        assert {float(row["energy_j"]) for row in csv.DictReader(file)} == {FRESH_J}
    assert all(r.values.get("energy_j") != FRESH_J for r in run.trials), "had anew, not copied"
    judged = verification_of([run])
    assert {member.energy_j for member in (*judged.members, *judged.defaults)} == {FRESH_J}
    begun = len(FakeWorkers.setups)
    verify.verify(searched, seeds=1)
    assert len(FakeWorkers.setups) == begun, "all is verified: no worker needs to start"
    told = Told()
    verify.verify(searched, seeds=2, watcher=told)
    numbers = {run.trials[0].trial.id, *(r.trial.id for r in front(run))}
    assert {(t.id, t.seed) for t in told.trials} == {(number, 2000) for number in numbers}
    again = store.read_run(searched).verified
    assert len(again) == len(verify.wanted(run, 2))
    assert [r.trial.id for r in again] == list(range(1, len(again) + 1))
    assert again[: len(run.verified)] == run.verified
    assert {setup["split"] for setup in FakeWorkers.setups} == {"test"}
    (searched / store.VERIFICATION).unlink()


def test_the_command_judges_on_test_images_and_the_report_leads_with_it(searched):
    done = jouleshift("verify", "run", "--seeds", "1", cwd=searched.parent)
    assert done.returncode == 0, done.stderr
    assert "judged on test images" in done.stdout
    assert "profile asic-45nm" in done.stdout
    numbers = {
        str(r.trial.id) for r in (*front(store.read_run(searched)), store.read_run(searched).trials[0])
    }
    told = re.findall(r"trial (\d+) again, seed 1000 \(3 epochs\): test accuracy [\d.]+ %", done.stdout)
    assert set(told) == numbers, "numbered as in the table and the search"
    assert "Regression to the mean" in done.stdout
    page = (searched / "report.html").read_text(encoding="utf-8")
    assert page.index("The front, verified") < page.index('<h2 id="front">')
    with (searched / "verified.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(verify.wanted(store.read_run(searched), 1))
    assert all(float(row["error"]) != float(row["val_error"]) for row in rows)
    n_test = len(load("digits", seed=0).test)
    wrong = [float(row["error"]) * n_test for row in rows]
    assert wrong == pytest.approx([round(w) for w in wrong], abs=1e-6)


@pytest.mark.parametrize(
    ("workers", "threads"), [(None, 6), (2, 6), (8, 2), ("8", 2), ("tcp://host:8786", None)]
)
def test_other_workers_share_the_cores_anew(searched, monkeypatch, workers, threads):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    run = store.read_run(searched)
    run = replace(run, config={**run.config, "workers": 2, "threads": 6})
    assert verify._study(run, workers).threads == threads


def test_what_cannot_be_verified_is_one_line(tmp_path, searched):
    with pytest.raises(BadInput, match="not a run directory"):
        verify.verify(tmp_path)
    with pytest.raises(BadInput, match="at least one"):
        verify.verify(searched, seeds=0)
    empty = replace(store.read_run(searched), trials=())
    with pytest.raises(BadInput, match="continue its search first"):
        verify.wanted(empty, 1)
    unkept = run_of(record(1, 0.5, 1.0), record(2, 0.4, 2.0), constraint=["error <= 1 %"])
    with pytest.raises(BadInput, match="no network keeps error <= 1 %, of 2 trials"):
        verify.wanted(unkept, 1)


def test_the_readme_names_every_file_of_a_run(searched):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"^runs/NAME/\n(.*?)^```", text, re.S | re.M).group(1)
    made = {path.name for path in searched.iterdir()} | {"verify.jsonl", "verified.csv", "export"}
    assert [name for name in sorted(made) if name not in listed] == []
