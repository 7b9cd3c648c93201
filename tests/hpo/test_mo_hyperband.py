"""What is particular to mo-hyperband: its rungs, its surrogate, and that it finds a front."""

import json
import time
from dataclasses import replace
from itertools import pairwise

import moocore
import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, ForbiddenGreaterThanRelation, Integer
from scipy.optimize import check_grad

from jouleshift.errors import BadInput
from jouleshift.hpo import make_scheduler, mo_hyperband
from jouleshift.hpo.acquisition.ehvi import pareto_mask
from jouleshift.hpo.brackets import ladder
from jouleshift.hpo.encoding import Encoding
from jouleshift.hpo.mo_hyperband import MoHyperband
from jouleshift.hpo.surrogate import GaussianProcess, Rows
from jouleshift.records import Trial
from jouleshift.space import build_space

from .toy import Driver, energy, mixed_space, never, outcome, replay, third


def search(**settings):
    known = {"energy_j": energy}
    return make_scheduler("mo-hyperband", mixed_space(), **{"max_budget": 9, "known": known, **settings})


@pytest.mark.parametrize(
    ("low", "high", "eta", "rungs"),
    [(1, 27, 3, (1, 3, 9, 27)), (10, 50, 3, (17, 50)), (5, 5, 3, (5,)), (1, 5, 2, (1, 2, 5))],
)
def test_the_ladder_ends_at_full_budget(low, high, eta, rungs):
    assert ladder(low, high, eta) == rungs


def test_the_gradient_of_the_surrogates_loss_is_its_derivative():
    rng = np.random.default_rng(0)
    rows = Rows(rng.random((25, 3)), rng.integers(0, 4, 25) / 3)
    targets = np.sin(3 * rows.features[:, 0]) + rows.features[:, 1] - rows.rungs
    surrogate = GaussianProcess([0, 1, 1])
    squares = [
        ((rows.features[:, None, columns] - rows.features[None][:, :, columns]) ** 2).sum(2)
        for columns in ([0], [1, 2])
    ]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        surrogate._theta = theta
        return surrogate._loss(rows, targets, squares)

    start = surrogate._theta + 0.3
    assert check_grad(lambda t: loss(t)[0], lambda t: loss(t)[1], start) < 1e-4


def test_the_surrogate_is_the_conditional_of_its_own_kernel():
    """Against the textbook formulas with a plain inverse."""
    rng = np.random.default_rng(1)
    rows = Rows(rng.random((30, 2)), rng.integers(0, 4, 30) / 3)
    new = Rows(rng.random((5, 2)), np.ones(5))
    targets = rows.features.sum(axis=1) - rows.rungs
    surrogate = GaussianProcess([0, 1])
    surrogate.fit(rows, targets, rng)
    mean, sd = surrogate.predict(new)
    inverse = np.linalg.inv(
        surrogate._covariance(rows, rows) + (surrogate._parameters().noise + 1e-6) * np.eye(30)
    )
    cross = surrogate._covariance(new, rows)
    centre, scale = targets.mean(), targets.std()
    np.testing.assert_allclose(mean, centre + cross @ inverse @ (targets - centre), atol=1e-4)
    variance = np.diag(surrogate._covariance(new, new) - cross @ inverse @ cross.T)
    np.testing.assert_allclose(sd, scale * np.sqrt(variance), atol=1e-4)
    assert np.abs(mean - (new.features.sum(axis=1) - 1)).max() < 0.1


def test_low_rungs_tell_of_full_budget():
    """Results at a low rung of all configurations and at full budget of a few predict the others."""
    rng = np.random.default_rng(2)
    features = rng.random((40, 3))
    full = np.sin(4 * features[:, 0]) + features[:, 1] * features[:, 2]
    surrogate = GaussianProcess([0, 1, 2])
    rows = Rows(np.vstack([features, features[:8]]), np.repeat([0.0, 1.0], [40, 8]))
    surrogate.fit(rows, np.concatenate([full + 0.5, full[:8]]), rng)
    mean, _ = surrogate.predict(Rows(features[8:], np.ones(32)))
    assert np.abs(mean - full[8:]).mean() < 0.25 * np.abs(full - full.mean()).mean()


def test_promising_trials_are_finished_and_others_stay_at_the_bottom():
    driver = Driver(search(seed=1)).run(60)
    top = [trial for trial in driver.trials[1:] if trial.budget == 9]
    started = [trial for trial in driver.trials[1:] if trial.parent is None]
    assert 3 <= len(top) < len(started) / 2
    finished = {json.dumps(trial.config) for trial in top}

    def error_at_bottom(trials: list[Trial]) -> float:
        return float(np.median([outcome(trial)["error"] for trial in trials]))

    better = [trial for trial in started if json.dumps(trial.config) in finished]
    assert error_at_bottom(better) < error_at_bottom([trial for trial in started if trial not in better])


def test_cheap_networks_at_chance_level_are_seldom_finished():
    """Few bits cost least and leave the error at 0.9: an extreme of the front, worth nothing. That they stay
    so takes a few full trainings to learn; with the reference point at 0.9 itself it was never learned."""
    finished = []
    for seed in range(4):
        scheduler = search(seed=seed)
        for _ in range(60):
            trial = scheduler.ask()
            values = outcome(trial)
            at_chance = trial.config["weight_bits"] <= 3
            scheduler.tell(trial, {**values, "error": 0.9} if at_chance else values)
            if trial.budget == 9 and trial.id > 1:
                finished.append(at_chance)
    assert len(finished) > 25
    assert np.mean(finished) < 1 / 3


@pytest.mark.parametrize("seed", range(3))
def test_running_trials_are_counted(seed):
    """What is being trained promises no second worker what it promised the first."""
    scheduler = Driver(search(seed=seed)).run(40).scheduler
    parallel = [scheduler.ask() for _ in range(8)]
    assert len({json.dumps(trial.config) for trial in parallel}) == 8

    def promise() -> np.ndarray:
        gain = scheduler._learn(np.random.default_rng(0))
        return gain(*scheduler._prospects.of_trials([trial.id for trial in parallel]))

    counted = promise()
    scheduler._running.clear()
    assert counted.sum() < promise().sum() / 2


@pytest.mark.parametrize(("workers", "fails"), [(1, never), (3, third)])
def test_a_replay_proposes_one_in_fifty_and_ends_in_the_same_state(workers, fails, monkeypatch):
    driver = Driver(search(seed=3), workers, fails).run(180)
    proposed = []
    propose = MoHyperband._propose
    monkeypatch.setattr(MoHyperband, "_propose", lambda self: proposed.append(self._asked) or propose(self))
    again = search(seed=3)
    replay(again, driver.events)
    early = [number for number in proposed if number < 50]
    assert 7 <= len(early) <= 25
    assert proposed == [*early, 50, 100, 150]
    assert again._paused == driver.scheduler._paused
    assert [again.ask() for _ in range(5)] == [driver.scheduler.ask() for _ in range(5)]


def test_a_trial_of_another_version_is_not_repeated():
    """Neither another first proposal of the model, nor one that continues what was never paused."""
    driver = Driver(search(seed=3)).run(40)
    modelled = driver.trials[search().initial + 1]
    continued = next(trial for trial in driver.trials if trial.parent is not None and trial.id > 11)
    for wrong in (replace(modelled, seed=99), replace(continued, parent=1)):
        again = search(seed=3)
        before = [event for event in driver.events if event[1].id < wrong.id]
        replay(again, before)
        assert not again.repeat(wrong)


def test_a_trial_proposed_elsewhere_is_taken_up_where_its_last_digits_differ():
    """The fifty-first is one of those that are checked."""
    driver = Driver(search(seed=3)).run(60)
    checked = driver.trials[50]
    other = replace(checked, config={**checked.config, "learning_rate": 0.0123456})
    for elsewhere in (False, True):
        again = search(seed=3)
        replay(again, [event for event in driver.events if event[1].id < checked.id])
        assert again.repeat(other, elsewhere) == elsewhere
    again.tell(other, {"error": 0.5, "energy_j": 1e-6})
    assert again.ask().id == checked.id + 1


def test_of_too_many_paused_trials_those_near_the_front_of_their_rung_stay(monkeypatch):
    monkeypatch.setattr(mo_hyperband, "_MAX_PAUSED", 30)
    monkeypatch.setattr(mo_hyperband, "_KEPT_PAUSED", 20)
    driver = Driver(search(seed=1)).run(150)
    paused = driver.scheduler._paused
    assert 20 <= len(paused) <= 30 and paused == sorted(paused)
    low = [trial for trial in driver.trials if trial.budget == 1]
    values = np.array([[driver.outcomes[t.id][name] for name in ("error", "energy_j")] for t in low])
    front = {trial.id for trial, best in zip(low, pareto_mask(values), strict=True) if best}
    continued = {trial.parent for trial in driver.trials}
    assert front <= set(paused) | continued


def test_the_surrogate_sees_a_bounded_part_of_the_results_from_all_rungs():
    prospects = Driver(search()).run(30).scheduler._prospects
    prospects._told = [list(range(1000, 6000)), list(range(10, 20)), [1, 2, 3]]
    recent = prospects._recent()
    assert len(recent) == 400
    assert recent[:3] == [1, 2, 3] and recent[3:13] == list(range(10, 20)) and recent[-1] == 5999


def test_encoded_configurations_come_back():
    for space in (mixed_space(), build_space(20)):
        encoding = Encoding(space)
        rng = np.random.default_rng(0)
        vectors = encoding.sample(50, rng)
        for batch in (vectors, encoding.mutate(vectors, rng)):
            for vector, values in zip(batch, encoding.values(batch), strict=True):
                config = encoding.configuration(vector)
                assert set(config) == set(values)
                for name, value in config.items():
                    assert values[name] == (pytest.approx(value) if isinstance(value, float) else value)
                np.testing.assert_allclose(encoding.vector(config), vector, atol=1e-9)
            assert np.isfinite(encoding.features(batch)).all()


def test_it_beats_random_search_at_equal_epochs():
    """Toy problem, five seeds: median hypervolume of full-budget results after 90 epochs."""

    def volume(name: str, seed: int) -> float:
        scheduler = make_scheduler(name, mixed_space(), max_budget=9, seed=seed, known={"energy_j": energy})
        spent, points = 0, []
        budgets = {None: 0}
        while spent < 90:
            trial = scheduler.ask()
            values = outcome(trial)
            scheduler.tell(trial, values)
            budgets[trial.id] = trial.budget
            spent += trial.budget - budgets[trial.parent]
            if trial.budget == 9:
                points.append([values["error"], values["energy_j"] * 1e9])
        return moocore.hypervolume(np.array(points), ref=np.array([0.6, 10.0]))

    ours, theirs = ([volume(name, seed) for seed in range(5)] for name in ("mo-hyperband", "random"))
    assert np.median(ours) > np.median(theirs)


def test_what_is_known_to_break_a_constraint_is_never_trained():
    """The default, with 5 bits, does; of the space a seventh keeps the limit."""
    driver = Driver(search(constraints={"energy_j": energy({"weight_bits": 2})})).run(40)
    assert {trial.config["weight_bits"] for trial in driver.trials[1:]} == {2}


def test_hardly_reachable_limits_are_found_and_impossible_ones_refused():
    def corner(config):
        return 1 + 100 * abs(float(config["learning_rate"]) - 0.001) + float(config["weight_bits"])

    known = {"energy_j": energy, "size": corner}
    driver = Driver(search(known=known, constraints={"size": 3.001})).run(20)
    assert len(driver.trials) == 20
    assert all(corner(trial.config) <= 3.001 for trial in driver.trials[1:])
    with pytest.raises(BadInput, match="size <= 2"):
        search(known=known, constraints={"size": 2})


def test_a_limit_on_a_learned_value_turns_the_search_to_what_keeps_it():
    """The size is learned, and small only with few bits; without a limit more bits are better."""
    limited, free = (Driver(search(seed=3, constraints=limit)).run(60).trials for limit in ({"size": 17}, {}))
    few, many = (
        np.mean([trial.config["weight_bits"] for trial in trials if trial.budget == 9][1:])
        for trials in (limited, free)
    )
    assert few < many
    kept = [outcome(trial)["size"] <= 17 for trial in limited if trial.budget == 9]
    assert np.mean(kept[1:]) > 0.5


@pytest.mark.parametrize("acquisition", ["ehvi", "parego"])
def test_a_search_by_any_acquisition_is_replayed(acquisition):
    settings = {"acquisition": acquisition, "objectives": ("error", "energy_j", "size"), "seed": 4}
    driver = Driver(search(**settings), workers=3).run(30)
    again = search(**settings)
    replay(again, driver.events)
    assert again.ask() == driver.scheduler.ask()


def test_a_running_trial_blocks_no_proposal_and_where_trials_start_again_finishing_costs_more():
    scheduler = search(seed=2)
    trials = [scheduler.ask() for _ in range(6)]
    assert all(trials)
    retrained = search(seed=2, cost=lambda start, budget: float(budget))
    assert list(scheduler._missing) == [9, 8, 6, 0]
    assert list(retrained._missing) == [13, 12, 9, 0]


def test_nothing_to_learn_is_refused():
    with pytest.raises(BadInput, match="nothing to learn"):
        search(known={"energy_j": energy, "error": energy})


@pytest.mark.slow
def test_time_of_a_proposal_at_200_trials():
    scheduler = make_scheduler("mo-hyperband", build_space(20), known={"energy_j": energy})
    Driver(scheduler).run(200)
    start = time.process_time()
    Driver(scheduler).run(20)
    assert (time.process_time() - start) / 20 < 0.06, "twice the 30 ms aimed at, for slow machines"


def test_each_proposal_has_a_preference_of_its_own(monkeypatch):
    """`parego` takes the weights of the proposal's number, so each must be told another."""
    numbers = []

    def recording(situation):
        numbers.append(situation.number)
        return lambda mean, sd: mean.sum(axis=1) * 0 + 1

    monkeypatch.setattr(mo_hyperband, "find_acquisition", lambda name: recording)
    driver = Driver(search())
    driver.run(40)
    assert len(numbers) > 20
    assert numbers == sorted(set(numbers))


def test_a_space_that_allows_one_in_thousands_is_not_taken_for_exhausted():
    space = ConfigurationSpace()
    ordered = [Integer(f"w{i}", (1, 512), default=1 + 50 * i) for i in range(6)]
    space.add(*ordered)
    for smaller, larger in pairwise(ordered):
        space.add(ForbiddenGreaterThanRelation(smaller, larger))
    scheduler = make_scheduler("mo-hyperband", space, max_budget=9, seed=1)
    for _ in range(30):
        trial = scheduler.ask()
        weights = [trial.config[f"w{i}"] for i in range(6)]
        assert weights == sorted(weights)
        scheduler.tell(trial, {"error": 1 / (1 + weights[0]), "energy_j": sum(weights) * 1e-6})
