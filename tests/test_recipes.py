"""Recipes by name: what each adds, and that continuing a trial stays exact with all of it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from jouleshift import conversion, models, recipes
from jouleshift.config import ShiftConfig, StudyConfig, TrainConfig
from jouleshift.evaluate import Evaluator, train_config
from jouleshift.hpo.scheduler import plain
from jouleshift.records import Evaluation, Trial
from jouleshift.space import build_space
from jouleshift.train.optim import make_optimizer

STUDY = {
    "data": "digits",
    "model": "tiny",
    "max_budget": 4,
    "limit_train": 200,
    "limit_val": 100,
    "device": "cpu",
}


def shift_network(kind="PS", bits=2, mode="default"):
    torch.manual_seed(0)
    config = ShiftConfig(kind=kind, weight_bits=bits, act_integer_bits=3, act_fraction_bits=5, mode=mode)
    return conversion.convert(models.create("tiny", num_classes=10, in_channels=1), config)


@given(st.integers(2, 8), st.integers(1, 60))
def test_bits_fall_one_at_a_time_and_reach_the_final_ones_half_way(final, horizon):
    bits = [recipes.bits_at(final, epoch, horizon) for epoch in range(1, horizon + 1)]
    assert bits[0] == max(final, 5)
    assert sorted(bits, reverse=True) == bits
    assert set(bits[(horizon + 1) // 2 :]) <= {final}
    if horizon >= 6 and final <= 5:
        assert set(bits) == set(range(final, 6))


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_a_layer_at_other_bits_is_the_layer_converted_at_those_bits(kind):
    layer = nn.Conv2d(4, 6, 3)
    for start, end in ((5, 2), (2, 5), (4, 3)):
        changed, direct = (
            conversion.ShiftConv2d.from_float(layer, ShiftConfig(kind=kind, weight_bits=b))
            for b in (start, end)
        )
        changed.change_weight_bits(end)
        assert changed.shift_config == direct.shift_config
        for one, other in zip(changed.integer_weight(), direct.integer_weight(), strict=True):
            assert torch.equal(one, other)


def test_the_progression_changes_the_weights_between_epochs_and_ends_at_the_built_bits():
    model = shift_network(bits=3)
    stages = recipes.BitProgression(model, horizon=8)
    layers = [layer for layer in model.modules() if isinstance(layer, recipes.ShiftLayer)]
    seen = []
    for epoch in range(1, 4):
        stages.before_epoch(model, epoch)
        seen.append({layer.shift_config.weight_bits for layer in layers})
        assert {layer.latent.config.weight_bits for layer in layers} == seen[-1]
    stages.after_training(model, 3)
    assert seen == [{5}, {5}, {4}]
    assert {layer.shift_config.weight_bits for layer in layers} == {3}
    assert {len(layer.quantised_weight().abs().unique()) <= 4 for layer in layers[:1]} == {True}


@pytest.mark.parametrize("mode", ["default", "reference"])
def test_the_paper_s_penalty_by_hand(mode):
    model = shift_network("PS", 5, mode)
    exponents = [
        layer.latent.exponent_and_sign()[0]
        for layer in model.modules()
        if isinstance(layer, recipes.ShiftLayer)
    ]
    expected = 0.5 * 0.01 * sum((2.0 ** p.double()).square().sum().item() for p in exponents)
    penalty = recipes.ShiftPenalty(0.01)(model)
    assert penalty.item() == pytest.approx(expected, rel=1e-5)
    penalty.backward()
    shift = next(p for name, p in model.named_parameters() if name.endswith("shift"))
    assert (shift.grad > 0).all()
    assert recipes.ShiftPenalty(0.01)(shift_network("Q")).item() == 0


def test_deepshift_s_shifts_and_signs_do_not_decay_ours_do():
    for mode, exempt in (("reference", True), ("default", False)):
        model = shift_network("PS", 5, mode)
        groups = make_optimizer(model, TrainConfig(weight_decay=0.1)).param_groups
        decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
        latents = [p for name, p in model.named_parameters() if name.endswith(("shift", "sign"))]
        assert all((id(p) in decayed) != exempt for p in latents)


def test_what_each_recipe_adds():
    model = shift_network()
    found = {
        name: recipes.recipe_for(StudyConfig(recipe=name, **STUDY), model, 0.1)
        for name in ("plain", "paper", "modern")
    }
    assert found["plain"] == recipes.Recipe()
    assert replace(found["paper"], penalty=None) == recipes.Recipe()
    assert found["paper"].penalty.weight_decay == 0.1
    assert found["modern"].precision == "auto"
    assert found["modern"].reestimate_batches > 0
    settings = plain(build_space(3).get_default_configuration())
    assert train_config(settings, StudyConfig(**STUDY)).schedule == "constant"
    modern = train_config(settings, StudyConfig(recipe="modern", **STUDY))
    assert (modern.schedule, modern.label_smoothing) == ("one-cycle", recipes.LABEL_SMOOTHING)
    assert (
        train_config(settings, StudyConfig(recipe="modern", schedule="cosine", **STUDY)).schedule == "cosine"
    )


def outcome(result):
    assert isinstance(result, Evaluation), result
    curve = tuple(replace(point, duration_s=0.0) for point in result.curve)
    return replace(result, curve=curve, trained_epochs=0, train_s=0.0, energy_s=0.0)


@pytest.mark.parametrize("kind", [pytest.param("Q", marks=pytest.mark.slow), "PS"])
@pytest.mark.parametrize(
    "settings",
    [{"recipe": "paper"}, {"recipe": "modern"}, {"recipe": "modern", "distil": True, "precision": "float32"}],
    ids=("paper", "modern", "distilled"),
)
def test_continuing_a_trial_equals_the_straight_one(settings, kind, tmp_path):
    evaluator = Evaluator(StudyConfig(**STUDY, **settings), tmp_path)
    config = plain(build_space(evaluator.max_depth).get_default_configuration())
    config |= {"shift_type": kind, "weight_bits": 3}

    def trial(number, budget, parent=None):
        return evaluator(Trial(number, config, budget, seed=0, parent=parent))

    straight = trial(1, 4)
    first, second = trial(2, 1), trial(3, 2, parent=2)
    assert outcome(trial(4, 4, parent=3)) == outcome(straight)
    assert first.weight_bytes == second.weight_bytes == straight.weight_bytes
    assert (tmp_path / "teacher.pt").exists() == settings.get("distil", False)


def test_the_teacher_is_trained_once(tmp_path, monkeypatch):
    study = StudyConfig(**STUDY, distil=True)
    one = Evaluator(study, tmp_path)
    written = (tmp_path / "teacher.pt").read_bytes()
    other = Evaluator(study, tmp_path)
    assert (tmp_path / "teacher.pt").read_bytes() == written
    for a, b in zip(one.teacher.state_dict().values(), other.teacher.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not one.teacher.training
