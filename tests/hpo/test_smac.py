"""What is particular to the paper's search: brackets, promotion, and what SMAC is told."""

import pytest

from jouleshift.hpo import make_scheduler
from jouleshift.records import Failure, Trial

from .toy import Driver, mixed_space


def search(**settings):
    return make_scheduler(
        "parego-hyperband",
        mixed_space(),
        **{"min_budget": 1, "max_budget": 9, "eta": 3, "seed": 0, **settings},
    )


def test_the_first_bracket_is_hyperbands():
    trials = Driver(search()).run(1 + 9 + 3 + 1).trials[1:]
    assert [trial.budget for trial in trials] == [1] * 9 + [3] * 3 + [9]
    assert [trial.rung for trial in trials] == [0] * 9 + [1] * 3 + [2]
    assert {trial.bracket for trial in trials} == {0}
    assert trials[-1].parent in {trial.id for trial in trials[9:12]}


def test_a_whole_rung_that_fails_is_not_promoted():
    driver = Driver(search(), fails=lambda trial: trial.bracket == 0).run(1 + 9 + 5)
    assert [trial.budget for trial in driver.trials] == [9] + [1] * 9 + [3] * 5
    assert [trial.bracket for trial in driver.trials[10:]] == [1] * 5


def test_failures_never_win_a_promotion_even_against_costly_successes():
    """Successes 10,000 times as costly as the first one are still better than a failure."""
    scheduler = search()
    scheduler.tell(scheduler.ask(), {"error": 1e-3, "energy_j": 1e-9})
    rung = [scheduler.ask() for _ in range(9)]
    for index, trial in enumerate(rung):
        failed = index not in (2, 5, 7)
        scheduler.tell(
            trial, Failure("crashed", "boom") if failed else {"error": 10.0, "energy_j": 1e-5 * (1 + index)}
        )
    promoted = [scheduler.ask() for _ in range(3)]
    assert {trial.parent for trial in promoted} == {rung[index].id for index in (2, 5, 7)}


def test_units_of_an_objective_do_not_matter():
    """SMAC alone would drop an objective whose values span less than 1e-10."""

    def next_after(factor: float) -> Trial:
        scheduler = search()
        for _ in range(20):
            trial = scheduler.ask()
            bits = trial.config["weight_bits"]
            scheduler.tell(trial, {"error": 1.0 / bits, "energy_j": factor * bits})
        return scheduler.ask()

    assert next_after(1e-15).config == pytest.approx(next_after(1.0).config)
