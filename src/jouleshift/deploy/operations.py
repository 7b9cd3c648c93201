"""How PyTorch writes the operations that an integer program knows: a rule for each module, function, method.

Everything else is refused, and so are these where their options cannot be done exactly.
"""

import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from jouleshift.deploy.graph import REMEDY, Kind, Reader, Rule, refusal
from jouleshift.deploy.nodes import Geometry
from jouleshift.nn.layers import ShiftConv2d, ShiftLayer, ShiftLinear

RULES: dict[Any, Rule] = {}


def _rule(*operations: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, rule))
        return rule

    return register


def _argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


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
            raise refusal(str(node.target), f"its padding mode is {layer.padding_mode!r}", "pad with zeros")
        geometry = _window(layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    elif len(reader.shape(node)) != 1:
        raise refusal(str(node.target), "it is a linear layer on more than one axis", "flatten its input")
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
        raise refusal(str(node.target), "it has no running statistics", "train with track_running_stats")
    reader.add(node, "norm", module=module)


@_rule(nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_")
def _relu(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    reader.add(node, "clamp", lowest=0.0)


@_rule(nn.ReLU6, F.relu6)
def _relu6(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    reader.add(node, "clamp", lowest=0.0, highest=6.0)


@_rule(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    left, right = node.args[:2]
    if node.kwargs.get("alpha", 1) != 1 or reader.source(left) == reader.source(right):
        raise refusal(node.name, "it is a sum with a factor", REMEDY)
    if reader.source_shape(cast(fx.Node, left)) != reader.source_shape(cast(fx.Node, right)):
        raise refusal(node.name, "it adds tensors of different shapes", REMEDY)
    reader.add(node, "add", (left, right))


@_rule(torch.cat, torch.concat)
def _concat(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    if _argument(node, 1, "dim", 0) not in (1, -len(reader.shape(node))):
        raise refusal(node.name, "it does not concatenate along the channels", REMEDY)
    reader.add(node, "concat", cast(Sequence[Any], node.args[0]))


@_rule(nn.MaxPool2d, F.max_pool2d)
def _max_pool(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    kernel, stride, padding, dilation = _pool_arguments(node, module, ("dilation", 1))
    _pool(reader, node, "max", _window(kernel, stride or kernel, padding, dilation))


@_rule(nn.AvgPool2d, F.avg_pool2d)
def _average_pool(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    kernel, stride, padding, _ = _pool_arguments(node, module, ("ceil_mode", False))
    source = module or node
    divisor = getattr(source, "divisor_override", None) if module else node.kwargs.get("divisor_override")
    counted = (
        getattr(source, "count_include_pad", True)
        if module
        else _argument(node, 5, "count_include_pad", True)
    )
    if divisor is not None or (pair(padding) != (0, 0) and not counted):
        raise refusal(node.name, "its windows have different sizes", "count the padding as zeros")
    _pool(reader, node, "average", _window(kernel, stride or kernel, padding))


def _pool_arguments(node: fx.Node, module: nn.Module | None, last: tuple[str, Any]) -> list[Any]:
    names = (("kernel_size", None), ("stride", None), ("padding", 0), last)
    if module is not None:
        return [getattr(module, name, default) for name, default in names]
    return [_argument(node, position, name, default) for position, (name, default) in enumerate(names, 1)]


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
        raise refusal(node.name, "its output is rounded up", "use ceil_mode=False")
    geometry = Geometry(window.kernel, window.stride, wanted, window.dilation)
    reader.add(node, kind, detail=geometry)


@_rule(nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d)
def _adaptive_pool(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    (_, *size), (_, *made) = reader.source_shape(cast(fx.Node, node.args[0])), reader.shape(node)
    window = [before // after for before, after in zip(size, made, strict=True)]
    if [w * after for w, after in zip(window, made, strict=True)] != size:
        raise refusal(node.name, f"{size} does not divide into {made} equal windows", REMEDY)
    reader.add(node, "average", detail=_window(window, window, 0))


@_rule(torch.mean, "mean")
def _mean(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    source = cast(fx.Node, node.args[0])
    dims = _argument(node, 1, "dim")
    rank = len(reader.source_shape(source)) + 1
    if dims is None or {d % rank for d in ([dims] if isinstance(dims, int) else dims)} != {2, 3}:
        raise refusal(node.name, "it is no mean over the whole image", REMEDY)
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
        raise refusal(node.name, f"it turns {before} into {shape}", REMEDY)


@_rule(operator.getitem)
def _subsample(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    index = cast(Any, node.args[1])
    full = slice(None)
    parts = index if isinstance(index, tuple) else (index,)
    slices = [part for part in parts if isinstance(part, slice) and not part.start and part.stop is None]
    if len(slices) != len(parts) or len(parts) > 4 or any(part != full for part in slices[:2]):
        raise refusal(node.name, "it is a slice other than x[:, :, ::a, ::b]", REMEDY)
    steps = [part.step or 1 for part in (*slices, *(full,) * (4 - len(slices)))]
    if steps[2:] == [1, 1]:
        reader.same(node)
    else:
        reader.add(node, "subsample", detail=(steps[2], steps[3]))


@_rule(F.pad, nn.ZeroPad2d)
def _pad(reader: Reader, node: fx.Node, module: nn.Module | None) -> None:
    amounts = list(cast(Any, module).padding if module is not None else _argument(node, 1, "pad"))
    mode, value = _argument(node, 2, "mode", "constant"), _argument(node, 3, "value", 0)
    if mode != "constant" or value not in (0, None) or min(amounts) < 0 or len(amounts) > 6:
        raise refusal(node.name, "it does not pad with zeros", REMEDY)
    amounts += [0] * (6 - len(amounts))
    width, height, channels = ((amounts[i], amounts[i + 1]) for i in (0, 2, 4))
    if not any(amounts):
        reader.same(node)
    else:
        reader.add(node, "pad", detail=(channels, height, width))
