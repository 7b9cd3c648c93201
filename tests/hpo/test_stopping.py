from itertools import pairwise

import pytest

from jouleshift.config import StudyConfig
from jouleshift.hpo.scheduler import continued
from jouleshift.hpo.stopping import Epochs, Spent, Stagnation, rules_of
from jouleshift.hpo.study import run_study
from jouleshift.records import Failure, Trial, TrialRecord
from jouleshift.store import Journal
from tests.toys import Counting, Serial, evaluate, evaluation


def run(directory, trials, *rules):
    with Journal(directory) as journal:
        reason = run_study(Counting(), Serial(evaluate), journal, trials, rules=rules)
        return reason, len(journal.records)


def ended(number, error, energy_j, budget=9):
    return TrialRecord(Trial(number, {}, budget, 0), evaluation(error, energy_j), 1.0)


def test_epochs_are_counted_from_where_the_parent_stopped():
    rule = Epochs(10, continued)
    for trial in (Trial(1, {}, 3, 0), Trial(2, {}, 9, 0, parent=1)):
        rule.asked(trial)
    assert rule.reason() is None
    rule.asked(Trial(3, {}, 1, 0))
    assert rule.reason() == "epochs trained: 10 of 10"


@pytest.mark.parametrize(
    ("fidelity", "epochs"),
    [("epochs", 9), ("train_fraction", 12), ("weight_bits", 18), ("epochs+train_fraction", 12)],
)
def test_epochs_are_what_the_fidelity_costs(fidelity, epochs):
    """A trial of three and its promotion to nine, where trials continue and where they start again."""
    (rule,) = rules_of(
        StudyConfig(fidelity=fidelity, stop_epochs=epochs, max_budget=9), lambda: 0.0, lambda: None, ""
    )
    rule.asked(Trial(1, {}, 3, 0))
    assert rule.reason() is None
    rule.asked(Trial(2, {}, 9, 0, parent=1))
    assert rule.reason() == f"epochs trained: {epochs} of {epochs}"


def test_a_stopped_search_goes_on_with_a_higher_limit_and_equals_the_straight_one(tmp_path):
    reason, first = run(tmp_path / "a", 100, Epochs(20, continued))
    assert "of 20" in reason
    assert run(tmp_path / "a", 100, Epochs(20, continued))[1] == first
    assert run(tmp_path / "a", 100, Epochs(40, continued)) == run(tmp_path / "b", 100, Epochs(40, continued))
    assert first < run(tmp_path / "a", 100, Epochs(40, continued))[1]


def test_all_trials_done_is_no_early_end(tmp_path):
    assert run(tmp_path, 5, Epochs(1000, continued)) == (None, 5)


@pytest.mark.parametrize(("spent", "stops"), [(9.9, False), (10.0, True), (None, False)])
def test_what_a_meter_shows(spent, stops):
    reason = Spent(10, "J", lambda: spent).reason()
    assert reason == ("10 J of 10 J" if stops else None)


def test_a_front_that_stands_still_stagnates_and_one_that_grows_does_not():
    rule = Stagnation(3, full_budget=9)
    rule.finished(ended(1, 0.9, 9.0))
    rule.finished(ended(2, 0.5, 5.0))
    for number in (3, 4, 5):
        assert rule.reason() is None
        rule.finished(ended(number, 0.6, 6.0))
    assert "3 trials of the full budget added less than 1 %" in rule.reason()
    rule.finished(ended(6, 0.4, 4.0))
    assert rule.reason() is None


def test_failures_count_as_trials_that_added_nothing_and_lower_budgets_do_not_count():
    rule = Stagnation(2, full_budget=9)
    rule.finished(ended(1, 0.5, 5.0))
    for number in range(2, 40):
        rule.finished(ended(number, 0.9, 9.0, budget=3))
    rule.finished(ended(40, 0.6, 6.0))
    assert rule.reason() is None
    rule.finished(TrialRecord(Trial(41, {}, 9, 0), Failure("crashed", "x"), 1.0))
    assert rule.reason() is not None


def test_each_setting_reads_its_own_meter():
    seconds, joules = (lambda: 7.0), (lambda: 30.0)
    study = StudyConfig(max_budget=9, stop_time_s=7, stop_energy_j=31)
    time, energy = rules_of(study, seconds, joules, "time × 50 W assumed")
    assert time.reason() == "7 s of 7 s"
    assert energy.reason() is None
    (energy,) = rules_of(StudyConfig(stop_energy_j=30), seconds, joules, "time × 50 W assumed")
    assert energy.reason() == "30 J of 30 J (time × 50 W assumed)"
    (stagnation,) = rules_of(StudyConfig(max_budget=9, stop_stagnation=1), seconds, joules, "")
    for number in (1, 2):
        assert stagnation.reason() is None
        stagnation.finished(ended(number, 0.5, 5.0))
    assert (
        stagnation.reason()
        == "1 trial of the full budget added less than 1 % to the hypervolume of the front"
    )


def test_before_the_first_result_at_the_full_budget_nothing_stagnates():
    rule = Stagnation(1, full_budget=9)
    for number, error in enumerate((0.9, 0.8, 0.7), start=1):
        rule.finished(ended(number, error, 1.0, budget=1))
    assert rule.reason() is None


def test_limits_raised_step_by_step_never_shorten_a_search(tmp_path):
    sizes = [run(tmp_path, 100, Epochs(limit, continued))[1] for limit in (5, 10, 15, 20)]
    assert all(a < b for a, b in pairwise(sizes))
