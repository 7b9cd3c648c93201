"""What every scheduler promises, run on each of them."""

import json
import os
import random
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from ConfigSpace import Configuration

import jouleshift
from jouleshift.errors import BadInput
from jouleshift.hpo import make_scheduler, scheduler_names
from jouleshift.records import Failure, Trial, to_json, trial_from_json
from jouleshift.space import build_space

from .toy import (
    Driver,
    always,
    conditional_space,
    energy,
    forbidding_space,
    mixed_space,
    outcome,
    replay,
    third,
    tiny_space,
)

pytestmark = pytest.mark.parametrize("name", scheduler_names())

BUDGETS = {"min_budget": 1, "max_budget": 9, "eta": 3}
N = 20


def fresh(name, space=None, seed=3, **settings):
    return make_scheduler(name, space or mixed_space(), seed=seed, **{**BUDGETS, **settings})


def test_ids_count_from_one_and_the_default_comes_first_at_full_budget(name):
    driver = Driver(fresh(name)).run(N)
    assert [trial.id for trial in driver.trials] == list(range(1, N + 1))
    first = driver.trials[0]
    assert first.config == dict(mixed_space().get_default_configuration())
    assert first.budget == 9 and first.parent is None
    assert driver.scheduler.running == ()


@pytest.mark.parametrize(
    "space",
    [mixed_space(), build_space(20, {"optimizer": "Adam"}), forbidding_space(), conditional_space()],
    ids=["mixed", "table-1", "forbidding", "conditional"],
)
def test_configurations_are_legal_plain_and_survive_json(name, space):
    for trial in Driver(fresh(name, space)).run(45).trials:
        legal = Configuration(space, values=dict(trial.config))
        assert dict(legal) == trial.config
        assert {type(value) for value in trial.config.values()} <= {int, float, str}
        again = trial_from_json(json.loads(json.dumps(to_json(trial))))
        assert again == trial and again.config == trial.config
        assert Configuration(space, values=dict(again.config)) == legal


@pytest.mark.parametrize(("low", "high", "eta"), [(1, 9, 3), (2, 7, 2), (10, 50, 3), (3, 3, 3)])
def test_budgets_are_whole_and_in_range(name, low, high, eta):
    scheduler = fresh(name, min_budget=low, max_budget=high, eta=eta)
    budgets = [trial.budget for trial in Driver(scheduler).run(12).trials]
    assert all(type(budget) is int and low <= budget <= high for budget in budgets)


@pytest.mark.parametrize(("workers", "fails"), [(1, third), (4, third), (4, always)])
def test_a_replayed_journal_gives_the_same_next_proposals(name, workers, fails):
    driver = Driver(fresh(name), workers, fails, seed=5).run(N)
    again = fresh(name)
    replay(again, driver.events)
    assert again.ask() == driver.scheduler.ask()


def test_a_finished_run_can_be_extended(name):
    straight = Driver(fresh(name)).run(N)
    extended = Driver(fresh(name)).run(N // 2).run(N)
    assert extended.trials == straight.trials


def test_nothing_depends_on_global_random_state(name):
    random.seed(1)
    np.random.seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist())
    trials = Driver(fresh(name)).run(45).trials
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    random.seed(2)
    np.random.seed(2)
    assert Driver(fresh(name)).run(45).trials == trials


def test_another_process_proposes_the_same(name):
    code = (
        "import json, sys\n"
        "from tests.hpo.test_contract import fresh, Driver, to_json\n"
        "print(json.dumps([to_json(t) for t in Driver(fresh(sys.argv[1]), workers=3).run(45).trials]))"
    )
    source = Path(jouleshift.__file__).parents[1]
    path = os.pathsep.join(map(str, [source, Path(__file__).parents[2]]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, check=True, env=environment
    )
    theirs = [trial_from_json(trial) for trial in json.loads(done.stdout)]
    assert theirs == Driver(fresh(name), workers=3).run(45).trials


def test_seeds_differ(name):
    one, two = (Driver(fresh(name, seed=seed)).run(10).trials[1:] for seed in (0, 1))
    assert [trial.config for trial in one] != [trial.config for trial in two]
    assert {trial.seed for trial in two} == {1}


@pytest.mark.parametrize(("workers", "fails"), [(1, always), (3, third)])
def test_the_search_goes_on_when_trials_fail(name, fails, workers):
    driver = Driver(fresh(name), workers, fails).run(24)
    assert len(driver.trials) == 24
    failed = [trial.config for trial in driver.trials if isinstance(driver.outcomes[trial.id], Failure)]
    assert failed
    assert all(failed.count(config) == 1 for config in failed), "a failed configuration is not trained again"


def test_a_promoted_trial_names_the_trial_it_continues(name):
    driver = Driver(fresh(name), workers=2, fails=third).run(40)
    by_id = {trial.id: trial for trial in driver.trials}
    for trial in driver.trials:
        if trial.parent is not None:
            parent = by_id[trial.parent]
            assert parent.config == trial.config and parent.seed == trial.seed
            assert parent.budget < trial.budget and parent.rung < trial.rung
            assert not isinstance(driver.outcomes[parent.id], Failure)
    pairs = [(json.dumps(trial.config), trial.budget) for trial in driver.trials]
    assert len(set(pairs)) == len(pairs), "nothing is trained twice"


def test_a_finite_space_is_exhausted_without_an_error(name):
    driver = Driver(fresh(name, tiny_space())).run(200)
    assert driver.scheduler.running == ()
    assert len({json.dumps(trial.config) for trial in driver.trials}) == 6
    assert len(driver.trials) <= 1 + 6 * 3, "each configuration once per budget, and the default first"
    assert sum(trial.budget == 9 for trial in driver.trials) > 1, "not only the default is trained to the end"


def test_three_objectives(name):
    driver = Driver(fresh(name, objectives=("error", "energy_j", "size"))).run(N)
    assert len(driver.trials) == N


def test_a_constraint_on_what_is_known_is_kept_before_training(name):
    if name == "parego-hyperband":
        pytest.skip("SMAC knows no constraints; infeasible results stay off the front")
    limit = energy({"weight_bits": 4})
    driver = Driver(fresh(name, known={"energy_j": energy}, constraints={"energy_j": limit}), 3, third).run(N)
    assert all(trial.config["weight_bits"] <= 4 for trial in driver.trials[1:])
    assert len(driver.trials) == N


def rate(config):
    return config["learning_rate"]


def test_a_limit_that_hardly_anything_keeps_is_kept_and_an_impossible_one_refused(name):
    """Two in a hundred configurations keep the first."""
    with pytest.raises(BadInput, match=r"no configuration was found that keeps rate <= 0\.0001"):
        fresh(name, known={"rate": rate}, constraints={"rate": 1e-4})
    if name == "parego-hyperband":
        pytest.skip("SMAC knows no constraints; infeasible results stay off the front")
    scheduler = fresh(name, known={"rate": rate}, constraints={"rate": 1.1e-3})
    for _ in range(N):
        trial = scheduler.ask()
        scheduler.tell(trial, {**outcome(trial), "rate": rate(trial.config)})
        assert trial.id == 1 or rate(trial.config) <= 1.1e-3


def test_an_outcome_without_an_objective_is_a_bug(name):
    for wrong in ({"error": 0.5}, {"error": 0.5, "energy_j": float("nan")}):
        scheduler = fresh(name)
        with pytest.raises(ValueError, match="energy_j"):
            scheduler.tell(scheduler.ask(), wrong)


def test_known_objectives_are_accepted(name):
    driver = Driver(fresh(name, known={"energy_j": energy})).run(12)
    assert len(driver.trials) == 12


def test_the_users_space_is_left_as_it_is_and_nothing_is_written(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    space = mixed_space()
    untouched = deepcopy(space)
    Driver(fresh(name, space), fails=third).run(45)
    assert space.sample_configuration(5) == untouched.sample_configuration(5)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_trials_are_told_once(name):
    scheduler = fresh(name)
    trial = scheduler.ask()
    assert isinstance(trial, Trial)
    scheduler.tell(trial, outcome(trial))
    with pytest.raises(KeyError):
        scheduler.tell(trial, outcome(trial))


def test_what_cannot_be_told_leaves_the_trial_running(name):
    scheduler = fresh(name)
    trial = scheduler.ask()
    for value in (float("nan"), float("inf"), None):
        with pytest.raises(ValueError, match="energy_j"):
            scheduler.tell(trial, {"error": 0.1, "energy_j": value})
    assert scheduler.running == (trial,)
    scheduler.tell(trial, Failure("diverged", "loss is NaN"))
    with pytest.raises(KeyError):
        scheduler.tell(trial, outcome(trial))


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1])
def test_every_seed_that_is_taken_can_be_searched_with(name, seed):
    assert len(Driver(fresh(name, seed=seed)).run(3).trials) == 3
