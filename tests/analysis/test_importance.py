import time
from dataclasses import replace

import numpy as np
import pytest

from jouleshift.analysis.domains import Domain, domains_of_runs, domains_of_space, domains_of_trials
from jouleshift.analysis.importance import WEIGHTS, Sample, importance_of
from tests.analysis.synthetic import DEFAULT, hyperband_run, objectives_of, record, run_of, sample_config


def optuna_importances(x, y, names):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    spaces = {name: optuna.distributions.FloatDistribution(0, 1) for name in names}
    for row, value in zip(x, y, strict=True):
        study.add_trial(
            optuna.create_trial(params=dict(zip(names, row, strict=True)), distributions=spaces, value=value)
        )
    return optuna.importance.FanovaImportanceEvaluator(n_trees=64, seed=0).evaluate(study)


EXPONENTIAL = (1 - np.exp(-6)) / 6 - ((1 - np.exp(-3)) / 3) ** 2
"""The variance of exp(−3x) over x in 0 … 1: the mean of its square, less the square of its mean."""


@pytest.mark.parametrize(
    ("function", "variances"),
    [
        (lambda x: 3 * x[:, 0] + 2 * x[:, 1] + x[:, 2], (9 / 12, 4 / 12, 1 / 12)),
        (lambda x: np.exp(-3 * x[:, 0]) + 0.3 * x[:, 1], (EXPONENTIAL, 0.09 / 12, 0.0)),
        pytest.param(
            lambda x: (x[:, 0] - 0.5) * (x[:, 1] + 1) + 0.2 * np.cos(6 * x[:, 2]),
            None,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_agrees_with_optuna_and_with_what_is_known(function, variances):
    """Additive functions have the variances of their terms, which take more places to be found."""
    names = ["a", "b", "c"]

    def ours(places):
        return Sample(places, tuple(Domain(n) for n in names)).importance(function(places)).main_effects()

    x = np.random.default_rng(0).random((2000, 3))
    few = x[:400]
    theirs = optuna_importances(few, function(few), names)
    for effect in ours(few):
        assert effect.mean == pytest.approx(theirs[effect.names[0]], abs=0.03)
    if variances:
        assert [e.mean for e in ours(x)] == pytest.approx(np.divide(variances, sum(variances)), abs=0.02)


def noisy_run(trials=126):
    """Error: learning rate most, momentum less, and noise. Energy: shift depth most, exactly."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(1, trials + 1):
        config = sample_config(rng)
        rate = (np.log10(config["learning_rate"]) + 3) / 2
        error = 0.3 + 0.2 * np.sin(3 * rate) + 0.1 * config["momentum"] + 0.04 * rng.normal()
        energy_j = 1e-6 * (1 - 0.045 * config["shift_depth"] + 0.002 * config["weight_bits"])
        records.append(record(number, float(error), energy_j, config=config))
    return run_of(*records)


def test_the_weights_end_at_the_importance_of_each_objective_however_noisy_it_is():
    found = importance_of([noisy_run()])
    assert found is not None
    weights, shares = found.over_weights
    names = [d.name for d in found.error.domains]
    assert weights.tolist() == list(WEIGHTS)
    assert (weights[0], weights[-1], len(names)) == (0, 1, 11)
    assert shares[0].tolist() == [e.mean for e in found.energy.main_effects()]
    assert shares[-1].tolist() == [e.mean for e in found.error.main_effects()]
    alone = dict(zip(names, shares[-1], strict=True))
    assert max(alone, key=alone.__getitem__) == "learning_rate"
    assert alone["learning_rate"] > 0.35
    assert alone["shift_depth"] < 0.04, "it drives the energy, which is none of the error's concern"


def test_weights_between_the_ends_have_forests_of_their_own():
    found = importance_of([noisy_run()], trees=16)
    assert found is not None
    error, energy = ((column - column.min()) / np.ptp(column) for column in found.objectives.T)
    mixed = found.sample.importance(0.7 * error + 0.3 * energy)
    assert found.over_weights[1][7] == pytest.approx([e.mean for e in mixed.main_effects()], abs=0.01)
    depth = found.over_weights[1][:, [d.name for d in found.error.domains].index("shift_depth")]
    assert depth[0] > 0.9
    assert (np.diff(depth) < 0.02).all(), "less and less as the energy counts less"
    own = replace(found, front_weights=(0.7, 0.25)).at_front
    assert own[0] == pytest.approx(found.over_weights[1][7])
    assert own[1] == pytest.approx((found.over_weights[1][2] + found.over_weights[1][3]) / 2)


def test_a_thousand_trials_of_eleven_hyperparameters_take_seconds():
    rng = np.random.default_rng(0)
    records = [
        record(n, *objectives_of(config, 9, rng), config=config)
        for n, config in enumerate((sample_config(rng) for _ in range(1000)), 1)
    ]
    began = time.process_time()
    found = importance_of([run_of(*records)])
    assert found is not None
    assert found.error.pair_effects()
    assert found.over_weights[1].shape == (11, 11)
    assert (len(found.error.domains), found.trials) == (11, 1000)
    assert time.process_time() - began < 10


def test_a_run_shows_what_its_objectives_were_made_of():
    found = importance_of([hyperband_run(600)])
    assert found is not None
    assert found.budget == 1  # most results are there
    energy = {e.names[0]: e.mean for e in found.energy.main_effects()}
    error = {e.names[0]: e.mean for e in found.error.main_effects()}
    bits = {"act_integer_bits", "act_fraction_bits"}
    assert set(sorted(energy, key=energy.__getitem__)[-3:]) == {"shift_depth", *bits}
    assert set(sorted(error, key=error.__getitem__)[-3:]) == {"shift_depth", "weight_bits", "learning_rate"}
    assert max(energy["optimizer"], energy["learning_rate"], error["rounding"]) < 0.05
    assert len(found.front_weights) > 0
    assert all(0 <= w <= 1 for w in found.front_weights)


def test_the_same_run_gives_the_same_importance():
    first, second = importance_of([hyperband_run(80)]), importance_of([hyperband_run(80)])
    assert first is not None
    assert second is not None
    assert (first.over_weights[1] == second.over_weights[1]).all()


def test_importance_is_that_at_the_named_budget():
    rng = np.random.default_rng(0)
    records = []
    for number in range(1, 601):
        budget = int(rng.choice([1, 9]))
        bits, depth = int(rng.integers(2, 9)), int(rng.integers(0, 21))
        error = bits / 10 if budget == 9 else depth / 20
        config = {"weight_bits": bits, "shift_depth": depth}
        records.append(record(number, error, 1.0 + depth, budget=budget, config=config))
    for budget, name in ((9, "weight_bits"), (1, "shift_depth")):
        found = importance_of([run_of(*records)], budget)
        assert found is not None
        assert {e.names[0]: round(e.mean, 1) for e in found.error.main_effects()}[name] == 1.0
    curve = importance_of([run_of(*records)], 9).error.curve("weight_bits")
    assert curve.values == tuple(range(2, 9))
    assert curve.mean == pytest.approx([b / 10 for b in range(2, 9)], abs=0.02)


def test_too_few_trials_or_nothing_that_varies_give_none():
    assert importance_of([hyperband_run(8)]) is None
    assert importance_of([hyperband_run(60)], budget=27) is None
    assert importance_of([run_of()]) is None
    assert importance_of([run_of(*(record(n, 0.1 * n, 1.0) for n in range(1, 20)))]) is None


def test_an_inactive_hyperparameter_has_no_effect_where_it_is_inactive():
    rng = np.random.default_rng(0)
    records = []
    for number in range(1, 601):
        kind = str(rng.choice(["Q", "PS"]))
        made = record(number, 0.5 if kind == "Q" else 0.0, 1.0 + rng.random(), config={"shift_type": kind})
        made.trial.config.pop("momentum")
        if kind == "Q":
            made.trial.config["momentum"] = rng.random()
        records.append(made)
    found = importance_of([run_of(*records)])
    assert found is not None
    effects = {e.names[0]: e.mean for e in found.error.main_effects()}
    assert effects["shift_type"] > 0.98
    assert effects["momentum"] < 0.01


def test_a_conditional_hyperparameter_has_its_effect_where_it_is_active():
    """Error is momentum where the type is Q and 0 elsewhere: variances 1/16, 1/48 and, together, 1/48."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(1, 1201):
        kind, momentum = str(rng.choice(["Q", "PS"])), float(rng.random())
        error = momentum if kind == "Q" else 0.0
        made = record(number, error, 1.0 + rng.random(), config={"shift_type": kind, "momentum": momentum})
        if kind == "PS":
            made.trial.config.pop("momentum")
        records.append(made)
    found = importance_of([run_of(*records)])
    assert found is not None
    effects = {frozenset(e.names): e.mean for e in (*found.error.main_effects(), *found.error.pair_effects())}
    assert effects[frozenset({"shift_type"})] == pytest.approx(0.6, abs=0.03)
    assert effects[frozenset({"momentum"})] == pytest.approx(0.2, abs=0.03)
    assert effects[frozenset({"shift_type", "momentum"})] == pytest.approx(0.2, abs=0.03)


def test_domains_of_a_space():
    from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer

    space = ConfigurationSpace()
    space.add(
        Float("rate", (1e-3, 1.0), log=True),
        Integer("bits", (2, 8)),
        Integer("width", (1, 64), log=True),
        Categorical("type", ["Q", "PS"]),
        Constant("mode", "x"),
    )
    found = {d.name: d for d in domains_of_space(space)}
    assert found["rate"] == Domain("rate", 1e-3, 1.0, log=True)
    assert found["bits"].levels == (2, 3, 4, 5, 6, 7, 8)
    assert found["width"] == Domain("width", 0.5, 64.5, log=True)
    assert set(found["type"].levels) == {"Q", "PS"}
    assert found["mode"].is_single


def test_domains_are_read_off_the_trials():
    found = {d.name: d for d in domains_of_trials(hyperband_run(400).trials)}
    assert found["learning_rate"].log
    assert found["weight_decay"].log
    assert not found["momentum"].log
    assert found["weight_bits"].levels == (2, 3, 4, 5, 6, 7, 8)
    assert "Ranger" in found["optimizer"].levels
    same = domains_of_trials([record(1, config=DEFAULT)])
    assert all(d.is_single for d in same)


def test_the_searched_space_is_taken_from_the_run_where_it_tells_it():
    made = hyperband_run(60, space={"weight_bits": [2, 8]})

    def renamed(trial):
        return replace(trial, config={k.replace("act_", "activation_"): v for k, v in trial.config.items()})

    trials = tuple(replace(r, trial=renamed(r.trial)) for r in made.trials)
    told = replace(made, trials=trials, env={"max_depth": 20})
    found = {d.name: d for d in domains_of_runs([told])}
    assert (found["learning_rate"].low, found["learning_rate"].high) == (0.001, 0.1)
    assert found["shift_depth"].levels == tuple(range(21))
    shallow = replace(told, env={"max_depth": 3})  # its trials do not fit such a space
    assert len({d.name: d for d in domains_of_runs([shallow])}["shift_depth"].levels) > 4


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Domain("x", 1e-6, 1e-2, log=True), [1e-6, 1e-4, 1e-2]),
        (Domain("x", -1.0, 3.0), [-1.0, 0.5, 3.0]),
        (Domain("x", levels=("a", "b", "c")), ["c", "a", "b"]),
        (Domain("x", levels=tuple(range(97))), [0, 50, 96]),
    ],
)
def test_encoding_reads_back(domain, values):
    places = domain.encode(values, np.random.default_rng(0))
    assert ((places >= 0) & (places <= 1)).all()
    decoded = domain.decode(places)
    assert decoded == values if domain.levels else decoded == pytest.approx(values)
