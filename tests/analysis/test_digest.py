from dataclasses import replace
from pathlib import Path

import pytest

from jouleshift.analysis.digest import digest, mean_default
from jouleshift.analysis.pareto import objectives
from jouleshift.errors import BadInput
from jouleshift.records import Failure, TrialRecord
from tests.analysis.synthetic import evaluation, hyperband_run, record, run_of, sized


def test_each_trial_has_the_role_it_played():
    view = digest(
        [
            run_of(
                record(1, 0.40, 4.0, bracket=-1),
                record(2, 0.30, 3.0),
                record(3, 0.35, 3.5),
                record(4, 0.10, 1.0, budget=3),
                record(5, failure=Failure("timeout", "too long")),
                record(6),
            )
        ]
    )
    assert [p.role for p in view.points] == ["default", "front", "rejected", "lower", "failed", "running"]
    assert [p.record.trial.id for p in view.front] == [2]


def test_a_default_on_the_front_keeps_its_role():
    view = digest([run_of(record(1, 0.2, 4.0, bracket=-1), record(2, 0.3, 3.0))])
    assert view.points[0].role == "default"
    assert view.points[0].on_front
    assert [p.record.trial.id for p in view.front] == [1, 2]


def test_runs_are_pooled_and_their_defaults_averaged():
    first = run_of(record(1, 0.4, 4.0, bracket=-1), record(2, 0.3, 3.0))
    second = run_of(record(1, 0.2, 8.0, bracket=-1), record(2, 0.25, 2.0))
    view = digest([first, second])
    assert [(p.run, p.record.trial.id) for p in view.front] == [(1, 1), (1, 2)]
    assert objectives(mean_default([first, second])) == pytest.approx((0.3, 6.0))
    assert [r.trial.id for r in view.comparison.dominating] == [2]


def test_the_mean_default_is_a_mean_in_every_objective():
    """Trial 2 beats neither run's default, but their mean."""

    def timed(number, latency_s, size_bytes, **trial):
        made = sized(number, 0.5, size_bytes, 1.0, **trial)
        return replace(made, result=replace(made.result, latency_s=latency_s))

    goal = {"objectives": ["error", "latency_s", "size_bytes"]}
    first = run_of(timed(1, 1.0, 9000, bracket=-1), timed(2, 1.5, 6000), **goal)
    second = run_of(timed(1, 3.0, 5000, bracket=-1), **goal)
    view = digest([first, second])
    assert view.comparison.default.values == {
        "error": 0.5, "energy_j": 1.0, "latency_s": 2.0, "size_bytes": 7000
    }  # fmt: skip
    assert [r.trial.id for r in view.comparison.dominating] == [2]


def test_a_failed_default_is_left_out_of_the_mean():
    failed = run_of(record(1, bracket=-1, failure=Failure("diverged", "NaN")))
    good = run_of(record(1, 0.2, 8.0, bracket=-1))
    assert objectives(mean_default([failed, good])) == (0.2, 8.0)
    assert mean_default([failed]) is None


def test_no_default_dominates_the_mean_of_defaults():
    lucky, unlucky = run_of(record(1, 0.1, 4.0, bracket=-1)), run_of(record(1, 0.3, 4.0, bracket=-1))
    assert digest([lucky, unlucky]).comparison.dominating == ()


@pytest.mark.parametrize("name", ["profile", "data", "max_budget", "limit_train", "space"])
def test_runs_trained_or_priced_differently_are_refused(name):
    run = run_of(record(1, 0.2, 4.0, bracket=-1))
    one, two, same = (replace(run, config={**run.config, name: value}) for value in ("a", "b", "a"))
    digest([one, replace(same, config={**same.config, "seed": 7, "trials": 99})])
    with pytest.raises(BadInput, match=f"share no front .*{name} 'a' and 'b'"):
        digest([one, two])


def test_runs_of_different_energy_sources_are_refused():
    other = TrialRecord(record(1).trial, evaluation(0.1, 1.0, source="deployed"))
    with pytest.raises(BadInput, match="deployed and modelled"):
        digest([run_of(record(1, 0.5, 1.0)), run_of(other)])
    with pytest.raises(BadInput, match="no run"):
        digest([])


def test_ten_thousand_trials_each_have_one_role():
    view = digest([hyperband_run(10_000)])
    assert len(view.points) == 10_000


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("runs/a", "runs/b"), ("a", "b")),
        (("/x/a/r", "/x/b/r"), ("a/r", "b/r")),
        (("a/p/r", "b/p/r", "c/q"), ("a/p/r", "b/p/r", "c/q")),
        (("r", "a/r"), ("r", "a/r")),
        (("runs/a", "runs/a"), ("a", "a")),
    ],
)
def test_runs_have_the_shortest_names_that_tell_them_apart(paths, names):
    assert digest([run_of(record(1), path=Path(path)) for path in paths]).names == names
