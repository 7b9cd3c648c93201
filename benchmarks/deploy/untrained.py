"""The networks that time, size and energy are measured of: untrained, since none of these asks for more, but
with batch norms that have seen data."""

import torch
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.models.registry import create

NETWORKS = ("resnet20", "mobilenetv2", "googlenet")


def images(n: int) -> Tensor:
    """n images like normalised ones of CIFAR-10, always the same."""
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def seen(model: nn.Module) -> nn.Module:
    """In evaluation, its batch norms filled."""
    with torch.no_grad():
        model.train()(images(16))
    return model.eval()


def plain(network: str) -> nn.Module:
    """The float network."""
    torch.manual_seed(0)
    return seen(create(network, 10))


def shifted(network: str, config: ShiftConfig) -> nn.Module:
    """The same with shift layers."""
    torch.manual_seed(0)
    return seen(convert(create(network, 10), config))
