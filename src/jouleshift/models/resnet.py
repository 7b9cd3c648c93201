"""Residual networks in the form for small images (He et al., 2016, section 4.2).

A 3×3 convolution, three stages of n blocks with 16, 32 and 64 channels, global average pooling, a linear
layer: 6n + 2 layers, so n = 3 gives ResNet20. Each block is two 3×3 convolutions around a shortcut; where a
stage halves the image the shortcut takes every other pixel and fills the new channels with zeros (option A
of that paper), so it has no weights, and the network's layers are exactly 6n + 1 convolutions and one linear
layer.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift.models.registry import register


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut without weights."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride > 1 or self.new_channels > 0:
            before = self.new_channels // 2
            x = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new_channels - before)
            )
        return F.relu(y + x)


class ResNet(nn.Module):
    """6n + 2 layers for images of 8 pixels or more a side."""

    def __init__(self, blocks: int, num_classes: int, in_channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks, stride=1)
        self.layer2 = _stage(width, 2 * width, blocks, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.pool(x).flatten(1))


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))


@register
def resnet20(num_classes: int, in_channels: int) -> nn.Module:
    return ResNet(3, num_classes, in_channels)


@register
def resnet32(num_classes: int, in_channels: int) -> nn.Module:
    return ResNet(5, num_classes, in_channels)


@register
def resnet44(num_classes: int, in_channels: int) -> nn.Module:
    return ResNet(7, num_classes, in_channels)


@register
def resnet56(num_classes: int, in_channels: int) -> nn.Module:
    return ResNet(9, num_classes, in_channels)
