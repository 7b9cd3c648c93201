"""VGG (Simonyan and Zisserman, 2015) for small images: five stages of 3×3 convolutions, each ended by a
halving.

With batch normalisation, and one linear layer in place of three. Images of 32 pixels or more a side.
"""

from torch import Tensor, nn

from jouleshift.models.registry import register

_CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """`blocks[i]` convolutions in stage i."""

    def __init__(self, blocks: tuple[int, ...], num_classes: int, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_blocks, channels in zip(blocks, _CHANNELS, strict=True):
            for _ in range(n_blocks):
                layers += [
                    nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(_CHANNELS[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.pool(self.features(x)).flatten(1))


@register
def vgg11(num_classes: int, in_channels: int) -> nn.Module:
    return VGG((1, 1, 2, 2, 2), num_classes, in_channels)


@register
def vgg16(num_classes: int, in_channels: int) -> nn.Module:
    return VGG((2, 2, 3, 3, 3), num_classes, in_channels)
