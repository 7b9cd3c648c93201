"""What training promises: exact continuation, prefixes, failures as values."""

import math

import pytest
import torch
from torch import nn

from jouleshift.config import TrainConfig
from jouleshift.data.batches import evaluation_batches, prepare
from jouleshift.data.sources import ImageSet, Splits
from jouleshift.records import Failure
from jouleshift.train.loop import TrainResult, train, validate
from tests.train.small_networks import network, same, state

OPTIMIZERS = ("SGD", "Adam", "Adagrad", "Adadelta", "RMSProp", "RAdam", "Ranger")


def config(**settings):
    return TrainConfig(**{"batch_size": 16, "learning_rate": 0.05, **settings})


def losses(result):
    return [(p.epoch, p.train_loss, p.val_loss, p.val_error, p.learning_rate) for p in result.curve]


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_continuing_equals_the_straight_run_bit_for_bit(optimizer, schedule, data, tmp_path):
    settings = config(optimizer=optimizer, schedule=schedule)
    assert settings.augment
    straight, stopped, continued = (network() for _ in range(3))
    whole = train(straight, data, settings, epochs=5, horizon=5, seed=1)
    out = tmp_path / "trial.pt"
    train(stopped, data, settings, epochs=2, horizon=5, seed=1, checkpoint_out=out)
    torch.rand(17)  # whatever happens in between
    rest = train(continued, data, settings, epochs=5, horizon=5, seed=1, checkpoint_in=out)
    assert same(state(straight), state(continued))
    assert not same(state(straight), state(stopped))
    assert losses(whole) == losses(rest)
    assert (whole.trained_epochs, rest.trained_epochs) == (5, 3)
    assert rest.error == rest.curve[-1].val_error


def test_a_chain_of_continuations_equals_the_straight_run(data, tmp_path):
    straight = network()
    train(straight, data, config(optimizer="Ranger"), epochs=4, horizon=4, seed=1)
    previous = None
    for epoch in range(1, 5):
        model = network()
        out = tmp_path / f"{epoch}.pt"
        result = train(
            model,
            data,
            config(optimizer="Ranger"),
            epochs=epoch,
            horizon=4,
            seed=1,
            checkpoint_in=previous,
            checkpoint_out=out,
        )
        assert result.trained_epochs == 1
        previous = out
    assert same(state(straight), state(model))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_a_lower_budget_is_a_prefix_of_the_full_run(schedule, data):
    short, full = (
        train(network(), data, config(schedule=schedule), epochs=n, horizon=4, seed=1) for n in (2, 4)
    )
    assert losses(short) == losses(full)[:2]


def test_same_seed_same_result_other_seed_another(data):
    one, same_seed, other = (
        train(network(), data, config(), epochs=2, horizon=2, seed=seed) for seed in (1, 1, 2)
    )
    assert losses(one) == losses(same_seed)
    assert losses(one) != losses(other)


def test_it_learns_and_reports_each_epoch(data):
    seen = []
    result = train(network(), data, config(), epochs=8, horizon=8, seed=0, on_epoch=seen.append)
    assert isinstance(result, TrainResult)
    assert tuple(seen) == result.curve
    assert [point.epoch for point in seen] == list(range(1, 9))
    assert result.error <= 0.1
    assert seen[-1].train_loss < seen[0].train_loss
    assert all(point.duration_s > 0 for point in seen)


def test_splits_are_prepared_where_needed(splits, data):
    one = train(network(), splits, config(), epochs=1, horizon=1, seed=0)
    other = train(network(), data, config(), epochs=1, horizon=1, seed=0)
    assert losses(one) == losses(other)


def test_the_model_is_left_in_evaluation_mode_and_channels_last(data):
    model = network()
    train(model, data, config(), epochs=1, horizon=1, seed=0)
    assert not any(module.training for module in model.modules())
    assert model[4].weight.is_contiguous(memory_format=torch.channels_last)


class WithVolume(nn.Module):
    """A network with a parameter of five dimensions beside those of four."""

    def __init__(self):
        super().__init__()
        self.inner, self.volume = network(), nn.Parameter(torch.zeros(1, 1, 1, 1, 1))

    def forward(self, x):
        return self.inner(x) + self.volume.flatten()


def test_a_network_with_five_dimensions_trains(data):
    model = WithVolume()
    assert losses(train(model, data, config(), epochs=1, horizon=1, seed=0))
    assert model.inner[4].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_global_generator_is_left_as_it_was(data):
    model = network()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(model, data, config(), epochs=1, horizon=1, seed=0)
    assert torch.equal(before, torch.get_rng_state())


# --- failures


class Scaled(nn.Module):
    """Multiplies its input by a number that leads to trouble."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def broken(factor):
    model = network()
    model.append(Scaled(factor))
    return model


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_a_failure(factor, data):
    result = train(broken(factor), data, config(), epochs=3, horizon=3, seed=0)
    assert isinstance(result, Failure)
    assert result.kind == "diverged"
    assert result.message.startswith("epoch 1: the training loss is nan")


def test_exploding_weights_are_a_failure_that_names_the_epoch(data):
    result = train(network(), data, config(learning_rate=1e30, momentum=0.0), epochs=3, horizon=3, seed=0)
    assert isinstance(result, Failure)
    assert result.kind == "diverged"
    assert "epoch 1" in result.message


class Stubborn(nn.Module):
    """Surely wrong: its loss is 40 for two classes, and stays there."""

    def __init__(self, data):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        vertical = (x.mean(2).var(dim=(1, 2)) > x.mean(3).var(dim=(1, 2))).float()
        logits = torch.stack([vertical, 1 - vertical], dim=1) * 40
        return logits + 0 * self.bias


def test_a_first_epoch_far_above_chance_is_a_failure(data):
    result = train(Stubborn(data), data, config(batch_size=5), epochs=3, horizon=3, seed=0)
    assert isinstance(result, Failure)
    assert result.kind == "diverged"
    assert "epoch 1: the loss was never below 40" in result.message
    assert "0.693" in result.message


def test_a_few_steps_far_above_chance_may_still_recover(data):
    result = train(Stubborn(data), data, config(batch_size=50), epochs=1, horizon=1, seed=0)
    assert isinstance(result, TrainResult)


class OutOfMemory(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error, self.bias = error, nn.Parameter(torch.zeros(1))

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    ],
)
def test_out_of_memory_is_a_failure(error, data):
    result = train(OutOfMemory(error), data, config(), epochs=1, horizon=1, seed=0)
    assert isinstance(result, Failure)
    assert result.kind == "out-of-memory"
    assert result.message


def test_a_real_allocation_failure_is_a_failure(data):
    class Greedy(OutOfMemory):
        def forward(self, x):
            return torch.empty(2**55, dtype=torch.float64) + self.bias

    result = train(Greedy(None), data, config(), epochs=1, horizon=1, seed=0)
    assert isinstance(result, Failure)
    assert result.kind == "out-of-memory"


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes"), ValueError("no")])
def test_any_other_error_is_a_bug_and_raises(error, data):
    with pytest.raises(type(error), match=str(error)):
        train(OutOfMemory(error), data, config(), epochs=1, horizon=1, seed=0)


@pytest.mark.parametrize(("epochs", "horizon"), [(0, 3), (4, 3)])
def test_budgets_outside_the_horizon_are_refused(epochs, horizon, data):
    with pytest.raises(ValueError, match="horizon"):
        train(network(), data, config(), epochs=epochs, horizon=horizon, seed=0)


def test_one_image_left_over_does_not_break_batch_norm(data):
    """101 images in batches of 20, through a batch norm that sees one value an image."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    result = train(model, data, config(batch_size=20), epochs=1, horizon=1, seed=0)
    assert isinstance(result, TrainResult)


# --- validation


def test_validation_loss_and_error_by_hand():
    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    labels = torch.tensor([0, 0, 0, 1, 1])
    images[3:] = 200
    prepared = prepare(Splits(ImageSet(images, labels), ImageSet(images, labels), None, ("a", "b"), "x"))

    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([[math.log(3.0), 0.0]]).expand(len(x), 2)  # 75 % for class a

    loss, error = validate(Constant(), evaluation_batches(prepared.val, 2))
    assert error == pytest.approx(0.4)
    assert loss == pytest.approx(-(3 * math.log(0.75) + 2 * math.log(0.25)) / 5, rel=1e-6)
