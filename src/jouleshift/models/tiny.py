"""A small convolutional network for small images: about 15,000 weights, a few milliseconds a batch.

Three 3×3 convolutions with batch normalisation and ReLU (16, 32 and 32 channels, the image halved once),
global average pooling, a linear layer: four layers that can become shift layers. It is what `jouleshift
demo` searches.
"""

import torch
from torch import Tensor, nn

from jouleshift.models.registry import register


class Tiny(nn.Module):
    """Logits (N, num_classes) of images (N, in_channels, H, W) of 4 pixels or more a side."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(in_channels, 16),
            *_conv(16, 32),
            nn.MaxPool2d(2),
            *_conv(32, 32),
            nn.AdaptiveAvgPool2d(1),
        )
        self.linear = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.flatten(self.features(x), 1))


def _conv(in_channels: int, channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


@register
def tiny(num_classes: int, in_channels: int) -> nn.Module:
    return Tiny(num_classes, in_channels)
