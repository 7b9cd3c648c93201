"""MobileNetV2 (Sandler et al., 2018) for small images: three fewer halvings than for 224 pixels.

Seventeen inverted residuals: a 1×1 convolution widens, a depthwise 3×3 filters, a 1×1 without activation
narrows, and where the shape stays the input is added. With the first and last convolution and the linear
layer that is 52 + 1 layers: the 53 of the paper's shift depth. (DeepShift's CIFAR form has 57 convolutions:
it adds a shortcut convolution where only the channels change, and widens by 1 in the first block.)
"""

from torch import Tensor, nn

from jouleshift.models.registry import register

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Widening, channels, blocks, stride of the first block."""


def _conv(in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow."""

    def __init__(self, in_channels: int, channels: int, widening: int, stride: int) -> None:
        super().__init__()
        wide = in_channels * widening
        widen = [*_conv(in_channels, wide, 1), nn.ReLU6()] if widening > 1 else []
        self.layers = nn.Sequential(
            *widen, *_conv(wide, wide, 3, stride, groups=wide), nn.ReLU6(), *_conv(wide, channels, 1)
        )
        self.adds = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """Logits of images of 8 pixels or more a side."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = [*_conv(in_channels, 32, 3), nn.ReLU6()]
        channels = 32
        for widening, out_channels, n_blocks, first_stride in _STAGES:
            for block in range(n_blocks):
                stride = first_stride if block == 0 else 1
                blocks.append(InvertedResidual(channels, out_channels, widening, stride))
                channels = out_channels
        self.features = nn.Sequential(*blocks, *_conv(channels, 1280, 1), nn.ReLU6())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(1280, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.pool(self.features(x)).flatten(1))


@register
def mobilenetv2(num_classes: int, in_channels: int) -> nn.Module:
    return MobileNetV2(num_classes, in_channels)
