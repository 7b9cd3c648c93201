"""Small networks for the tests of deployment, with norms that have seen data."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert

EIGHT_BITS = ShiftConfig(weight_bits=4, act_integer_bits=3, act_fraction_bits=5)


class Everything(nn.Module):
    """Residual sums, concatenation, both pools, depthwise and strided and dilated convolutions, ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.left = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8), nn.BatchNorm2d(8))
        self.right = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 4, 1, bias=False), nn.ReLU6())
        self.down = nn.Sequential(nn.Conv2d(12, 16, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(16))
        self.after = nn.BatchNorm2d(16)
        self.head = nn.Linear(16 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([F.relu(self.left(x) + x), self.right(x)], 1)
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        x = F.relu6(self.after(self.down(x) + shortcut))
        return self.head(F.avg_pool2d(x, 2).flatten(1))


class Chain(nn.Module):
    """No sums and no means: training's simulation rounds everything that the program rounds."""

    def __init__(self, widths: tuple[int, ...] = (3, 8, 8, 16)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, padding=1, stride=1 + (index == 1), bias=False)]
            layers += [nn.BatchNorm2d(after, eps=2.0**-16), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(4 * widths[-1], 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x))


class PreActivation(nn.Module):
    """A block that begins with a ReLU: its shortcut has negatives that the layer beside it does not read.
    `skip` says what becomes of the shortcut."""

    def __init__(self, skip: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.skip = skip or nn.Identity()
        self.head = nn.Linear(8 * 64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(F.relu(self.skip(x) + self.inner(F.relu(x))).flatten(1))


def shifted(
    model: nn.Module, config: ShiftConfig = EIGHT_BITS, seed: int = 0, size: int = 8, **options: object
) -> nn.Module:
    """Converted, its norms filled by a few batches and then spread, γ of both signs; in evaluation."""
    torch.manual_seed(seed)
    model = convert(model, config, **options).train()  # type: ignore[arg-type]
    with torch.no_grad():
        for _ in range(3):
            model(images(16, size=size))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.2, 1.5)
                module.weight[::3] *= -1
                module.bias.uniform_(-0.5, 0.5)
    return model.eval()


def images(n: int, seed: int = 1, size: int = 8) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
