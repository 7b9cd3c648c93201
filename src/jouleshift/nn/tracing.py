"""What can be read off a network's torch.fx graph by more than one reader.

Training asks the graph which inputs are never negative (`nn.nonnegative`), deployment asks it for the whole
program (`deploy.graph`). Where both ask the same question they must get the same answer, so it is here: a
layer that training rounds as unsigned must be one whose program knows that it is clamped at zero.

A graph lists calls in order and says by name what each reads. A call in place, `ReLU(inplace=True)` or
`y.add_(x)`, changes what earlier names stand for: whoever reads its operand afterwards, or a view of the same
memory, reads the result. `Memory` tells which.
"""

import copy
import inspect
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import fx, nn

UNTRACEABLE = (
    *(RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError, AssertionError),
    *(LookupError, ArithmeticError, fx.proxy.TraceError),
)
"""What someone else's forward pass raises when it meets a symbol in place of a tensor."""


def for_tracing(model: nn.Module) -> nn.Module:
    """A copy with the same parameters and buffers: a forward pass run on symbols may keep some of them, in a
    cache for instance, and a network must not be left with those."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


class Limits(NamedTuple):
    """What a clamp keeps its result within; None where it has no limit on that side."""

    lowest: float | None
    highest: float | None


_RELUS = (nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_")
_RELUS6 = (nn.ReLU6, F.relu6)
_HARDTANHS = (nn.Hardtanh, F.hardtanh)
_CLAMPS = (torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_")
_CLAMPS_BELOW = (torch.clamp_min, "clamp_min", "clamp_min_")
CLAMPS = (*_RELUS, *_RELUS6, *_HARDTANHS, *_CLAMPS, *_CLAMPS_BELOW)
"""Every module, function and method that keeps what it reads within two numbers."""


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """An argument of a call, given by position or by name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def clamp_limits(node: fx.Node, operation: Any, module: nn.Module | None = None) -> Limits | None:
    """The limits of a call of one of `CLAMPS`; None for any other call, and where limits are computed."""
    if not node.op.startswith("call"):
        return None
    if operation in _RELUS:
        return Limits(0.0, None)
    if operation in _RELUS6:
        return Limits(0.0, 6.0)
    lowest: Any
    highest: Any
    if isinstance(module, nn.Hardtanh):
        lowest, highest = module.min_val, module.max_val
    elif operation in _HARDTANHS:
        lowest, highest = argument(node, 1, "min_val", -1.0), argument(node, 2, "max_val", 1.0)
    elif operation in _CLAMPS:
        lowest, highest = argument(node, 1, "min"), argument(node, 2, "max")
    elif operation in _CLAMPS_BELOW:
        lowest, highest = argument(node, 1, "min"), None
    else:
        return None
    if not all(limit is None or isinstance(limit, float | int) for limit in (lowest, highest)):
        return None
    return Limits(lowest, highest)


_WRITING_OPERATORS = (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow)


class Tracer(fx.Tracer):
    """Records `x += y` as PyTorch does it, in place; torch.fx records a new value."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)


class _Proxy(fx.Proxy):
    """What `Tracer` passes through a network; the operators in place are set below."""


def _recorded(operation: Callable[[Any, Any], Any]) -> Callable[[fx.Proxy, Any], fx.Proxy]:
    return lambda x, y: x.tracer.create_proxy("call_function", operation, (x, y), {})


for _operation in _WRITING_OPERATORS:
    setattr(_Proxy, f"__{_operation.__name__}__", _recorded(_operation))

_SHARING = frozenset(
    {
        *("identity", "dropout", "dropout1d", "dropout2d", "dropout3d", "contiguous", "to", "type"),
        *("float", "flatten", "unflatten", "reshape", "reshape_as", "view", "view_as", "squeeze"),
        *("unsqueeze", "expand", "expand_as", "permute", "transpose", "swapaxes", "movedim", "t"),
        *("narrow", "select", "diagonal", "chunk", "split", "tensor_split", "unbind", "unfold", "detach"),
        *("getitem", "getattr"),
    }
)
"""Names of modules, functions and methods that may return the memory that they read."""


class Memory:
    """Which values of a graph share memory, told call by call in the graph's order."""

    def __init__(self) -> None:
        self._owners: dict[fx.Node, fx.Node] = {}

    def enter(
        self, node: fx.Node, operation: Any, module: nn.Module | None
    ) -> tuple[fx.Node | None, list[fx.Node]]:
        """The operand that a call writes its result into, and the other values that share its memory; None
        and [] for a call that makes a new value or shows an old one."""
        written = _written(node, operation, module)
        source = written or (node.all_input_nodes[0] if _shares(node, operation) else node)
        owner = self._owners.get(source, source)
        sharing = [other for other, its in self._owners.items() if its is owner and other is not written]
        self._owners[node] = owner
        return written, sharing if written else []


def _written(node: fx.Node, operation: Any, module: nn.Module | None) -> fx.Node | None:
    if not node.op.startswith("call"):
        return None
    name = _name(operation)
    in_place = (
        operation in _WRITING_OPERATORS
        or (module is None and name.endswith("_") and not name.endswith("__"))
        or getattr(module, "inplace", False)
        or _is_told_to(node)
    )
    operand = next(iter((*node.args, *node.kwargs.values())), None) if in_place else node.kwargs.get("out")
    return operand if isinstance(operand, fx.Node) else None


def _is_told_to(node: fx.Node) -> bool:
    """Whether a function is called with `inplace`, by name or by position."""
    try:
        position = list(inspect.signature(node.target).parameters).index("inplace")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return bool(argument(node, position, "inplace", False))


def _shares(node: fx.Node, operation: Any) -> bool:
    return node.op.startswith("call") and _name(operation).lower() in _SHARING and bool(node.all_input_nodes)


def _name(operation: Any) -> str:
    return operation if isinstance(operation, str) else getattr(operation, "__name__", "")


def forwards_as(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer of a subclass of `kind` does what `kind` does, in training and in evaluation.

    A subclass's forward pass may differ in nothing that counts: timm's Linear only asks whether TorchScript
    compiles it.
    """

    def operations(of: type[nn.Module], training: bool) -> list[Any]:
        twin = copy.copy(layer)
        twin.__class__ = of
        twin.training = training
        nodes = list(fx.Tracer().trace(twin).nodes)
        position = {node: f"value {i}" for i, node in enumerate(nodes)}
        return [
            (
                node.op,
                None if node.op == "placeholder" else node.target,
                fx.map_arg((node.args, node.kwargs), position.__getitem__),
            )
            for node in nodes
        ]

    try:
        return all(operations(type(layer), mode) == operations(kind, mode) for mode in (True, False))
    except UNTRACEABLE:
        return False
