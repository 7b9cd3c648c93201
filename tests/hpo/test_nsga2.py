"""What is particular to NSGA-II: how Optuna learns of constraints."""

import pytest

from jouleshift.hpo import make_scheduler

from .toy import Driver, mixed_space, outcome


@pytest.mark.parametrize("limit", [30.0, 0.0, -40.0])
def test_a_limit_of_any_sign_is_searched_for(limit):
    """`size` less a constant, so that the same networks keep each limit."""
    less = 30.0 - limit
    scheduler = make_scheduler("nsga2", mixed_space(), constraints={"size": limit}, seed=1, max_budget=9)
    kept = []
    for _ in range(120):
        trial = scheduler.ask()
        values = outcome(trial)
        scheduler.tell(trial, {**values, "size": values["size"] - less})
        kept.append(values["size"] <= 30.0)
    drawn = [
        outcome(t)["size"] <= 30.0 for t in Driver(make_scheduler("random", mixed_space())).run(120).trials
    ]
    assert sum(kept[60:]) > 50 > sum(drawn[60:]) + 10
