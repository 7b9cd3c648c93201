"""The networks this package knows, by name.

A builder takes the number of classes and of input channels and returns a network that maps (N, in_channels,
H, W) to logits (N, num_classes). `register` puts it under its function's name; the module that defines it
must be listed in `_MODULES`, so that names are known without importing torch's model code before it is
needed.
"""

from collections.abc import Callable
from importlib import import_module

from torch import nn

from jouleshift.errors import BadInput, nearest

Builder = Callable[[int, int], nn.Module]

_MODULES = ("tiny", "resnet", "mobilenet", "googlenet", "vgg", "large")
_BUILDERS: dict[str, Builder] = {}


def register(builder: Builder) -> Builder:
    """Make a builder available under its function's name."""
    name = builder.__name__
    if name in _BUILDERS:
        raise ValueError(f"two networks are named {name!r}")
    _BUILDERS[name] = builder
    return builder


def _builders() -> dict[str, Builder]:
    for module in _MODULES:
        import_module(f"jouleshift.models.{module}")
    return _BUILDERS


def names() -> tuple[str, ...]:
    """The names that `create` knows, sorted."""
    return tuple(sorted(_builders()))


def create(name: str, num_classes: int, in_channels: int = 3) -> nn.Module:
    """A network with fresh weights from torch's global generator. `BadInput` names the nearest known name."""
    builders = _builders()
    if name not in builders:
        raise BadInput(f"unknown model {name!r}{nearest(name, builders)}")
    return builders[name](num_classes, in_channels)
