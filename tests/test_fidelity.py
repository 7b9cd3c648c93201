"""Budgets as settings of a training."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.evaluate import Evaluator
from jouleshift.fidelity import Fidelity, Setting
from jouleshift.records import Trial
from jouleshift.space import build_space

NAMES = ("epochs", "train_fraction", "weight_bits", "epochs+train_fraction", "epochs+weight_bits",
         "train_fraction+weight_bits", "epochs+train_fraction+weight_bits")  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(NAMES), st.integers(1, 100), st.integers(0, 100))
def test_full_budget_is_the_same_training_and_no_other_costs_more(name, low, more):
    fidelity = Fidelity.named(name, low, low + more)
    assert fidelity.setting(low + more) == Setting(low + more)
    for budget in range(low, low + more + 1):
        setting = fidelity.setting(budget)
        assert 1 <= setting.epochs <= low + more
        assert 0 < setting.train_fraction <= 1 and 0 <= setting.precision <= 1
        expected = low + more if name == "weight_bits" else budget
        assert setting.epochs * setting.train_fraction == pytest.approx(expected)
        assert fidelity.cost(0, budget) == pytest.approx(expected)


def test_bits_rise_from_two_to_the_configurations_own():
    fidelity = Fidelity.named("weight_bits", 1, 27)
    assert [fidelity.setting(b).weight_bits(8) for b in (1, 3, 9, 27)] == [2, 4, 6, 8]
    assert [fidelity.setting(b).weight_bits(2) for b in (1, 3, 9, 27)] == [2, 2, 2, 2]


def test_only_epochs_continue_and_pay_the_difference():
    assert Fidelity.named("epochs", 1, 9).cost(3, 9) == 6
    assert Fidelity.named("epochs+train_fraction", 1, 9).cost(3, 9) == 9
    assert [Fidelity.named(name, 1, 9).continues for name in NAMES] == [True] + [False] * 6


def test_an_unknown_part_is_refused():
    with pytest.raises(BadInput, match="did you mean 'epochs'"):
        StudyConfig.layered({"fidelity": "epoch+weight_bits"})


STUDY = StudyConfig(data="digits", model="tiny", max_budget=3, limit_train=200, limit_val=60, device="cpu",
                    energy="modelled")  # fmt: skip


def test_low_fidelity_is_the_configurations_own_energy_and_full_budget_plain_training(tmp_path):
    """Bit for bit; and a promoted trial does not depend on its parent."""
    config = {**dict(build_space(4).get_default_configuration()), "weight_bits": 4}
    name = "epochs+train_fraction+weight_bits"
    reduced = Evaluator(STUDY.model_copy(update={"fidelity": name}), tmp_path / "a")
    plain = Evaluator(STUDY, tmp_path / "b")
    low = reduced(Trial(1, config, 1, seed=0))
    assert (len(low.curve), low.train_fraction, low.epoch_equivalents) == (2, 0.5, 1)
    promoted = reduced(Trial(2, config, 3, seed=0, parent=1))
    straight = plain(Trial(2, config, 3, seed=0))
    assert [p.val_loss for p in promoted.curve] == [p.val_loss for p in straight.curve]
    assert promoted.error == straight.error and promoted.trained_epochs == 3
    assert low.energy.energy_j == straight.energy.energy_j
    assert low.weight_bytes == straight.weight_bytes


def test_words_say_what_a_budget_trains():
    def words(name: str, budget: int) -> str:
        return str(Fidelity.named(name, 1, 9).setting(budget))

    assert words("epochs", 3) == "3 epochs"
    assert words("train_fraction", 3) == "9 epochs of 33 % of the images"
    assert words("epochs+weight_bits", 1) == "1 epoch with fewer weight bits"
    assert words("train_fraction+weight_bits", 9) == "9 epochs"
