"""Which layers never see a negative input.

An activation that comes out of a ReLU needs no sign bit, so in the same number of bits it reaches twice as
far. Whether it does is read off the network's graph (torch.fx), without running it: values are followed from
operation to operation, and "never negative" is kept by what cannot make a negative number of non-negative
ones (pooling, reshaping, concatenation, sums, products, …). Everything not listed here counts as possibly
negative.

A network whose forward pass cannot be traced (its control flow depends on the data) tells nothing; all its
inputs then count as possibly negative.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from jouleshift.nn.tracing import UNTRACEABLE, Limits, Memory, Tracer, clamp_limits, for_tracing

_MAKES = frozenset[Any](
    {
        *(nn.Sigmoid, nn.Hardsigmoid, nn.Softmax, nn.Softplus),
        *(F.sigmoid, F.hardsigmoid, F.softmax, F.softplus),
        *(torch.sigmoid, torch.softmax, torch.abs, torch.square, torch.exp),
        *("sigmoid", "softmax", "abs", "square", "exp"),
    }
)
"""Modules, functions and methods whose result is never negative; clamps (ReLU and the like) besides."""

_KEEPS = frozenset[Any](
    {
        *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
        *(
            nn.AdaptiveMaxPool2d,
            nn.Flatten,
            nn.Unflatten,
            nn.Identity,
            nn.Dropout,
            nn.Dropout2d,
            nn.ZeroPad2d,
        ),
        *(nn.ReflectionPad2d, nn.ReplicationPad2d, nn.PixelShuffle, nn.ChannelShuffle),
        *(F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool1d),
        *(F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.dropout, F.dropout2d, F.pixel_shuffle),
        *(torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze),
        *(torch.cat, torch.concat, torch.stack, torch.chunk, torch.split, torch.add, torch.mul, torch.mean),
        *(torch.sum, torch.sqrt, torch.maximum, torch.minimum),
        *(operator.add, operator.iadd, operator.mul, operator.imul, operator.getitem),
        *(
            "flatten",
            "reshape",
            "view",
            "permute",
            "transpose",
            "squeeze",
            "unsqueeze",
            "contiguous",
            "clone",
        ),
        *("chunk", "split", "add", "add_", "mul", "mul_", "mean", "sum", "sqrt", "expand", "repeat", "to"),
    }
)
"""Those whose result is never negative if no input is."""


class _Tracer(Tracer):
    """Records what is done to buffers too, instead of doing it: a batch norm with a forward pass of its own
    counts the batches that it has seen in training."""

    proxy_buffer_attributes = True


def nonnegative_inputs(model: nn.Module) -> frozenset[str]:
    """Names of the modules of torch.nn that never see a negative input, in any of their calls."""
    tracer = _Tracer()
    try:
        with torch.random.fork_rng(devices=[]):
            graph = tracer.trace(for_tracing(model))
    except UNTRACEABLE:
        return frozenset()
    memory = Memory()
    known: dict[fx.Node, bool] = {}
    verdicts: dict[str, bool] = {}
    for node in graph.nodes:
        operation: Any = node.target
        module = None
        if node.op == "call_module":
            module = model.get_submodule(node.target)
            operation = type(module)
            inputs = all(known[source] for source in node.all_input_nodes)
            verdicts[node.target] = verdicts.get(node.target, True) and inputs
        limits = clamp_limits(node, operation, module)
        if limits is not None:
            known[node] = _clamps_at_zero(limits, known[node.all_input_nodes[0]])
        else:
            known[node] = node.op.startswith("call") and _is_nonnegative(node, operation, known)
        written, sharing = memory.enter(node, operation, module)
        known |= {other: known[other] and known[node] for other in sharing}
        if written is not None:
            known[written] = known[node]
    return frozenset(name for name, verdict in verdicts.items() if verdict)


def _clamps_at_zero(limits: Limits, source: bool) -> bool:
    """Whether nothing negative leaves a clamp that reads what is never negative, or may be."""
    lowest, highest = limits
    return (highest is None or highest >= 0) and (source or (lowest is not None and lowest >= 0))


def _is_nonnegative(
    node: fx.Node, operation: type | str | Callable[..., Any], known: dict[fx.Node, bool]
) -> bool:
    if operation in _MAKES:
        return True
    if operation is F.pad:
        return _pads_with_zeros(node) and known[node.all_input_nodes[0]]
    if operation not in _KEEPS:
        return False
    return all(known[source] for source in node.all_input_nodes if not _is_size(source)) and not any(
        isinstance(argument, float | int) and argument < 0 for argument in _operands(node)
    )


def _operands(node: fx.Node) -> tuple[Any, ...]:
    """The numbers that sums and products take beside tensors; elsewhere numbers are dimensions."""
    arithmetic = (operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.mul)
    is_method = node.op == "call_method" and str(node.target).rstrip("_") in ("add", "mul")
    return (*node.args, *node.kwargs.values()) if is_method or node.target in arithmetic else ()


def _pads_with_zeros(node: fx.Node) -> bool:
    """Whether F.pad is called in a mode that copies, or with a constant that is not negative."""
    arguments = dict(zip(("input", "pad", "mode", "value"), node.args, strict=False)) | dict(node.kwargs)
    value = arguments.get("value")
    return value is None or (isinstance(value, float | int) and value >= 0)


def _is_size(node: fx.Node) -> bool:
    """Whether a node is a shape rather than a tensor: `x.size(0)` in `x.view(x.size(0), -1)`."""
    if node.op == "call_method" and node.target in ("size", "dim", "numel"):
        return True
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    return node.target is operator.getitem and _is_size(node.all_input_nodes[0])
