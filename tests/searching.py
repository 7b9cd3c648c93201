"""A search whose trials are trained in this process: seconds less, for tests of what is around them."""

from pathlib import Path

import pytest

import jouleshift as js
from jouleshift.api import Silent
from jouleshift.config import StudyConfig
from jouleshift.evaluate import Evaluator
from jouleshift.hpo.random import RandomSearch
from jouleshift.hpo.scheduler import Proposal
from tests.toys import Serial

SMALL = {
    "model": "tiny",
    "max_budget": 1,
    "limit_train": 100,
    "limit_val": 50,
    "threads": 1,
    "energy": "modelled",
}


class InProcess(Serial):
    """What `make_workers` gives, without processes."""

    def __init__(self, workers, work, *_) -> None:
        study, split = StudyConfig(**work.setup["study"]), work.setup.get("split", "val")
        evaluator = Evaluator(study, Path(work.setup["checkpoints"]), split)
        super().__init__(evaluator)
        self.facts, self.foreknown = evaluator.facts, evaluator.foreknown

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None: ...


class Told(Silent):
    """Keeps what a search says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def started(self, config, finished, notes):
        self.notes += notes
        self.wanted, self.finished = config.trials, finished

    def note(self, text):
        self.notes.append(text)


class Promoting(RandomSearch):
    """Each configuration for one epoch, then continued at the full budget."""

    def _propose(self) -> Proposal | None:
        if self._asked % 2 == 0:
            return Proposal(self._last.config, self.problem.max_budget, parent=self._last.id)
        found = super()._propose()
        return found and Proposal(found.config, self.problem.min_budget)

    def _observe(self, trial, outcome) -> None:
        self._last = trial


def search(out: Path, trials: int = 1, **settings) -> Told:
    """Search digits with the smallest settings; what was said meanwhile."""
    told = Told()
    js.search("digits", out=out, trials=trials, watcher=told, **{"scheduler": "random", **SMALL, **settings})
    return told


@pytest.fixture
def in_process(monkeypatch) -> None:
    monkeypatch.setattr("jouleshift.hpo.executors.make_workers", InProcess)
    monkeypatch.setattr("jouleshift.verify.make_workers", InProcess)
