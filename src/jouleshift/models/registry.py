"""The networks this package knows, by name.

A builder takes the number of classes and of input channels and returns a network that maps (N, in_channels,
H, W) to logits (N, num_classes). `register` puts it under its function's name; the module that defines it
must be listed in `_MODULES`, so that names are known without importing torch's model code before it is
needed.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from torch import nn

from jouleshift.errors import BadInput, nearest, told

Builder = Callable[[int, int], nn.Module]

_MODULES = ("tiny", "resnet", "mobilenet", "googlenet", "vgg", "large")
_BUILDERS: dict[str, Builder] = {}
_CHANNELS = ("in_chans", "in_channels")


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
    """A network with fresh weights from torch's global generator.

    `name` is one of `names()`, or "package.module:builder" of a builder of your own, torchvision's or timm's,
    which is called with `num_classes` and, where it has a parameter for them, the input channels. Raises
    `BadInput`.
    """
    if ":" in name:
        return _foreign(name, num_classes, in_channels)
    builders = _builders()
    if name not in builders:
        raise BadInput(f"unknown model {name!r}{nearest(name, builders)}")
    return builders[name](num_classes, in_channels)


def _foreign(name: str, num_classes: int, in_channels: int) -> nn.Module:
    module, _, attribute = name.partition(":")
    _refuse_file(name, Path(module), attribute)
    with _of_others(name, "loaded"), _importing_from_here():
        builder = getattr(import_module(module), attribute)
    if not callable(builder):
        raise BadInput(f"model {name!r} is no function that builds a network")
    with _of_others(name, "built"):
        takes = signature(builder).parameters
        network = _built(name, partial(builder, num_classes=num_classes), takes, in_channels)
    if not isinstance(network, nn.Module):
        raise BadInput(f"model {name!r} returns {type(network).__name__}, not a torch.nn.Module")
    return network


def _built(name: str, builder: Callable[..., Any], takes: Mapping[str, Parameter], in_channels: int) -> Any:
    """What the builder returns, given the channels by the name that it has for them.

    One that passes on any keyword (`**kwargs`, as timm's do) does not say that name: for other than 3
    channels both are tried.
    """
    known = next((channels for channels in _CHANNELS if channels in takes), None)
    if known is not None:
        return builder(**{known: in_channels})
    if in_channels == 3:
        return builder()
    passes_on = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in takes.values())
    for channels in _CHANNELS if passes_on else ():
        try:
            return builder(**{channels: in_channels})
        except TypeError as error:
            if repr(channels) not in str(error):
                raise
    raise BadInput(f"model {name!r} takes no in_channels, and the images have {in_channels}")


def _refuse_file(name: str, path: Path, attribute: str) -> None:
    """Raise `BadInput`, with the module's name, where someone gives its file."""
    if path.suffix == ".py":
        near = path.resolve().is_relative_to(Path.cwd())
        parts = path.resolve().relative_to(Path.cwd()).with_suffix("").parts if near else (path.stem,)
        where = "" if near else f", in the folder {path.parent}"
        raise BadInput(f"model {name!r}: write {'.'.join(parts)}:{attribute}{where}")


@contextmanager
def _of_others(name: str, done: str) -> Iterator[None]:
    """Whatever someone else's code raises is theirs to mend, so it is told in a line."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"model {name!r} cannot be {done}: {told(error)}") from error


@contextmanager
def _importing_from_here() -> Iterator[None]:
    """Let modules in the working directory be imported, as Python itself does for a script there."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.pop(0)
