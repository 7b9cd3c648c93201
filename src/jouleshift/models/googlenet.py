"""GoogLeNet (Szegedy et al., 2015) for small images: no halving before the first inception.

Nine inceptions, each four branches side by side: 1×1; 1×1 then 3×3; 1×1 then two 3×3 (in place of a 5×5);
pooling then 1×1. Every convolution is followed by batch normalisation and ReLU. That is 1 + 9 · 7 = 64
convolutions and a linear layer, while the "22 layers" of the name (and of the paper's shift depth) count the
depth of the network: a shift depth of 22 converts a third of it.
"""

import torch
from torch import Tensor, nn

from jouleshift.models.registry import register

_STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Channels of 1×1, of 3×3's reduction and itself, of 5×5's, and of the pooling branch (their Table 1)."""


def _conv(in_channels: int, channels: int, kernel: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Inception(nn.Module):
    """Four branches side by side, concatenated along the channels."""

    def __init__(
        self, in_channels: int, one: int, to3: int, three: int, to5: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(*_conv(in_channels, one, 1))
        self.branch3 = nn.Sequential(*_conv(in_channels, to3, 1), *_conv(to3, three, 3))
        self.branch5 = nn.Sequential(*_conv(in_channels, to5, 1), *_conv(to5, five, 3), *_conv(five, five, 3))
        self.branch_pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), *_conv(in_channels, pool, 1))
        self.out_channels = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.branch_pool(x)], 1)


class GoogLeNet(nn.Module):
    """Logits of images of 8 pixels or more a side."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv(in_channels, 192, 3)]
        channels = 192
        for index, inceptions in enumerate(_STAGES):
            if index > 0:
                layers.append(nn.MaxPool2d(3, 2, 1))
            for widths in inceptions:
                inception = Inception(channels, *widths)
                layers.append(inception)
                channels = inception.out_channels
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.pool(self.features(x)).flatten(1))


@register
def googlenet(num_classes: int, in_channels: int) -> nn.Module:
    return GoogLeNet(num_classes, in_channels)
