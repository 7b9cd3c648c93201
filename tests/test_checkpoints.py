"""Which checkpoints of a run are still needed."""

import shutil

import pytest

from jouleshift import store
from jouleshift.checkpoints import CheckpointKeeper
from jouleshift.config import StudyConfig
from jouleshift.journal import Asked, encode
from jouleshift.records import Failure, Trial, TrialRecord
from tests.searching import Promoting, in_process, search  # noqa: F401 - a fixture


@pytest.mark.usefixtures("in_process")
def test_an_interrupted_trial_still_continues_its_parents_checkpoint(tmp_path):
    settings = {"scheduler": f"{Promoting.__module__}:{Promoting.__name__}", "max_budget": 2}
    search(tmp_path / "cut", 2, **settings)
    shutil.copytree(tmp_path / "cut", tmp_path / "straight")
    search(tmp_path / "straight", 3, **settings)
    undisturbed = store.read_run(tmp_path / "straight").trials[2]
    assert undisturbed.trial.parent == 2
    with (tmp_path / "cut" / store.JOURNAL).open("a") as journal:
        journal.write(encode(Asked(undisturbed.trial)))  # killed right after it was asked
    search(tmp_path / "cut", 3, **settings)
    again = store.read_run(tmp_path / "cut").trials[2].result
    assert again.trained_epochs == undisturbed.result.trained_epochs == 1
    assert again.error == undisturbed.result.error


def test_a_trial_without_a_result_costs_no_checkpoint(tmp_path):
    (tmp_path / "1.pt").touch()
    keeper = CheckpointKeeper(tmp_path, StudyConfig(max_budget=9))
    keeper(TrialRecord(Trial(2, {}, 9, 0, parent=1)))
    assert (tmp_path / "1.pt").exists()


@pytest.mark.parametrize("budget", [1, 9])
def test_what_failed_is_never_continued_and_keeps_no_checkpoint(tmp_path, budget):
    (tmp_path / "2.pt").touch()
    keeper = CheckpointKeeper(tmp_path, StudyConfig(max_budget=9))
    keeper(TrialRecord(Trial(2, {}, budget, 0), Failure("timeout", "longer than 1 s"), 1.0))
    assert list(tmp_path.iterdir()) == []
