"""Is a program what it says it is? Asked of programs read from files, before anything executes them.

Executors rely on a program: they allocate by its shapes, index by its names, and leave out overflow tests
because its bounds were proved. So shapes and bounds are worked out anew here, and names must be known.
"""

import math
from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.bounds import partial_sums
from jouleshift.deploy.program import IntegerProgram
from jouleshift.errors import BadInput

_LARGEST_VALUE = 1 << 28
"""Elements of one value of one image: 1 GiB as float32."""
_LARGEST_SPAN = 62
_WIDEST = 64
"""Bits of the widest number format."""


class InconsistentError(ValueError):
    """What is wrong with a node."""


def check(program: IntegerProgram) -> None:
    """`BadInput` naming the first node that contradicts itself or what it reads."""
    values = {program.input.name: program.input}
    try:
        _require(program.input.format is None and len(program.input.shape) == 3, "the input is no image")
        _check_value(program.input)
        for node in program.nodes:
            _check_node(node, values)
            values[node.output.name] = node.output
        _require(program.output_name in values, f"it makes no {program.output_name}")
    except InconsistentError as error:
        raise BadInput(f"not a valid program: {error}") from None


def positions(window: p.Geometry, shape: p.Shape) -> tuple[int, int]:
    """How many places a window has in an image (C, H, W)."""
    top, left, bottom, right = window.padding
    sizes = (shape[1] + top + bottom, shape[2] + left + right)
    height, width = (
        (size - step * (taps - 1) - 1) // stride + 1
        for size, taps, stride, step in zip(sizes, window.kernel, window.stride, window.dilation, strict=True)
    )
    return height, width


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise InconsistentError(otherwise)


def _check_node(node: p.Node, values: Mapping[str, p.Value]) -> None:
    name = node.output.name
    _require(name not in values, f"{name} is made twice")
    for source in node.sources:
        _require(source in values, f"{name} reads {source}, which is not made before it")
    wanted = 2 if isinstance(node, p.Add) else len(node.sources) if isinstance(node, p.Concat) else 1
    _require(len(node.sources) == wanted > 0, f"{name} reads {len(node.sources)} values")
    sources = [values[source] for source in node.sources]
    _check_value(node.output)
    try:
        shape = _shape(node, sources)
    except (IndexError, ValueError) as error:
        raise InconsistentError(f"{name}: {error}") from None
    _require(shape == node.output.shape, f"{name} has the shape {shape}, not {node.output.shape}")
    _check_format(node, sources)
    _check_limits(node)


def _check_value(value: p.Value) -> None:
    _require(all(n > 0 for n in value.shape), f"{value.name} is empty")
    _require(math.prod(value.shape) <= _LARGEST_VALUE, f"{value.name} is too large")
    if value.format is not None:
        parts = (value.format.integer_bits, value.format.fraction_bits)
        known = all(abs(bits) <= _LARGEST_SPAN for bits in parts) and 0 < sum(parts) <= _WIDEST
        _require(known, f"{value.name} has no number format that is known here")


def _check_format(node: p.Node, sources: list[p.Value]) -> None:
    name, made = node.output.name, node.output.format
    read = {value.format for value in sources}
    if isinstance(node, p.Quantise | p.FloatLayer):
        _require(read == {None}, f"{name} reads integers, not float32")
    if isinstance(node, p.Requantise | p.ShiftLayer):
        _require(None not in read, f"{name} reads float32, not integers")
    if isinstance(node, p.Clamp | p.Concat | p.MaxPool | p.Subsample | p.Pad | p.Flatten):
        _require(read == {made}, f"{name} changes the format")
    if isinstance(node, p.Add | p.AveragePool):
        _require(
            (None in read) == (made is None) and not (None in read and len(read) > 1), f"{name} mixes formats"
        )
    if isinstance(node, p.Quantise | p.Requantise | p.FloatLayer):
        _require((made is None) == isinstance(node, p.FloatLayer), f"{name} makes the wrong kind of number")


def _check_limits(node: p.Node) -> None:
    if isinstance(node, p.Clamped) and node.output.format is not None:
        lowest, highest = p.limits(node.output.format)
        inside = node.lowest is not None and node.highest is not None
        _require(
            inside and lowest <= node.lowest <= node.highest <= highest,  # type: ignore[operator]
            f"{node.output.name} is clamped outside its format",
        )
    elif isinstance(node, p.Clamped):
        limits = [limit for limit in (node.lowest, node.highest) if limit is not None]
        _require(not any(map(math.isnan, limits)), f"{node.output.name} is clamped at NaN")
    if isinstance(node, p.AveragePool):
        _require(0 < node.multiplier < math.inf, f"{node.output.name} scales wrongly")


@singledispatch
def _shape(node: p.Node, sources: list[p.Value]) -> p.Shape:
    """The shape of a node's result. Raises ValueError or IndexError where there is none."""
    return sources[0].shape


@_shape.register
def _(node: p.Add, sources: list[p.Value]) -> p.Shape:
    _require(sources[0].shape == sources[1].shape, f"{node.output.name} adds different shapes")
    return sources[0].shape


@_shape.register
def _(node: p.Concat, sources: list[p.Value]) -> p.Shape:
    first, *others = (value.shape for value in sources)
    _require(all(shape[1:] == first[1:] for shape in others), f"{node.output.name} joins different shapes")
    return (first[0] + sum(shape[0] for shape in others), *first[1:])


@_shape.register(p.MaxPool)
@_shape.register(p.AveragePool)
def _(node: p.MaxPool | p.AveragePool, sources: list[p.Value]) -> p.Shape:
    _check_window(node.output.name, node.geometry, sources[0].shape)
    return (sources[0].shape[0], *positions(node.geometry, sources[0].shape))


@_shape.register
def _(node: p.Subsample, sources: list[p.Value]) -> p.Shape:
    channels, height, width = sources[0].shape
    _require(min(node.step) > 0, f"{node.output.name} has no step")
    return channels, -(-height // node.step[0]), -(-width // node.step[1])


@_shape.register
def _(node: p.Pad, sources: list[p.Value]) -> p.Shape:
    _require(min(min(pair) for pair in node.amounts) >= 0, f"{node.output.name} cuts")
    return tuple(n + sum(pair) for n, pair in zip(sources[0].shape, node.amounts, strict=True))


@_shape.register
def _(node: p.Flatten, sources: list[p.Value]) -> p.Shape:
    return (int(np.prod(sources[0].shape)),)


@_shape.register
def _(node: p.FloatLayer, sources: list[p.Value]) -> p.Shape:
    _require(node.bias.shape == node.weight.shape[:1], f"{node.output.name} has no bias for each channel")
    return _weighted(node.output.name, node.weight.shape, node.geometry, sources[0].shape)


@_shape.register
def _(node: p.ShiftLayer, sources: list[p.Value]) -> p.Shape:
    name, weights, out = node.output.name, node.weights, node.weights.signs.shape[:1]
    per_channel = {node.bias.shape, node.multiplier.shape, weights.furthest.shape}
    _require(per_channel == {out}, f"{name} has no bias, multiplier and shift for each channel")
    _require(
        bool((node.multiplier > 0).all() and np.isfinite(node.multiplier).all()), f"{name} scales wrongly"
    )
    _require(
        bool((weights.shifts >= 0).all() and (weights.distances >= 0).all())
        and weights.span <= _LARGEST_SPAN,
        f"{name} has shifts out of range",
    )
    low, high = _bounds(node, sources[0])
    _require(node.smallest <= low and high <= node.largest, f"{name}: sums reach {low} … {high}")
    reach = 1 << (node.accumulator_bits - 1)
    _require(node.accumulator_bits in (32, 64) and -reach <= node.smallest, f"{name} overflows")
    _require(node.largest < reach, f"{name} overflows")
    return _weighted(name, weights.signs.shape, node.geometry, sources[0].shape)


def _bounds(node: p.ShiftLayer, source: p.Value) -> tuple[int, int]:
    magnitudes = np.abs(node.weights.integers.reshape(len(node.bias), -1).astype(np.float64))
    _require(bool(magnitudes.sum(1).max() < 2.0**62), f"{node.output.name} overflows")
    low, high = partial_sums(node.weights.integers, source.fixed, node.bias)
    return int(low.min()), int(high.max())


def _weighted(name: str, weight: p.Shape, window: p.Geometry | None, source: p.Shape) -> p.Shape:
    if window is None:
        _require(weight[1:] == source, f"{name}: weights {weight} do not fit the input {source}")
        return weight[:1]
    _check_window(name, window, source)
    groups = window.groups
    fits = groups > 0 and len(weight) == 4 and weight[0] % groups == 0 and weight[1] * groups == source[0]
    _require(fits and weight[2:] == window.kernel, f"{name}: weights {weight} do not fit the input {source}")
    return (weight[0], *positions(window, source))


def _check_window(name: str, window: p.Geometry, source: p.Shape) -> None:
    _require(len(source) == 3, f"{name} reads no image")
    _require(min(*window.kernel, *window.stride, *window.dilation) > 0, f"{name} has an empty window")
    _require(min(window.padding) >= 0, f"{name} has a negative padding")
    top, left, bottom, right = window.padding
    padded = source[0] * (source[1] + top + bottom) * (source[2] + left + right)
    _require(padded <= _LARGEST_VALUE, f"{name} is too large")
