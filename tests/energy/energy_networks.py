"""Stand-ins for the tests of energy: shift layers with the attributes that count, and a ResNet20."""

from itertools import pairwise

import torch
from torch import nn

from jouleshift.config import ShiftConfig


class FakeShiftConv2d(nn.Conv2d):
    """A shift convolution that simulates with several tensor operations, none of which may be counted."""

    def __init__(self, *args, config: ShiftConfig, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift_config = config
        self.weight_shape = tuple(self.weight.shape)

    def forward(self, x):
        x = torch.floor(x * 8).clamp(-128, 127) / 8
        weight = self.weight.sign() * torch.exp2(torch.round(torch.log2(self.weight.abs() + 1e-6)))
        return self._conv_forward(x, weight, self.bias)


class FakeShiftLinear(nn.Linear):
    def __init__(self, *args, config: ShiftConfig, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift_config = config
        self.weight_shape = tuple(self.weight.shape)


class Block(nn.Module):
    def __init__(self, conv, n_in, n_out, stride):
        super().__init__()
        self.conv1 = conv(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = conv(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.pad = n_out - n_in
        self.stride = stride

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride == 2:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad // 2, self.pad // 2))
        return torch.relu(y + x)


class ResNet20(nn.Module):
    """He et al. 2016, the form for CIFAR-10: 19 convolutions and one linear layer.

    The last `depth` of these 20 layers are shift layers (None: all), as shift depth counts from the output.
    """

    def __init__(self, config: ShiftConfig | None = None, depth: int | None = None):
        super().__init__()
        kept = 0 if config is None else 20 if depth is None else depth
        order = iter(range(20))

        def conv(*args, **kwargs):
            if next(order) >= 20 - kept:
                return FakeShiftConv2d(*args, config=config, **kwargs)
            return nn.Conv2d(*args, **kwargs)

        self.stem = conv(3, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        widths = [16] * 4 + [32] * 3 + [64] * 3
        self.blocks = nn.Sequential(*(Block(conv, a, b, 1 if a == b else 2) for a, b in pairwise(widths)))
        self.fc = FakeShiftLinear(64, 10, config=config) if kept else nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn(self.stem(x)))
        return self.fc(self.blocks(x).mean((2, 3)))


def images(size: int = 32, channels: int = 3):
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))
