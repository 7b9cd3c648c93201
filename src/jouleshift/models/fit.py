"""Whether a network fits a task: takes images of a size, and makes one logit for each class.

Networks of others are known only once they have run. One image of zeros tells before the first trial what
would otherwise fail every one of them.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jouleshift.errors import BadInput, told


class WrongImages(BadInput):
    """A network does not take such images."""


def usual_size(name: str) -> int:
    """The side in pixels of the images that a network by name is looked at with, where nobody says one."""
    return 224 if name.endswith("_224") else 32


def refuse_misfit(name: str, network: nn.Module, image_shape: Sequence[int], num_classes: int) -> None:
    """Raise `WrongImages` where the network takes no images of that shape (C, H, W), `BadInput` where it
    makes of one anything but logits of the shape (1, num_classes)."""
    made = _made(name, network, image_shape)
    found = tuple(made.shape) if isinstance(made, Tensor) else f"a {type(made).__name__}"
    if found != (1, num_classes):
        raise BadInput(f"model {name!r} gives {found}, not one logit for each of {num_classes} classes")


def _made(name: str, network: nn.Module, image_shape: Sequence[int]) -> Any:
    image = torch.zeros(1, *image_shape)
    try:
        with torch.no_grad():
            return copy.deepcopy(network).eval()(image)
    except Exception as error:
        shape = " × ".join(map(str, image_shape))
        raise WrongImages(f"{name} does not take images of {shape}: {told(error)}") from error
