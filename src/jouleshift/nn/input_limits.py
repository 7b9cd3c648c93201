"""Which layers read what a clamp has limited, just below where their number format ends.

A ReLU6 ends at 6 for the sake of low precision (Sandler et al., 2018, section 3): its results fit three
integer bits. The unsigned format of 3 + 5 bits goes on to 8, so that a quarter of its numbers is never
used, and 6 lies at 192 of 255: integers, which saturate at the end of their bytes for nothing, need a clip
of their own to end there. Such a format is *stretched*: its largest number stands for the limit, 255 for 6,
and its steps are finer by 255/192. In integers that costs nothing, as a layer's sum is multiplied by a number
of each channel anyway, and the clip is gone (docs/deploy.md).

A clamp counts whose limit lies within the last octave of the format: a smaller one would fit the format of
one integer bit less. It must come straight from a converted layer, by way of a batch norm or not, and be read
by converted layers of one format alone, since nothing else knows of the stretched numbers.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from jouleshift.nn.tracing import clamp_limits, graph_of
from jouleshift.quant.fixed_point import FixedPoint

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def input_limits(model: nn.Module, formats: Mapping[str, FixedPoint]) -> dict[str, float]:
    """The limit of each layer's input, by its name, where the layer's format can be stretched to it.

    `formats` are those in which the layers that will be converted read their inputs, by name. A network that
    cannot be traced has no such layers.
    """
    graph = graph_of(model)
    if graph is None:
        return {}
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    layers = {name: fmt for name, fmt in formats.items() if calls[name] == 1}
    found: dict[str, float] = {}
    for node in graph.nodes:
        limit = _upper_limit(node, model)
        readers = {str(reader.target) if reader.op == "call_module" else "" for reader in node.users}
        if limit and readers and readers <= layers.keys() and _is_made_by(node, layers, model):
            (first, *others) = {layers[name] for name in readers}
            if not others and _nearly_holds(first, limit):
                found |= dict.fromkeys(readers, limit)
    return found


def _upper_limit(node: fx.Node, model: nn.Module) -> float | None:
    """Where a clamp at zero ends above; None where it does not, and for any other call."""
    module = _module(node, model)
    operation: Any = node.target if module is None else type(module)
    lowest, highest = clamp_limits(node, operation, module) or (None, None)
    return highest if lowest == 0 else None


def _is_made_by(clamp: fx.Node, layers: Mapping[str, FixedPoint], model: nn.Module) -> bool:
    """Whether a clamp reads one of the layers, or its batch norm, and nothing else does."""
    (source,) = clamp.all_input_nodes
    if isinstance(_module(source, model), _NORMS) and len(source.users) == 1:
        (source,) = source.all_input_nodes
    return source.op == "call_module" and source.target in layers and len(source.users) == 1


def _nearly_holds(fmt: FixedPoint, limit: float) -> bool:
    """Whether a limit is within the last octave of an unsigned format."""
    return not fmt.signed and fmt.highest / 2 < limit < fmt.highest


def _module(node: fx.Node, model: nn.Module) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None
