import numpy as np
import pytest

from jouleshift.analysis.ablation import ablation_path, predictor_of
from tests.analysis.synthetic import DEFAULT, hyperband_run, record, run_of, sample_config


def additive_run():
    """Error falls with weight bits by much and with momentum by little, nothing else matters."""
    rng = np.random.default_rng(0)
    records = [
        record(400, config={"batch_size": 128, "momentum": 0.0})
    ]  # never finished, but a place to start
    for number in range(1, 400):
        config = {
            "weight_bits": int(rng.integers(2, 9)),
            "momentum": rng.random(),
            "batch_size": int(rng.integers(32, 128)),
        }
        error = 0.9 - 0.08 * config["weight_bits"] - 0.2 * config["momentum"]
        records.append(
            record(number, error, 1e-9 * config["weight_bits"], config=config, budget=int(rng.choice([3, 9])))
        )
    return run_of(*records)


def test_changes_come_in_the_order_of_what_they_bring():
    predict = predictor_of([additive_run()])
    target = {**DEFAULT, "weight_bits": 8, "momentum": 0.1, "batch_size": 64}
    source = {**DEFAULT, "weight_bits": 2, "momentum": 0.9}
    steps = ablation_path(predict, source, target, weights=(1, 0))
    assert [s.name for s in steps] == ["weight_bits", "batch_size", "momentum"]
    assert [(s.old, s.new) for s in steps] == [(2, 8), (128, 64), (0.9, 0.1)]
    assert steps[0].error == pytest.approx(0.9 - 0.64 - 0.18, abs=0.04)
    assert steps[-1].error == pytest.approx(0.9 - 0.64 - 0.02, abs=0.04)


def test_energy_can_lead():
    predict = predictor_of([additive_run()])
    source, target = (
        {**DEFAULT, "weight_bits": 8, "momentum": 0.2},
        {**DEFAULT, "weight_bits": 2, "momentum": 0.8},
    )
    assert ablation_path(predict, source, target, weights=(1, 0))[0].name == "momentum"
    assert ablation_path(predict, source, target, weights=(0, 1))[0].name == "weight_bits"


def test_what_is_predicted_of_the_error_does_not_depend_on_the_energy_beside_it():
    def predicted(energy_of):
        rng = np.random.default_rng(0)
        records = []
        for number in range(1, 127):
            config = sample_config(rng)
            error = 0.8 - 0.05 * config["weight_bits"] + 0.06 * rng.normal()
            records.append(record(number, float(error), energy_of(config), config=config))
        configs = [r.trial.config for r in records]
        return predictor_of([run_of(*records)], trees=8)(configs)

    by_depth = predicted(lambda config: 1e-6 * (1.1 - config["shift_depth"] / 20))
    by_bits = predicted(lambda config: 1e-8 * config["act_integer_bits"])
    assert (by_depth[:, 0] == by_bits[:, 0]).all()
    assert (by_depth[:, 1] != by_bits[:, 1]).any()


def test_equal_configurations_have_no_path_and_few_trials_no_predictor():
    predict = predictor_of([hyperband_run(60)])
    assert ablation_path(predict, DEFAULT, DEFAULT) == ()
    assert predictor_of([hyperband_run(6)]) is None


def test_hyperparameters_that_only_one_end_has_are_steps_too():
    predict = predictor_of([additive_run()])
    source = {name: value for name, value in DEFAULT.items() if name != "momentum"}
    steps = ablation_path(predict, source, {**DEFAULT, "momentum": 0.5})
    assert [(s.name, s.old, s.new) for s in steps] == [("momentum", None, 0.5)]
