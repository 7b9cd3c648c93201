"""How PyTorch writes the operations that an integer program knows: a rule for each module, function, method.

Everything else is refused, and so are these where their options cannot be done exactly.
"""

import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from jouleshift.deploy.graph import Kind, Reader, Rule
from jouleshift.deploy.nodes import Geometry
from jouleshift.deploy.refusals import refusal
from jouleshift.nn.layers import ShiftConv2d, ShiftLayer, ShiftLinear
from jouleshift.nn.tracing import CLAMPS, argument, clamp_limits

RULES: dict[Any, Rule] = {}


def _rule(*operations: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, rule))
        return rule

    return register


def pair(value: Any) -> tuple[int, int]:
    """(v, v) of a number, (a, b) of a pair, (a, a) of a list of one."""
    if isinstance(value, int):
        return value, value
    first, *rest = value
    return int(first), int(rest[0] if rest else first)


@_rule(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, F.dropout, F.dropout2d, "contiguous", "clone")
def _nothing(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    reader.same(node)


@_rule(ShiftConv2d, ShiftLinear, nn.Conv2d, nn.Linear)
def _layer(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    layer: Any = module
    geometry = None
    if isinstance(layer, (ShiftConv2d, nn.Conv2d)):
        if layer.padding_mode != "zeros":
            raise refusal(reader.place(node), f"its padding mode is {layer.padding_mode!r}", "pad with zeros")
        geometry = _window(layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    elif len(reader.shape(node)) != 1:
        raise refusal(reader.place(node), "it is a linear layer on more than one axis", "flatten its input")
    reader.add(node, "shift" if isinstance(layer, ShiftLayer) else "float", module=module, detail=geometry)


def _window(kernel: Any, stride: Any, padding: Any, dilation: Any = 1, groups: int = 1) -> Geometry:
    kernel, dilation = pair(kernel), pair(dilation)
    stride = pair(stride)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        before = [t // 2 for t in total]
        sides = (*before, *(t - b for t, b in zip(total, before, strict=True)))
    else:
        sides = pair(0 if padding == "valid" else padding) * 2
    return Geometry(kernel, stride, cast(Any, tuple(sides)), dilation, groups)


@_rule(nn.BatchNorm1d, nn.BatchNorm2d)
def _norm(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    if getattr(module, "running_var", None) is None:
        raise refusal(reader.place(node), "it has no running statistics", "train with track_running_stats")
    reader.add(node, "norm", module=module)


@_rule(F.batch_norm)
def _norm_with_own_forward(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    """What a subclass of BatchNorm2d that does more than a norm (timm's goes on to an activation) calls."""
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (
        reader.constant(argument(node, position, name)) for position, name in enumerate(names, 1)
    )
    if mean is None or variance is None or argument(node, 5, "training", False):
        raise refusal(reader.place(node), "it has no running statistics", "train with track_running_stats")
    norm = nn.BatchNorm2d(len(mean), argument(node, 7, "eps", 1e-5), affine=False)
    norm.running_mean, norm.running_var = mean, variance
    if weight is not None or bias is not None:
        norm.weight = nn.Parameter(torch.ones_like(mean) if weight is None else weight)
        norm.bias = nn.Parameter(torch.zeros_like(mean) if bias is None else bias)
    reader.add(node, "norm", module=norm, layer=_owner(argument(node, 1, "running_mean")))


@_rule(F.linear)
def _linear_with_own_forward(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    """What a subclass of Linear calls in its own forward pass."""
    weight, bias = (reader.constant(argument(node, at, name)) for at, name in ((1, "weight"), (2, "bias")))
    if weight is None or len(reader.shape(node)) != 1:
        raise refusal(reader.place(node), "it is a linear layer on more than one axis", "flatten its input")
    layer = nn.Linear(weight.shape[1], len(weight), bias=bias is not None)
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    reader.add(node, "float", module=layer, layer=_owner(node.args[1]))


def _owner(constant: Any) -> str:
    """The layer that a parameter belongs to."""
    return str(constant.target).rpartition(".")[0]


@_rule(*CLAMPS)
def _clamp(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    """Rounding keeps order: a clamp before it is the same as one at the rounded limits after it. Limits are
    float32, as what they clamp."""
    limits = clamp_limits(node, type(module) if module is not None else node.target, module)
    if limits is None:
        raise refusal(reader.place(node), "its limits are computed", "give it numbers")
    lowest, highest = (None if limit is None else float(np.float32(limit)) for limit in limits)
    if (lowest is not None and lowest > 0) or (highest is not None and highest <= 0):
        raise refusal(reader.place(node), f"it clamps to {lowest} … {highest}", "let its limits enclose zero")
    reader.add(node, "clamp", lowest=lowest, highest=highest)


@_rule(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    left, right = node.args[:2]
    for operand, other in ((left, right), (right, left)):
        if isinstance(operand, int | float) and operand == 0:
            return reader.same(node, other)
    if node.kwargs.get("alpha", 1) != 1 or reader.source(left) == reader.source(right):
        raise refusal(reader.place(node), "it is a sum with a factor", "put the factor into a batch norm")
    if reader.source_shape(cast(fx.Node, left)) != reader.source_shape(cast(fx.Node, right)):
        raise refusal(reader.place(node), "it adds tensors of different shapes", "give both one shape")
    return reader.add(node, "add", (left, right))


@_rule(torch.cat, torch.concat)
def _concat(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    if argument(node, 1, "dim", 0) not in (1, -len(reader.shape(node))):
        raise refusal(
            reader.place(node), "it does not concatenate along the channels", "concatenate along dimension 1"
        )
    reader.add(node, "concat", cast(Sequence[Any], node.args[0]))


@_rule(nn.MaxPool2d, F.max_pool2d)
def _max_pool(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    kernel, stride, padding, dilation = _pool_arguments(node, module, ("dilation", 1))
    _pool(reader, node, "max", _window(kernel, stride or kernel, padding, dilation))


@_rule(nn.AvgPool2d, F.avg_pool2d)
def _average_pool(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    kernel, stride, padding, _ = _pool_arguments(node, module, ("ceil_mode", False))
    if module is not None:
        counted, divisor = (
            getattr(module, "count_include_pad", True),
            getattr(module, "divisor_override", None),
        )
    else:
        counted, divisor = argument(node, 5, "count_include_pad", True), argument(node, 6, "divisor_override")
    if divisor is not None:
        raise refusal(reader.place(node), "it divides by another number", "use divisor_override=None")
    if pair(padding) != (0, 0) and not counted:
        raise refusal(reader.place(node), "its windows have different sizes", "count the padding as zeros")
    _pool(reader, node, "average", _window(kernel, stride or kernel, padding))


def _pool_arguments(node: fx.Node, module: nn.Module | None, last: tuple[str, Any]) -> list[Any]:
    names = (("kernel_size", None), ("stride", None), ("padding", 0), last)
    if module is not None:
        return [getattr(module, name, default) for name, default in names]
    return [argument(node, position, name, default) for position, (name, default) in enumerate(names, 1)]


def _pool(reader: Reader, node: fx.Node, kind: Kind, window: Geometry) -> None:
    """A pool; where its output is rounded up, windows that reach over the edge read more padding."""
    (_, *size), (_, *made) = reader.source_shape(cast(fx.Node, node.args[0])), reader.shape(node)
    top, left, bottom, right = window.padding
    reach = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(made, window.stride, window.dilation, window.kernel, strict=True)
    ]
    wanted = (top, left, max(bottom, reach[0] - size[0] - top), max(right, reach[1] - size[1] - left))
    if wanted != window.padding and kind == "average":
        raise refusal(reader.place(node), "its output is rounded up", "use ceil_mode=False")
    geometry = Geometry(window.kernel, window.stride, wanted, window.dilation)
    reader.add(node, kind, detail=geometry)


@_rule(nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d)
def _adaptive_pool(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    (_, *size), (_, *made) = reader.source_shape(cast(fx.Node, node.args[0])), reader.shape(node)
    window = [before // after for before, after in zip(size, made, strict=True)]
    if [w * after for w, after in zip(window, made, strict=True)] != size:
        reason = f"maps of {size} do not divide into {made} equal windows"
        raise refusal(reader.place(node), reason, f"choose an image size that gives multiples of {made}")
    reader.add(node, "average", detail=_window(window, window, 0))


@_rule(torch.mean, "mean")
def _mean(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    source = cast(fx.Node, node.args[0])
    dims = argument(node, 1, "dim")
    rank = len(reader.source_shape(source)) + 1
    if dims is None or {d % rank for d in ([dims] if isinstance(dims, int) else dims)} != {2, 3}:
        raise refusal(
            reader.place(node), "it is no mean over the whole image", "average over dimensions 2 and 3"
        )
    height, width = reader.source_shape(source)[1:]
    reader.mean(node, Geometry((height, width), (height, width)))


@_rule(nn.Flatten, torch.flatten, "flatten", torch.reshape, "reshape", "view", torch.squeeze, "squeeze")
def _flatten(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    shape, before = reader.shape(node), reader.source_shape(cast(fx.Node, node.args[0]))
    if shape == before:
        reader.same(node)
    elif shape == (prod(before),):
        reader.add(node, "flatten")
    else:
        raise refusal(
            reader.place(node), f"it turns {before} into {shape}", "flatten whole images: x.flatten(1)"
        )


@_rule(operator.getitem)
def _subsample(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    index = cast(Any, node.args[1])
    full = slice(None)
    parts = index if isinstance(index, tuple) else (index,)
    slices = [part for part in parts if isinstance(part, slice) and not part.start and part.stop is None]
    if len(slices) != len(parts) or len(parts) > 4 or any(part != full for part in slices[:2]):
        reason = "it is a slice other than x[:, :, ::a, ::b]"
        raise refusal(reader.place(node), reason, "use a strided Conv2d or a pool in its place")
    steps = [part.step or 1 for part in (*slices, *(full,) * (4 - len(slices)))]
    if steps[2:] == [1, 1]:
        reader.same(node)
    else:
        reader.add(node, "subsample", detail=(steps[2], steps[3]))


@_rule(F.pad, nn.ZeroPad2d)
def _pad(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    amounts = list(cast(Any, module).padding if module is not None else argument(node, 1, "pad"))
    mode, value = argument(node, 2, "mode", "constant"), argument(node, 3, "value", 0)
    if mode != "constant" or value not in (0, None) or min(amounts) < 0 or len(amounts) > 6:
        raise refusal(reader.place(node), "it does not pad with zeros", "pad with zeros")
    amounts += [0] * (6 - len(amounts))
    width, height, channels = ((amounts[i], amounts[i + 1]) for i in (0, 2, 4))
    if not any(amounts):
        reader.same(node)
    else:
        reader.add(node, "pad", detail=(channels, height, width))
