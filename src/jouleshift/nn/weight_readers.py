"""Which weights a network reads itself, past the layers that hold them.

Attention often takes its projections' weights and calls a fused kernel: torchvision's Swin passes
`self.qkv.weight` to a function, and PyTorch's encoder layers pass those of their linear layers to one kernel
in evaluation. A shift layer put in such a place would never be called, and has no `weight` to be read.

Readers are found by running the network's forward pass on symbols (torch.fx), which notes every parameter
that is asked for. Where that cannot go on (control flow that depends on the data, modules of PyTorch's own),
the code of the module's forward pass, and of its methods called there, is looked through for `NAME.weight`,
and the modules inside are run one by one.
"""

import dis
from collections.abc import Iterator
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import fx, nn

from jouleshift.nn.tracing import UNTRACEABLE, for_tracing

Kinds = tuple[type[nn.Module], ...]


def weights_read(model: nn.Module, layers: Kinds) -> frozenset[int]:
    """The ids of the parameters that are read by others than the modules of the kinds `layers`."""
    read: set[int] = set()
    with torch.random.fork_rng(devices=[]):
        _look(for_tracing(model), layers, read, set())
    return frozenset(read)


def _look(module: nn.Module, layers: Kinds, read: set[int], seen: set[nn.Module]) -> None:
    if module in seen or isinstance(module, layers):
        return
    seen.add(module)
    tracer = _Reader(layers)
    try:
        tracer.trace(module)
        closed = tracer.closed
    except UNTRACEABLE:
        read |= _read_in_code(module, layers)
        closed = list(module.children())
    read |= tracer.read
    for inner in closed:
        _look(inner, layers, read, seen)


class _Reader(fx.Tracer):
    """Notes the parameters that are asked for, also of a run that fails later, and the modules with others
    inside that are not run but taken as one operation."""

    proxy_buffer_attributes = True

    def __init__(self, layers: Kinds) -> None:
        super().__init__()
        self._layers = layers
        self.read: set[int] = set()
        self.closed: list[nn.Module] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, self._layers):
            return True
        leaf = super().is_leaf_module(m, module_qualified_name)
        if leaf and m._modules:
            self.closed.append(m)
        return leaf

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if isinstance(attr_val, nn.Parameter):
            self.read.add(id(attr_val))
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _read_in_code(module: nn.Module, layers: Kinds) -> set[int]:
    """The weights of layers inside by a NAME of which the code of the forward pass has NAME.weight."""
    names = set(_owners_of_weights(type(module)))
    return {
        id(layer._parameters.get("weight"))
        for path, layer in module.named_modules()
        if isinstance(layer, layers) and path.rpartition(".")[2] in names
    }


def _owners_of_weights(kind: type[nn.Module]) -> Iterator[str]:
    pending, seen = ["forward"], {"forward"}
    while pending:
        method = getattr(kind, pending.pop())
        if not isinstance(method, FunctionType):
            continue
        for code in _with_inner(method.__code__):
            loads = [instruction.argval for instruction in dis.get_instructions(code)]
            yield from (owner for owner, name in pairwise(loads) if name == "weight" and owner)
            called = {name for name in code.co_names if name not in seen and hasattr(kind, name)}
            seen |= called
            pending += called


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions and comprehensions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)
