"""A network read as a list of steps, the few kinds of operation that an integer program knows.

torch.fx records the network's forward pass without running it, one run on an example image adds the shapes.
Every call then becomes a `Step` of a known kind, or a refusal that names it and says what to do. What does
nothing in evaluation (dropout, identity, contiguous) disappears; a mean over the image becomes a pool and a
flatten; every way to write a ReLU, a sum or a pool becomes the same step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, fx, nn

from jouleshift.deploy.nodes import Geometry, Shape
from jouleshift.deploy.refusals import REMEDY, UNKNOWN, refusal, refused
from jouleshift.nn.layers import ShiftLayer
from jouleshift.nn.tracing import UNTRACEABLE, Memory, Tracer

Kind = Literal[
    "input",
    "shift",
    "float",
    "norm",
    "clamp",
    "add",
    "concat",
    "max",
    "average",
    "subsample",
    "pad",
    "flatten",
]
Pads = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Step:
    """One operation on whole tensors. `shape` is its result's, without the batch.

    `lowest` and `highest` clamp the result (a ReLU has lowest 0). `detail` is a window's geometry, a step of
    subsampling, or amounts of padding. `norm` is a batch norm folded in, set by `deploy.fold`; `ends_at`
    names the graph's node whose value the step's is.
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


_OPERANDS = ("input", "tensors", "other")
"""What PyTorch calls the first and second operands of its modules and functions."""
_MISREAD = (TypeError, ValueError, LookupError, AttributeError)
"""What a rule meets in a call with arguments that it does not expect."""

Rule = Callable[["Reader", fx.Node, nn.Module | None], None]
"""Turns a call into steps: of a module (given), a function or a method."""


class _Tracer(Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ShiftLayer) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """The network's graph, shift layers and torch's own modules as leaves; operands that were given by name
    stand by position. Raises `BadInput`."""
    try:
        graph = _Tracer().trace(model)
    except UNTRACEABLE as error:
        raise refusal(
            type(model).__name__,
            f"its forward pass cannot be traced ({_first_line(error)})",
            "write it without control flow that depends on the image or its size",
        ) from None
    for node in graph.nodes:
        for name in _OPERANDS:
            if node.op.startswith("call") and name in node.kwargs:
                node.args = (*node.args, node.kwargs[name])
                node.kwargs = {other: value for other, value in node.kwargs.items() if other != name}
    return fx.GraphModule(model, graph)


def observe(graph: fx.GraphModule, images: Tensor, see: Callable[[str, Tensor], None]) -> None:
    """Run the network on a copy of `images` (it may write into them) and show every tensor by the name of the
    node that made it."""

    class Observer(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, Tensor):
                see(n.name, result)
            return result

    with torch.no_grad():
        Observer(graph).run(images.clone())


def read(graph: fx.GraphModule, example: Tensor, rules: Mapping[Any, Rule]) -> tuple[list[Step], str]:
    """The steps in order of execution, the input first, and the name of the last."""
    shapes: dict[str, Shape] = {}
    try:
        observe(graph, example[:1], lambda name, tensor: shapes.update({name: tuple(tensor.shape[1:])}))
    except UNTRACEABLE as error:
        raise refusal(
            f"the network for images of {'×'.join(map(str, example.shape[1:]))}",
            f"it does not take them ({_first_line(error)})",
            "give images of the shape that it takes",
        ) from None
    reader = Reader(graph, shapes, rules)
    for node in graph.graph.nodes:
        reader.take(node)
    return reader.steps, reader.output


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _enclosing(node: fx.Node) -> list[tuple[str, type]]:
    """Name and type of the modules, the network itself apart, whose forward pass makes a call."""
    stack: Mapping[str, tuple[str, type]] = node.meta.get("nn_module_stack", {})
    return [(name, kind) for name, kind in stack.values() if name]


class Reader:
    """Collects steps; knows which name each node's value now has. Rules call what is public."""

    def __init__(self, graph: fx.GraphModule, shapes: dict[str, Shape], rules: Mapping[Any, Rule]) -> None:
        self._graph = graph
        self._rules = rules
        self._shapes = shapes
        self._names: dict[fx.Node, str] = {}
        self._memory = Memory()
        self._torn: dict[fx.Node, str] = {}
        self._by_name: dict[str, Step] = {}
        self.steps: list[Step] = []
        self.output = ""

    def take(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.steps:
                raise refusal(
                    f"input {node.name!r}", "there is more than one", "deploy networks of one image"
                )
            self._memory.enter(node, node.target, None)
            self._add(node, Step(node.name, "input", (), self._shapes[node.name]))
        elif node.op == "output":
            (result,) = node.args
            if not isinstance(result, fx.Node):
                raise refusal("its output", "it is not one tensor", "return the logits alone")
            self.output = self.source(result)
        elif node.op == "get_attr":
            return
        elif node.name in self._shapes or node.op == "call_module" or node.target in UNKNOWN:
            self._operation(node)

    def _operation(self, node: fx.Node) -> None:
        operation: Any = node.target
        module = None
        if node.op == "call_module":
            module = self._graph.get_submodule(str(node.target))
            operation = type(module)
        rule = self._rules.get(operation)
        if rule is None:
            raise refused(self.place(node), operation, *(kind for _, kind in _enclosing(node)[-1:]))
        try:
            rule(self, node, module)
        except _MISREAD as error:
            reason = f"it is called in a way that has no rule ({_first_line(error)})"
            raise refusal(self.place(node), reason, REMEDY) from error
        self._overwrite(node, *self._memory.enter(node, operation, module))

    def _overwrite(self, node: fx.Node, written: fx.Node | None, sharing: list[fx.Node]) -> None:
        """After a call in place its operand stands for the result, and so does whatever is the same value in
        the same memory. Other views of that memory change in a way that no step says; `contiguous` makes one
        or a copy."""
        if written is None or self._names[written] == self._names[node]:
            return
        before, self._names[written] = self._names[written], self._names[node]
        sure = all(each.target != "contiguous" for each in (written, *sharing))
        for each in sharing:
            if sure and self._names[each] == before:
                self._names[each] = self._names[node]
            else:
                self._torn[each] = self.place(node)

    def place(self, node: fx.Node) -> str:
        """Where in the network a call is: "layer (Type)", "function in layer (Type)" for what is no layer."""
        if node.op == "call_module":
            return f"{node.target} ({type(self._graph.get_submodule(str(node.target))).__name__})"
        target = node.target
        function = (target if isinstance(target, str) else getattr(target, "__name__", node.name)).strip("_")
        within = [f"{name} ({kind.__name__})" for name, kind in _enclosing(node)]
        return f"{function} in {within[-1]}" if within else function

    def constant(self, node: Any) -> Tensor | None:
        """A parameter or buffer that a call reads; None where it is given none."""
        if node is None:
            return None
        if not isinstance(node, fx.Node) or node.op != "get_attr":
            raise refusal(f"the operand {node}", "it is computed, not a parameter", REMEDY)
        owner, _, name = str(node.target).rpartition(".")
        return cast(Tensor, getattr(self._graph.get_submodule(owner), name))

    def shape(self, node: fx.Node) -> Shape:
        return self._shapes[node.name]

    def source(self, node: Any) -> str:
        """The value that an argument stands for, at this point of the graph."""
        if not isinstance(node, fx.Node) or node not in self._names:
            if isinstance(node, fx.Node):
                remedy = "keep parameters inside Conv2d, Linear and BatchNorm layers"
                raise refusal(f"the operand {node.target}", "it is not computed from the image", remedy)
            raise refusal(f"the operand {node}", "it is a constant", "put it into a bias or a batch norm")
        if node in self._torn:
            reason = f"it works in place, and {node.name}, read later, shows the same memory"
            raise refusal(self._torn[node], reason, "take its result, without inplace")
        return self._names[node]

    def source_shape(self, node: fx.Node) -> Shape:
        return self._by_name[self.source(node)].shape

    def same(self, node: fx.Node, operand: Any = None) -> None:
        """The node passes on what it reads: its first operand, or another."""
        self._names[node] = self.source(node.args[0] if operand is None else operand)

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
