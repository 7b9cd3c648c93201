"""Optimizers do what the table in optim.py says; schedules are PyTorch's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from jouleshift.config import TrainConfig
from jouleshift.train.optim import learning_rate, make_optimizer

NAMES = ("SGD", "Adam", "Adagrad", "Adadelta", "RMSProp", "RAdam", "Ranger")


class Quadratic(nn.Module):
    """Loss ½ Σ (w − 1)², one weight, so that every update can be computed by hand."""

    def __init__(self, start=3.0, exempt=False):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([start], dtype=torch.float64))
        self.undecayed = ("w",) if exempt else ()

    def forward(self):
        return 0.5 * ((self.w - 1) ** 2).sum()


def path(config, steps, **model):
    model = Quadratic(**model)
    optimizer = make_optimizer(model, config)
    values = []
    for _ in range(steps):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()
        values.append(model.w.item())
    return values


def config(name, **settings):
    return TrainConfig(**{"optimizer": name, "learning_rate": 0.05, "weight_decay": 0.0, **settings})


def test_sgd_by_hand():
    lr, mu, wd = 0.05, 0.9, 0.01
    w, velocity, expected = 3.0, 0.0, []
    for _ in range(5):
        velocity = mu * velocity + (w - 1) + wd * w
        w -= lr * velocity
        expected.append(w)
    assert path(config("SGD", momentum=mu, weight_decay=wd), 5) == pytest.approx(expected, rel=1e-12)


def test_adam_by_hand_takes_momentum_as_beta1_and_decay_as_l2():
    lr, b1, b2, wd = 0.05, 0.7, 0.999, 0.01
    w, m, v, expected = 3.0, 0.0, 0.0, []
    for t in range(1, 6):
        g = (w - 1) + wd * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + 1e-8)
        expected.append(w)
    assert path(config("Adam", momentum=b1, weight_decay=wd), 5) == pytest.approx(expected, rel=1e-10)


def test_adagrad_by_hand_ignores_momentum():
    lr, wd = 0.05, 0.01
    w, total, expected = 3.0, 0.0, []
    for _ in range(5):
        g = (w - 1) + wd * w
        total += g * g
        w -= lr * g / (math.sqrt(total) + 1e-10)
        expected.append(w)
    for momentum in (0.0, 0.9):
        found = path(config("Adagrad", momentum=momentum, weight_decay=wd), 5)
        assert found == pytest.approx(expected, rel=1e-10)


def test_adadelta_by_hand_takes_momentum_as_rho():
    lr, rho, eps = 0.05, 0.6, 1e-6
    w, squares, deltas, expected = 3.0, 0.0, 0.0, []
    for _ in range(5):
        g = w - 1
        squares = rho * squares + (1 - rho) * g * g
        delta = math.sqrt(deltas + eps) / math.sqrt(squares + eps) * g
        deltas = rho * deltas + (1 - rho) * delta * delta
        w -= lr * delta
        expected.append(w)
    assert path(config("Adadelta", momentum=rho), 5) == pytest.approx(expected, rel=1e-10)


def test_rmsprop_by_hand_has_a_heavy_ball():
    lr, mu, alpha, eps = 0.05, 0.5, 0.99, 1e-8
    w, squares, velocity, expected = 3.0, 0.0, 0.0, []
    for _ in range(5):
        g = w - 1
        squares = alpha * squares + (1 - alpha) * g * g
        velocity = mu * velocity + g / (math.sqrt(squares) + eps)
        w -= lr * velocity
        expected.append(w)
    assert path(config("RMSProp", momentum=mu), 5) == pytest.approx(expected, rel=1e-10)


def test_radam_by_hand_decays_decoupled():
    lr, b1, b2, wd = 0.05, 0.8, 0.999, 0.01
    longest = 2 / (1 - b2) - 1
    w, m, v, expected = 3.0, 0.0, 0.0, []
    for t in range(1, 11):
        g = w - 1
        w *= 1 - lr * wd
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        length = longest - 2 * t * b2**t / (1 - b2**t)
        step = m / (1 - b1**t)
        if length > 5:
            rect = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step *= math.sqrt(rect) * math.sqrt(1 - b2**t) / (math.sqrt(v) + 1e-8)
        w -= lr * step
        expected.append(w)
    assert path(config("RAdam", momentum=b1, weight_decay=wd), 10) == pytest.approx(expected, rel=1e-9)


def test_ranger_by_hand_is_radam_with_lookahead():
    """Momentum steps until the variance can be rectified; every sixth step half way back (Wright, 2019)."""
    lr, b1, b2, wd = 0.05, 0.8, 0.999, 0.01
    longest = 2 / (1 - b2) - 1
    w = slow = 3.0
    m, v, expected = 0.0, 0.0, []
    for t in range(1, 14):
        g = w - 1
        w *= 1 - lr * wd
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        length = longest - 2 * t * b2**t / (1 - b2**t)
        step = m / (1 - b1**t)
        if length >= 5:
            rect = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step *= math.sqrt(rect * (1 - b2**t)) / (math.sqrt(v) + 1e-5)
        w -= lr * step
        if t % 6 == 0:
            w = slow = slow + (w - slow) / 2
        expected.append(w)
    assert path(config("Ranger", momentum=b1, weight_decay=wd), 13) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_steps_go_downhill(name):
    values = path(config(name), 4)
    assert 3.0 > values[0] > values[1] > values[2] > values[3]


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_approaches_the_minimum(name):
    lr = 1.0 if name == "Adadelta" else 0.05
    assert abs(path(config(name, learning_rate=lr, momentum=0.9), 400)[-1] - 1) < 1.0


@pytest.mark.parametrize("name", NAMES)
def test_decay_pulls_to_zero_unless_exempt(name):
    with_decay = path(config(name, weight_decay=0.5), 3, start=1.0)
    without = path(config(name, weight_decay=0.5), 3, start=1.0, exempt=True)
    assert with_decay[-1] < 1.0
    assert without[-1] == 1.0


def test_exempt_and_other_parameters_of_one_network():
    model = nn.Sequential(Quadratic(exempt=True), Quadratic(), nn.Linear(2, 2))
    model[2].bias.requires_grad_(False)
    groups = make_optimizer(model, config("SGD", weight_decay=0.1)).param_groups
    by_decay = {group["weight_decay"]: {id(p) for p in group["params"]} for group in groups}
    assert by_decay == {0.1: {id(model[1].w), id(model[2].weight)}, 0.0: {id(model[0].w)}}


def rates(schedule, horizon):
    settings = TrainConfig(learning_rate=0.4, schedule=schedule)
    return [learning_rate(settings, step, horizon) for step in range(horizon)]


def pytorchs(schedule, horizon):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    if schedule == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, horizon)
    else:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.4, total_steps=horizon, cycle_momentum=False
        )
    found = []
    for _ in range(horizon):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(found) < horizon else None
    return found


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
@pytest.mark.parametrize("horizon", [4, 10, 37, 1000])
def test_schedules_are_pytorchs(schedule, horizon):
    assert rates(schedule, horizon) == pytest.approx(pytorchs(schedule, horizon), rel=1e-6, abs=1e-9)


def test_constant_is_constant():
    assert set(rates("constant", 50)) == {0.4}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["constant", "cosine", "one-cycle"]), st.integers(1, 500), st.integers(0, 600))
def test_rates_stay_between_zero_and_the_configured_one(schedule, horizon, step):
    settings = TrainConfig(learning_rate=0.4, schedule=schedule)
    rate = learning_rate(settings, step, horizon)
    assert 0 < rate <= 0.4
    if step >= horizon:
        assert rate == learning_rate(settings, horizon - 1, horizon)
    if horizon <= 3 and step == 0:
        assert rate > 0.1  # a very short run does not start at nothing
