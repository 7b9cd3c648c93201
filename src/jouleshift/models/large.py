"""The 224-pixel forms of the networks, from torchvision, with fresh weights.

Their names end in `_224`; images of 64 pixels or more a side pass through them.
"""

from torch import nn
from torchvision import models as torchvision_models

from jouleshift.models.registry import register


def _with_channels(model: nn.Module, in_channels: int) -> nn.Module:
    """The network with its first convolution made for another number of input channels."""
    if in_channels == 3:
        return model
    name, first = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    parent, _, child = name.rpartition(".")
    replacement = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    setattr(model.get_submodule(parent), child, replacement)
    return model


@register
def resnet18_224(num_classes: int, in_channels: int) -> nn.Module:
    return _with_channels(torchvision_models.resnet18(num_classes=num_classes), in_channels)


@register
def mobilenetv2_224(num_classes: int, in_channels: int) -> nn.Module:
    return _with_channels(torchvision_models.mobilenet_v2(num_classes=num_classes), in_channels)


@register
def googlenet_224(num_classes: int, in_channels: int) -> nn.Module:
    model = torchvision_models.googlenet(num_classes=num_classes, aux_logits=False, init_weights=True)
    return _with_channels(model, in_channels)


@register
def vgg16_224(num_classes: int, in_channels: int) -> nn.Module:
    return _with_channels(torchvision_models.vgg16_bn(num_classes=num_classes), in_channels)
