"""A network read as a list of steps, the few kinds of operation that an integer program knows.

torch.fx records the network's forward pass without running it, one run on an example image adds the shapes.
Every call then becomes a `Step` of a known kind, or a refusal that names it and says what to do. What does
nothing in evaluation (dropout, identity, contiguous) disappears; a mean over the image becomes a pool and a
flatten; every way to write a ReLU, a sum or a pool becomes the same step.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from jouleshift.deploy.program import Geometry, Shape
from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftConv2d, ShiftLayer, ShiftLinear

Kind = Literal[
    "input", "shift", "float", "norm", "clamp", "add", "concat", "max", "average", "subsample", "pad", "flatten"
]
Pads = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Step:
    """One operation on whole tensors. `shape` is its result's, without the batch.

    `lowest` and `highest` clamp the result (a ReLU has lowest 0). `detail` is a window's geometry, a step of
    subsampling, or amounts of padding. `norm` is a batch norm folded in, set by `deploy.fold`; `ends_at` names
    the graph's node whose value the step's is.
    """

    name: str
    kind: Kind
    sources: tuple[str, ...]
    shape: Shape
    layer: str = ""
    module: nn.Module | None = None
    detail: Geometry | tuple[int, int] | Pads | None = None
    lowest: float | None = None
    highest: float | None = None
    norm: nn.Module | None = None
    ends_at: str = ""


def refusal(what: str, reason: str, remedy: str) -> BadInput:
    return BadInput(f"cannot deploy {what}: {reason}; {remedy}")


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ShiftLayer) or super().is_leaf_module(m, module_qualified_name)


_UNTRACEABLE = (RuntimeError, TypeError, ValueError, AttributeError, LookupError, fx.proxy.TraceError)


def trace(model: nn.Module) -> fx.GraphModule:
    """The network's graph, shift layers and torch's own modules as leaves. Raises `BadInput`."""
    try:
        return fx.GraphModule(model, _Tracer().trace(model))
    except _UNTRACEABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refusal(
            type(model).__name__,
            f"its forward pass cannot be traced ({reason})",
            "write it without control flow that depends on the image",
        ) from None


def observe(graph: fx.GraphModule, images: Tensor, see: Callable[[str, Tensor], None]) -> None:
    """Run the network on `images` and show every tensor by the name of the node that made it."""

    class Observer(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, Tensor):
                see(n.name, result)
            return result

    with torch.no_grad():
        Observer(graph).run(images)


def read(graph: fx.GraphModule, example: Tensor) -> tuple[list[Step], str]:
    """The steps in order of execution, the input first, and the name of the last."""
    shapes: dict[str, Shape] = {}
    observe(graph, example[:1], lambda name, tensor: shapes.update({name: tuple(tensor.shape[1:])}))
    reader = _Reader(graph, shapes)
    for node in graph.graph.nodes:
        reader.take(node)
    return reader.steps, reader.output


class _Reader:
    """Collects steps; knows which name each node's value now has."""

    def __init__(self, graph: fx.GraphModule, shapes: dict[str, Shape]) -> None:
        self._graph = graph
        self._shapes = shapes
        self._names: dict[fx.Node, str] = {}
        self._by_name: dict[str, Step] = {}
        self.steps: list[Step] = []
        self.output = ""

    def take(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.steps:
                raise refusal(f"input {node.name!r}", "there is more than one", "deploy networks of one image")
            self._add(node, Step(node.name, "input", (), self._shapes[node.name]))
        elif node.op == "output":
            (result,) = node.args
            if not isinstance(result, fx.Node):
                raise refusal("its output", "it is not one tensor", "return the logits alone")
            self.output = self._names[result]
        elif node.name in self._shapes:
            self._operation(node)

    def _operation(self, node: fx.Node) -> None:
        operation: Any = node.target
        module = None
        if node.op == "call_module":
            module = self._graph.get_submodule(str(node.target))
            operation = type(module)
        rule = _RULES.get(operation)
        if node.op == "get_attr" or rule is None:
            what = f"{node.target}" if module is None else f"{node.target} ({type(module).__name__})"
            raise refusal(what, "integers have no rule for it", f"deploy can do {_KNOWN}")
        rule(self, node, module)

    def shape(self, node: fx.Node) -> Shape:
        return self._shapes[node.name]

    def source(self, node: Any) -> str:
        """The value that an argument stands for."""
        if not isinstance(node, fx.Node) or node not in self._names:
            raise refusal(f"an operand {node}", "it is a constant, not computed from the image", _REMEDY)
        return self._names[node]

    def source_shape(self, node: fx.Node) -> Shape:
        return self._by_name[self.source(node)].shape

    def same(self, node: fx.Node) -> None:
        """The node passes on what it reads."""
        self._names[node] = self.source(node.args[0])

    def add(self, node: fx.Node, kind: Kind, sources: Sequence[Any] | None = None, **details: Any) -> None:
        operands = node.args[:1] if sources is None else sources
        layer = str(node.target) if node.op == "call_module" else node.name
        names = tuple(self.source(operand) for operand in operands)
        details = {"shape": self.shape(node), "layer": layer, "ends_at": node.name, **details}
        self._add(node, Step(node.name, kind, names, **details))

    def mean(self, node: fx.Node, geometry: Geometry) -> None:
        """A mean over the image is a pool whose windows are images, flattened."""
        channels = self.source_shape(cast(fx.Node, node.args[0]))[0]
        pooled = Step(
            f"{node.name}_pool", "average", (self.source(node.args[0]),), (channels, 1, 1), node.name,
            detail=geometry,
        )  # fmt: skip
        self._add(node, pooled)
        if len(self.shape(node)) == 1:
            self._add(node, Step(node.name, "flatten", (pooled.name,), self.shape(node), node.name))

    def _add(self, node: fx.Node, step: Step) -> None:
        self.steps.append(step)
        self._by_name[step.name] = step
        self._names[node] = step.name


_Rule = Callable[[_Reader, fx.Node, nn.Module | None], None]
_RULES: dict[Any, _Rule] = {}
_KNOWN = (
    "Conv2d, Linear, BatchNorm, ReLU, ReLU6, residual sums, concatenation, max and average pooling, strided "
    "slices, zero padding and flatten"
)
_REMEDY = f"deploy can do {_KNOWN}"


def _rule(*operations: Any) -> Callable[[_Rule], _Rule]:
    def register(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(operations, rule))
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
def _nothing(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    reader.same(node)


@_rule(ShiftConv2d, ShiftLinear, nn.Conv2d, nn.Linear)
def _layer(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
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
def _norm(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    if getattr(module, "running_var", None) is None:
        raise refusal(str(node.target), "it has no running statistics", "train with track_running_stats")
    reader.add(node, "norm", module=module)


@_rule(nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_")
def _relu(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    reader.add(node, "clamp", lowest=0.0)


@_rule(nn.ReLU6, F.relu6)
def _relu6(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    reader.add(node, "clamp", lowest=0.0, highest=6.0)


@_rule(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    left, right = node.args[:2]
    if node.kwargs.get("alpha", 1) != 1 or reader.source(left) == reader.source(right):
        raise refusal(node.name, "it is a sum with a factor", _REMEDY)
    if reader.source_shape(cast(fx.Node, left)) != reader.source_shape(cast(fx.Node, right)):
        raise refusal(node.name, "it adds tensors of different shapes", _REMEDY)
    reader.add(node, "add", (left, right))


@_rule(torch.cat, torch.concat)
def _concat(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    if _argument(node, 1, "dim", 0) not in (1, -len(reader.shape(node))):
        raise refusal(node.name, "it does not concatenate along the channels", _REMEDY)
    reader.add(node, "concat", cast(Sequence[Any], node.args[0]))


@_rule(nn.MaxPool2d, F.max_pool2d)
def _max_pool(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    kernel, stride, padding, dilation = _pool_arguments(node, module, ("dilation", 1))
    _pool(reader, node, "max", _window(kernel, stride or kernel, padding, dilation))


@_rule(nn.AvgPool2d, F.avg_pool2d)
def _average_pool(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    kernel, stride, padding, _ = _pool_arguments(node, module, ("ceil_mode", False))
    source = module or node
    divisor = getattr(source, "divisor_override", None) if module else node.kwargs.get("divisor_override")
    counted = getattr(source, "count_include_pad", True) if module else _argument(node, 5, "count_include_pad", True)
    if divisor is not None or (pair(padding) != (0, 0) and not counted):
        raise refusal(node.name, "its windows have different sizes", "count the padding as zeros")
    _pool(reader, node, "average", _window(kernel, stride or kernel, padding))


def _pool_arguments(node: fx.Node, module: nn.Module | None, last: tuple[str, Any]) -> list[Any]:
    names = (("kernel_size", None), ("stride", None), ("padding", 0), last)
    if module is not None:
        return [getattr(module, name, default) for name, default in names]
    return [_argument(node, position, name, default) for position, (name, default) in enumerate(names, 1)]


def _pool(reader: _Reader, node: fx.Node, kind: Kind, window: Geometry) -> None:
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
def _adaptive_pool(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    (_, *size), (_, *made) = reader.source_shape(cast(fx.Node, node.args[0])), reader.shape(node)
    window = [before // after for before, after in zip(size, made, strict=True)]
    if [w * after for w, after in zip(window, made, strict=True)] != size:
        raise refusal(node.name, f"{size} does not divide into {made} equal windows", _REMEDY)
    reader.add(node, "average", detail=_window(window, window, 0))


@_rule(torch.mean, "mean")
def _mean(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    source = cast(fx.Node, node.args[0])
    dims = _argument(node, 1, "dim")
    rank = len(reader.source_shape(source)) + 1
    if dims is None or {d % rank for d in ([dims] if isinstance(dims, int) else dims)} != {2, 3}:
        raise refusal(node.name, "it is no mean over the whole image", _REMEDY)
    height, width = reader.source_shape(source)[1:]
    reader.mean(node, Geometry((height, width), (height, width)))


@_rule(nn.Flatten, torch.flatten, "flatten", torch.reshape, "reshape", "view", torch.squeeze, "squeeze")
def _flatten(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    shape, before = reader.shape(node), reader.source_shape(cast(fx.Node, node.args[0]))
    if shape == before:
        reader.same(node)
    elif shape == (prod(before),):
        reader.add(node, "flatten")
    else:
        raise refusal(node.name, f"it turns {before} into {shape}", _REMEDY)


@_rule(operator.getitem)
def _subsample(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    index = cast(Any, node.args[1])
    full = slice(None)
    parts = index if isinstance(index, tuple) else (index,)
    slices = [part for part in parts if isinstance(part, slice) and not part.start and part.stop is None]
    if len(slices) != len(parts) or len(parts) > 4 or any(part != full for part in slices[:2]):
        raise refusal(node.name, "it is a slice other than x[:, :, ::a, ::b]", _REMEDY)
    steps = [part.step or 1 for part in (*slices, *(full,) * (4 - len(slices)))]
    if steps[2:] == [1, 1]:
        reader.same(node)
    else:
        reader.add(node, "subsample", detail=(steps[2], steps[3]))


@_rule(F.pad, nn.ZeroPad2d)
def _pad(reader: _Reader, node: fx.Node, module: nn.Module | None) -> None:
    amounts = list(cast(Any, module).padding if module is not None else _argument(node, 1, "pad"))
    mode, value = _argument(node, 2, "mode", "constant"), _argument(node, 3, "value", 0)
    if mode != "constant" or value not in (0, None) or min(amounts) < 0 or len(amounts) > 6:
        raise refusal(node.name, "it does not pad with zeros", _REMEDY)
    amounts += [0] * (6 - len(amounts))
    width, height, channels = ((amounts[i], amounts[i + 1]) for i in (0, 2, 4))
    if not any(amounts):
        reader.same(node)
    else:
        reader.add(node, "pad", detail=(channels, height, width))
