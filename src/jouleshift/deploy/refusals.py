"""What an integer program cannot do, why, and what to do about it: a table of the usual cases.

A refusal names the layer, the reason and a remedy that helps. What is not in the table gets the list of what
can be deployed.
"""

import operator
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftConv1d, ShiftConvTranspose2d

REMEDY = (
    "deploy can do Conv2d, Linear, BatchNorm, ReLU, ReLU6, residual sums, concatenation, max and average "
    "pooling, strided slices, zero padding and flatten"
)


WHOLE = "train it again, or load weights that are whole"
"""What helps where a network's numbers are none."""


def refusal(what: str, reason: str, remedy: str) -> BadInput:
    return BadInput(f"cannot deploy {what}: {reason}; {remedy}")


_CURVE = "its result is no integer", "replace it by ReLU or ReLU6 before training"
_GATE = "its result is no integer", "take a network without squeeze-and-excitation and other gates"
_NORM = "it normalises with each image's own statistics", "replace it by BatchNorm2d before training"
_TIMES = (
    "it multiplies outside a layer with weights",
    "take a network without squeeze-and-excitation, attention and scales of layers",
)
_ATTENTION = "attention multiplies what it has computed", "take a network of convolutions"
_ONE_AXIS = "programs are of images, height × width", "write it with 2-d layers and images of height 1"
_MOVES = "it splits or rearranges axes or channels", "take a network without splits and channel shuffles"
_ENLARGES = "it enlarges the image", "deploy networks that only keep or shrink it, by Conv2d or pooling"

_CASES: tuple[tuple[tuple[str, str], Iterable[Any]], ...] = (
    (_CURVE, (nn.Hardswish, nn.SiLU, nn.GELU, nn.Mish, nn.ELU, nn.CELU, nn.SELU, nn.LeakyReLU, nn.PReLU)),
    (_CURVE, (nn.Tanh, nn.Softplus, nn.RReLU, nn.Softsign, F.tanh, F.softplus, torch.tanh, "tanh")),
    (_CURVE, (F.hardswish, F.silu, F.gelu, F.mish, F.elu, F.selu, F.leaky_relu, F.prelu)),
    (_GATE, (nn.Sigmoid, nn.Hardsigmoid, F.sigmoid, F.hardsigmoid, torch.sigmoid, "sigmoid", "sigmoid_")),
    (_NORM, (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d, nn.LocalResponseNorm, F.layer_norm)),
    (_NORM, (F.group_norm, F.instance_norm, F.local_response_norm)),
    (_TIMES, (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", operator.truediv)),
    (_ATTENTION, (nn.MultiheadAttention, nn.Softmax, F.softmax, torch.softmax, "softmax")),
    (_ATTENTION, (torch.matmul, torch.bmm, torch.einsum, operator.matmul, "matmul", "bmm")),
    (_ATTENTION, (F.scaled_dot_product_attention,)),
    (_ONE_AXIS, (nn.Conv1d, ShiftConv1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.Conv3d)),
    (_MOVES, (torch.permute, torch.transpose, torch.chunk, torch.split, "permute", "transpose", "chunk")),
    (_MOVES, ("split", nn.ChannelShuffle, nn.PixelShuffle, nn.PixelUnshuffle, nn.Unflatten, torch.unbind)),
    (_ENLARGES, (nn.ConvTranspose2d, ShiftConvTranspose2d, nn.Upsample, F.interpolate)),
)

UNKNOWN: dict[Any, tuple[str, str]] = {
    operation: why for why, operations in _CASES for operation in operations
}
"""Reason and remedy of operations that are often met and have no rule."""


def refused(what: str, operation: Any, within: type = object) -> BadInput:
    """The refusal of an operation without a rule, `within` a layer of a type that may itself be a usual case
    (timm's LayerNorm2d is a LayerNorm that begins by moving axes)."""
    found = next((UNKNOWN[each] for each in (*within.__mro__, operation) if each in UNKNOWN), None)
    return refusal(what, *(found or ("integers have no rule for it", REMEDY)))
