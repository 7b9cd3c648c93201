"""Images that a caller gives as an example, looked at before a network or a program runs on them."""

import torch
from torch import Tensor

from jouleshift.deploy.nodes import Shape
from jouleshift.errors import BadInput


def example_images(given: Tensor, number: int, shape: Shape | None = None) -> Tensor:
    """The first `number` images, N×C×H×W, as float32 on the CPU; of `shape` (C, H, W), where that is known.

    Raises `BadInput` for what is no such tensor, is empty or not finite. Integers are refused: they are
    pixels that nobody has scaled as in training.
    """
    if not isinstance(given, Tensor):
        raise BadInput(f"example_input is a {type(given).__name__}: expected a torch.Tensor, N×C×H×W")
    if given.ndim != 4 or not given.numel():
        raise BadInput(f"example_input has shape {tuple(given.shape)}: expected one or more images, N×C×H×W")
    if not given.is_floating_point():
        kind = str(given.dtype).removeprefix("torch.")
        raise BadInput(f"example_input is {kind}: expected floats, scaled as the network is trained on")
    images = given[:number].detach().cpu().float()
    if not bool(torch.isfinite(images).all()):
        raise BadInput("example_input has values that are not finite")
    if shape is not None and tuple(images.shape[1:]) != shape:
        found, wanted = ("×".join(map(str, form)) for form in (images.shape[1:], shape))
        raise BadInput(f"example_input has images of {found}: the network takes {wanted}")
    return images
