"""The composition: a configuration, a budget and a seed in, an evaluation or a failure out."""

import json
from dataclasses import replace

import pytest

from jouleshift import conversion
from jouleshift.config import StudyConfig
from jouleshift.data.batches import evaluation_batches
from jouleshift.devices import resolve_device
from jouleshift.errors import BadInput
from jouleshift.evaluate import Evaluator
from jouleshift.foreknowledge import known_objectives, refuse_unknowable
from jouleshift.hpo.scheduler import plain
from jouleshift.nn.layers import ShiftLayer
from jouleshift.records import Evaluation, Failure, Trial
from jouleshift.space import build_space

STUDY = StudyConfig(data="digits", model="tiny", max_budget=3, limit_train=300, limit_val=100, device="cpu")


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory) -> Evaluator:
    return Evaluator(STUDY, tmp_path_factory.mktemp("checkpoints"))


def trial(evaluator: Evaluator, number: int, budget: int, parent: int | None = None, **changes) -> Trial:
    config = plain(build_space(evaluator.max_depth).get_default_configuration())
    return Trial(number, {**config, **changes}, budget, seed=0, parent=parent)


def outcome(result: Evaluation | Failure) -> Evaluation:
    """A result without what may differ between two ways to the same network: times and epochs saved."""
    assert isinstance(result, Evaluation), result
    curve = tuple(replace(point, duration_s=0.0) for point in result.curve)
    return replace(result, curve=curve, trained_epochs=0, train_s=0.0, energy_s=0.0)


def test_the_search_never_loads_the_test_split(evaluator):
    assert evaluator.data.test is None
    assert evaluator.facts["images"]["train"] == 300
    assert evaluator.facts["images"]["val"] == 100


def test_the_test_split_is_judged_only_where_asked_for_and_changes_no_training(evaluator, tmp_path):
    judge = Evaluator(STUDY, tmp_path, split="test")
    seen, judged = evaluator(trial(evaluator, 11, 2)), judge(trial(judge, 11, 2))
    assert [e.val_error for e in judged.curve] == [e.val_error for e in seen.curve]
    assert seen.error == seen.curve[-1].val_error
    wrong = judged.error * len(judge.data.test)
    assert wrong == pytest.approx(round(wrong), abs=1e-6)
    assert judged.error != seen.error
    assert judged.energy == seen.energy


@pytest.mark.parametrize(
    "changes", [{}, {"shift_type": "Q", "rounding": "stochastic", "optimizer": "Ranger"}]
)
def test_continuing_the_parent_equals_training_in_one_go(evaluator, changes):
    straight = evaluator(trial(evaluator, 1, 3, **changes))
    low = evaluator(trial(evaluator, 2, 1, **changes))
    continued = evaluator(trial(evaluator, 3, 3, parent=2, **changes))
    assert (low.trained_epochs, continued.trained_epochs, straight.trained_epochs) == (1, 2, 3)
    assert outcome(continued) == outcome(straight)


def test_a_lost_checkpoint_costs_time_only(evaluator):
    straight = evaluator(trial(evaluator, 4, 2))
    lost = evaluator(trial(evaluator, 5, 2, parent=999))
    assert lost.trained_epochs == 2
    assert outcome(lost) == outcome(straight)


def test_what_cannot_be_converted_is_a_refused_trial_not_an_end(evaluator):
    result = evaluator(trial(evaluator, 6, 1, shift_depth=evaluator.max_depth + 1))
    assert isinstance(result, Failure)
    assert result.kind == "refused"


def test_a_learning_rate_that_explodes_is_a_failure_without_values(evaluator):
    result = evaluator(trial(evaluator, 7, 3, learning_rate=1e30, shift_depth=0))
    assert isinstance(result, Failure)
    assert result.kind == "diverged"


def test_modelled_energy_is_known_before_training_and_stamped(evaluator):
    few_bits = {"weight_bits": 2, "activation_integer_bits": 2, "activation_fraction_bits": 4}
    default, small = (evaluator(trial(evaluator, n, 1, **c)) for n, c in ((8, {}), (9, few_bits)))
    again = evaluator(trial(evaluator, 10, 2))
    assert default.energy == again.energy
    assert small.energy.energy_j < default.energy.energy_j
    assert (default.energy.source, default.energy.kind) == ("modelled", "modelled")
    assert "45" in default.energy.origin


def test_fewer_bits_at_low_budgets_are_fewer_in_layers_with_bits_of_their_own_too(tmp_path):
    settings = {"fidelity": "epochs+weight_bits", "layers": {"first": 8, "last": {"kind": "Q"}}}
    evaluator = Evaluator(STUDY.model_copy(update=settings), tmp_path)

    def bits(model):
        return [m.shift_config.weight_bits for m in model.modules() if isinstance(m, ShiftLayer)]

    low = trial(evaluator, 31, 1, weight_bits=4)
    assert bits(evaluator.trained(low)[0]) == [2, 2, 2, 2]
    assert bits(evaluator.converted(low.config, 0)) == [8, 4, 4, 4]
    assert evaluator(low).weight_bytes == conversion.weight_bytes(evaluator.converted(low.config, 0))


def test_layers_that_the_network_lacks_are_noticed_before_a_teacher_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(Evaluator, "_float_network", lambda _: pytest.fail("trained"))
    study = STUDY.model_copy(update={"distil": True, "layers": {"features.9": 8}})
    with pytest.raises(BadInput, match=r"layers: 'features\.9' matches no .*\(nearest: 'features\.[037]'"):
        Evaluator(study, tmp_path)


def test_operations_without_a_price_are_among_the_facts(tmp_path, monkeypatch):
    (tmp_path / "spectral.py").write_text(
        "from torch import fft, nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_classes, in_channels):\n"
        "        super().__init__()\n"
        "        self.linear = nn.Linear(40 * in_channels, num_classes)\n"
        "    def forward(self, images):\n"
        "        return self.linear(fft.rfft(images).real.flatten(1))\n"
    )
    monkeypatch.chdir(tmp_path)
    spectral = Evaluator(STUDY.model_copy(update={"model": "spectral:Net"}), tmp_path)
    assert spectral.facts["uncounted"] == ["_fft_r2c"]


@pytest.mark.parametrize(
    "layers", [{}, {"first": {"weight_bits": 8, "act_integer_bits": 3}, "last": "float", "features.3": 6}]
)
def test_what_a_worker_says_in_advance_is_what_it_finds(layers, tmp_path):
    """Energy, latency and size, to the last bit."""
    names = ("error", "energy_j", "latency_s", "size_bytes")
    settings = {"energy": "modelled", "profile": "cortex-m4", "objectives": names, "layers": layers}
    study = STUDY.model_copy(update=settings)
    evaluator = Evaluator(study, tmp_path)
    known = known_objectives(study, json.loads(json.dumps(evaluator.foreknown)))
    assert set(known) == {"energy_j", "latency_s", "size_bytes"}
    for number, changes in ((11, {}), (12, {"shift_depth": 2, "shift_type": "Q", "weight_bits": 3})):
        asked = trial(evaluator, number, 1, **changes)
        found = evaluator(asked).values
        assert {name: foretold(asked.config) for name, foretold in known.items()} == {
            name: found[name] for name in known
        }
        assert 0 < found["latency_s"] < 0.1


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [({"energy": "modelled"}, "--profile cortex-m4"), ({"energy": "simulated"}, "--energy deployed")],
)
def test_a_latency_that_nothing_gives_is_refused_with_the_remedy(settings, remedy):
    study = StudyConfig(**settings, constraint=("latency <= 5 ms",))
    with pytest.raises(BadInput, match=remedy):
        refuse_unknowable(study)


def test_simulated_energy_is_stamped_as_such(tmp_path):
    simulated = STUDY.model_copy(update={"energy": "simulated", "region": "FRA"})
    evaluator = Evaluator(simulated, tmp_path)
    reading = evaluator(trial(evaluator, 1, 1)).energy
    assert reading.source == "simulated"
    assert reading.energy_j > 0


def test_the_tracker_holds_a_whole_pass_of_validation_its_batches_too(evaluator, monkeypatch):
    """As in the paper's code: each tracked pass draws its batches anew, and answers every image."""
    drawn, answered, seen_before = [], [], []

    def batches(split):
        assert split is evaluator.data.val
        for images, labels in evaluation_batches(split):
            drawn.append(len(images))
            yield images, labels

    def tracker(fn, n_items, region):
        seen_before.append(len(drawn))
        for _ in range(3):
            fn()
        return n_items, region

    monkeypatch.setattr("jouleshift.evaluate.evaluation_batches", batches)
    monkeypatch.setattr("jouleshift.energy.codecarbon.simulated", tracker)
    study = STUDY.model_copy(update={"energy": "simulated", "region": "FRA"})
    monkeypatch.setattr(evaluator, "study", study)
    model = evaluator.build(0)
    model.register_forward_hook(lambda module, inputs, logits: answered.append(len(logits)))
    judged = evaluator.judge(model, 0.5)
    assert judged.energy == (100, "FRA")
    assert seen_before == [0]
    assert sum(drawn) == sum(answered) == 3 * 100
    assert not model.training


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(BadInput, match="device 'tpu7'"):
        resolve_device("tpu7")


SMOOTH = """
from torch import nn

def curved(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(72, num_classes))
"""


def test_a_network_that_no_integers_follow_is_known_before_the_first_trial(tmp_path, monkeypatch):
    (tmp_path / "smooth_networks.py").write_text(SMOOTH)
    monkeypatch.chdir(tmp_path)
    study = STUDY.model_copy(update={"model": "smooth_networks:curved"})
    evaluator = Evaluator(study, tmp_path)
    assert evaluator.facts["obstacle"].startswith("cannot deploy 1 (SiLU): its result is no integer; replace")
    with pytest.raises(BadInput, match=r"energy deployed.*1 \(SiLU\)"):
        Evaluator(study.model_copy(update={"energy": "deployed"}), tmp_path)


def test_the_networks_here_have_no_obstacle(evaluator):
    assert evaluator.facts["obstacle"] == ""
