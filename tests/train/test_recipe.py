"""Additions to plain training, each by itself."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jouleshift.config import TrainConfig
from jouleshift.data.batches import evaluation_batches, training_batches
from jouleshift.train.loop import train, validate
from jouleshift.train.recipe import Recipe, classification_loss, computes_in_bf16, reestimate_batch_norm
from tests.train.small_networks import network, same, state

CONFIG = TrainConfig(batch_size=16, learning_rate=0.05)


def run(data, recipe=None, epochs=2, config=CONFIG, model=None, **paths):
    model = model or network()
    return model, train(model, data, config, epochs=epochs, horizon=4, seed=1, recipe=recipe, **paths)


def test_label_smoothing_by_hand():
    logits, labels = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    log_p = F.log_softmax(logits, 1)[0]
    expected = -(0.9 * log_p[0] + 0.1 * log_p.mean())
    loss = classification_loss(Recipe(), 0.1, torch.zeros(1), logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


class Fixed(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def test_distillation_by_hand():
    """α T² Σ q (log q − log p) with q, p softened by T, averaged over the batch (Hinton et al., 2015)."""
    student = torch.tensor([[1.0, -1.0], [0.5, 0.25]])
    recipe = Recipe(teacher=Fixed([[2.0, 1.0]]), teacher_weight=0.3, temperature=2.0)
    labels = torch.tensor([0, 1])
    loss = classification_loss(recipe, 0.0, torch.zeros(2, 1), student, labels)
    q = torch.softmax(torch.tensor([1.0, 0.5]), 0)
    p = torch.softmax(student / 2, 1)
    divergence = sum((q * (q.log() - row.log())).sum() for row in p) / 2
    cross_entropy = -(F.log_softmax(student, 1)[[0, 1], labels]).mean()
    assert loss.item() == pytest.approx((0.7 * cross_entropy + 0.3 * 4 * divergence).item(), rel=1e-5)


def test_a_teacher_pulls_the_student_and_is_not_changed(data):
    teacher, _ = run(data, epochs=4)
    before = state(teacher)
    _, alone = run(data)
    _, taught = run(data, Recipe(teacher=teacher, teacher_weight=0.9))
    assert same(before, state(teacher))
    assert taught.curve[-1].train_loss != alone.curve[-1].train_loss
    assert teacher.training is False


def test_a_penalty_shrinks_what_it_punishes(data):
    def norm(model):
        return 0.5 * (model[4].weight ** 2).sum()

    plain, _ = run(data)
    punished, _ = run(data, Recipe(penalty=norm))
    assert norm(punished) < 0.5 * norm(plain)


def test_the_penalty_is_not_part_of_the_reported_loss(data):
    frozen = TrainConfig(batch_size=16, learning_rate=1e-30)
    _, plain = run(data, config=frozen)
    _, punished = run(data, Recipe(penalty=lambda model: model[4].weight.sum() * 0 + 1000), config=frozen)
    assert punished.curve[0].train_loss == pytest.approx(plain.curve[0].train_loss)


class GrowingDropout:
    """Stages that follow from the epoch alone."""

    def __init__(self):
        self.calls = []

    def before_epoch(self, model, epoch):
        self.calls.append(epoch)
        model[9].p = 0.1 * epoch

    def after_training(self, model, epoch):
        self.calls.append(-epoch)
        with torch.no_grad():
            model[10].weight.mul_(2.0)


def test_stages_are_called_around_the_epochs_and_the_last_one_is_not_in_the_checkpoint(data, tmp_path):
    stages = GrowingDropout()
    straight, result = run(data, Recipe(stages=stages), epochs=3)
    assert stages.calls == [1, 2, 3, -3]
    assert (result.val_loss, result.error) == validate(straight, evaluation_batches(data.val))
    assert result.val_loss != result.curve[-1].val_loss
    run(data, Recipe(stages=GrowingDropout()), epochs=1, checkpoint_out=tmp_path / "x.pt")
    again = GrowingDropout()
    continued, _ = run(data, Recipe(stages=again), epochs=3, checkpoint_in=tmp_path / "x.pt")
    assert again.calls == [2, 3, -3]
    assert same(state(straight), state(continued))


class NoChange:
    def before_epoch(self, model, epoch): ...
    def after_training(self, model, epoch): ...


def test_stages_alone_leave_batch_norm_as_it_was_trained(data):
    _, result = run(data, Recipe(stages=NoChange()), epochs=2)
    assert (result.val_loss, result.error) == (result.curve[-1].val_loss, result.curve[-1].val_error)


def squares(model):
    return 0.01 * (model[4].weight ** 2).sum()


@pytest.mark.parametrize("addition", ["label smoothing", "teacher", "penalty", "re-estimation", "bf16"])
def test_continuing_equals_the_straight_run_with_each_addition(addition, data, tmp_path):
    recipe = {
        "label smoothing": Recipe(),
        "teacher": Recipe(teacher=network(seed=5).eval()),
        "penalty": Recipe(penalty=squares),
        "re-estimation": Recipe(reestimate_batches=3),
        "bf16": Recipe(precision="bf16"),
    }[addition]
    smoothing = 0.1 if addition == "label smoothing" else 0.0
    config = TrainConfig(batch_size=16, learning_rate=0.05, label_smoothing=smoothing)
    straight, whole = run(data, recipe, epochs=3, config=config)
    run(data, recipe, epochs=2, config=config, checkpoint_out=tmp_path / "x.pt")
    continued, rest = run(data, recipe, epochs=3, config=config, checkpoint_in=tmp_path / "x.pt")
    assert rest.trained_epochs == 1
    assert same(state(straight), state(continued))
    assert (whole.val_loss, whole.error) == (rest.val_loss, rest.error)
    plain, _ = run(data, epochs=3)
    assert not same(state(plain), state(straight))


def test_reestimated_statistics_are_the_average_over_batches(data):
    model = nn.Sequential(nn.BatchNorm2d(1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    batches = list(training_batches(data.train, 16, None, seed=0, epoch=1))
    reestimate_batch_norm(model, batches)
    means = torch.stack([images.mean() for images, _ in batches])
    variances = torch.stack([images.var() for images, _ in batches])
    assert model[0].running_mean.item() == pytest.approx(means.mean().item(), abs=1e-6)
    assert model[0].running_var.item() == pytest.approx(variances.mean().item(), rel=1e-5)
    assert model[0].momentum == 0.1


def test_reestimation_leaves_the_checkpoint_and_the_curve_alone(data, tmp_path):
    plain, without = run(data, epochs=3)
    recipe = Recipe(reestimate_batches=3)
    model, result = run(data, recipe, epochs=3)
    assert [p.val_loss for p in result.curve] == [p.val_loss for p in without.curve]
    assert not same(state(plain), state(model))
    assert (result.val_loss, result.error) == validate(model, evaluation_batches(data.val))
    assert result.val_loss != without.val_loss
    run(data, recipe, epochs=1, checkpoint_out=tmp_path / "x.pt")
    continued, again = run(data, recipe, epochs=3, checkpoint_in=tmp_path / "x.pt")
    assert same(state(model), state(continued))
    assert again.val_loss == result.val_loss


def test_reestimation_without_batch_norm_does_nothing(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    before = state(model)
    reestimate_batch_norm(model, evaluation_batches(data.train))
    assert same(before, state(model))


def test_auto_precision_is_bfloat16_where_it_is_native(data, monkeypatch):
    import jouleshift.train.recipe as recipes

    outcomes = {}
    for native in (True, False):
        monkeypatch.setattr(recipes, "computes_in_bf16", lambda device, native=native: native)
        _, result = run(data, Recipe(precision="auto"))
        outcomes[native] = [p.train_loss for p in result.curve]
    assert outcomes[True] == [p.train_loss for p in run(data, Recipe(precision="bf16"))[1].curve]
    assert outcomes[False] == [p.train_loss for p in run(data)[1].curve]
    assert outcomes[True] != outcomes[False]


def test_bfloat16_is_not_native_to_what_pytorch_says_lacks_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not computes_in_bf16(torch.device("cuda"))
    assert not computes_in_bf16(torch.device("mps"))
    assert computes_in_bf16(torch.device("cpu")) in (True, False)


def test_bfloat16_trains(data):
    _, result = run(data, Recipe(precision="bf16"), epochs=4)
    assert math.isfinite(result.val_loss)
    assert result.error < 0.5
