"""Networks for the tests of training."""

import torch
from torch import nn


class Noise(nn.Module):
    """Draws from the global generator in training, as stochastic rounding does."""

    def forward(self, x):
        return x + 0.01 * torch.randn_like(x) if self.training else x


def network(seed=0, channels=1, classes=2, noisy=True):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        Noise() if noisy else nn.Identity(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8, classes),
    )


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    """Whether two states are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
