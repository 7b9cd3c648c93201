"""The oracle: the integer program executed literally, with shifts and additions, one weight level at a time.

Slow (0.1 s an image for ResNet20, 3 s for GoogLeNet) and obvious. A convolution gathers the
pixels each output reads (im2col), then each output channel adds those whose weight is positive, subtracts
those whose weight is negative, level by level of the shift, and shifts each level's sum once:

    Σ ± (q << s)  =  Σ_s ( Σ_{positive} q − Σ_{negative} q ) << s

All in int64, where nothing can overflow that the program's own bounds allow.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from jouleshift.deploy import nodes as p
from jouleshift.errors import BadInput
from jouleshift.quant.fixed_point import FixedPoint

Array = NDArray[Any]
"""int64 or float32."""
Values = Mapping[str, Array]


def run(program: p.Steps, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (N, classes) as float32. Raises `BadInput` for images that are not the program's."""
    if not len(images) or np.shape(images)[1:] != program.input.shape:
        wanted = "×".join(map(str, ("N", *program.input.shape)))
        raise BadInput(f"images have shape {np.shape(images)}: expected {wanted}, one or more")
    *_, last = execute(program, images)
    value = program.output
    return last[1].astype(np.float32) if value.format is None else dequantised(last[1], value.format)


def execute(program: p.Steps, images: NDArray[np.float32]) -> Iterator[tuple[str, Array]]:
    """Every value of the program by name as it is made: int64 or float32, the batch first."""
    values: dict[str, Array] = {program.input.name: np.ascontiguousarray(images, dtype=np.float32)}
    last_use = program.last_use
    for index, node in enumerate(program.nodes):
        made = evaluate(node, values, program)
        values[node.output.name] = made
        yield node.output.name, made
        for name in {*node.sources} - {program.output_name}:
            if last_use[name] == index:
                del values[name]


def dequantised(integers: Array, fmt: FixedPoint) -> NDArray[np.float32]:
    """q · 2^−f as float32 (rounded where q has more than 24 significant bits)."""
    return np.ldexp(integers.astype(np.float32), -fmt.fraction_bits)


def _saturated(rounded: NDArray[np.floating], fmt: FixedPoint) -> NDArray[np.int64]:
    lowest, highest = p.limits(fmt)
    wide = rounded.astype(np.float64)  # holds the limits of every format exactly
    return np.clip(wide, lowest, highest).astype(np.int64)


def _clamped(values: Array, node: p.Clamped) -> Array:
    free = node.lowest is None and node.highest is None
    return values if free else np.clip(values, node.lowest, node.highest)


@singledispatch
def evaluate(node: p.Node, values: Values, program: p.Steps) -> Array:
    """The value that a node makes."""
    raise TypeError(f"no rule for {type(node).__name__}")


@evaluate.register
def _(node: p.Quantise, values: Values, program: p.Steps) -> Array:
    fmt = node.output.fixed
    return _saturated(np.rint(np.ldexp(values[node.source], fmt.fraction_bits)), fmt)


@evaluate.register
def _(node: p.Requantise, values: Values, program: p.Steps) -> Array:
    fmt = node.output.fixed
    finer = fmt.fraction_bits - program.values[node.source].fixed.fraction_bits
    lowest, highest = p.limits(fmt)
    return np.clip(_shifted(values[node.source], finer), lowest, highest)


def _shifted(integers: Array, left: int) -> NDArray[np.int64]:
    """q · 2^left, rounded half to even, in integer arithmetic."""
    integers = integers.astype(np.int64)
    if left >= 0:
        return integers << left
    right = -left
    half = (1 << (right - 1)) - 1
    odd = (integers >> right) & 1
    return (integers + half + odd) >> right


@evaluate.register
def _(node: p.ShiftLayer, values: Values, program: p.Steps) -> Array:
    columns, shape = _columns(values[node.source], node.geometry)
    sums = _shift_and_add(columns, node.weights) + node.bias[:, None]
    if sums.size:
        assert node.smallest <= sums.min() and sums.max() <= node.largest, f"{node.layer}: bounds are wrong"
    scaled = sums.astype(np.float32) * node.multiplier[:, None]
    scaled = scaled.reshape(len(columns), *node.output.shape) if shape else scaled[..., 0]
    if node.output.format is None:
        return _clamped(scaled, node)
    return _clamped(_saturated(np.rint(scaled), node.output.format), node)


def _shift_and_add(columns: NDArray[np.int64], weights: p.ShiftWeights) -> NDArray[np.int64]:
    """Sums (N, out, pixels) of columns (N, groups, fan_in, pixels)."""
    n, groups, fan_in, pixels = columns.shape
    out = weights.signs.shape[0]
    signs = weights.signs.reshape(out, fan_in)
    shifts = weights.shifts.reshape(out, fan_in)
    sums = np.zeros((n, out, pixels), np.int64)
    for channel in range(out):
        inputs = columns[:, channel // (out // groups)]
        for shift in np.unique(shifts[channel]):
            level = shifts[channel] == shift
            positive, negative = level & (signs[channel] > 0), level & (signs[channel] < 0)
            sums[:, channel] += (inputs[:, positive].sum(1) - inputs[:, negative].sum(1)) << int(shift)
    return sums


def _columns(values: Array, geometry: p.Geometry | None) -> tuple[Array, bool]:
    """(N, groups, fan_in, pixels): what each output pixel reads, and whether pixels are an image."""
    if geometry is None:
        return values[:, None, :, None], False
    windows = _windows(values, geometry, 0)
    n, channels, height, width, kh, kw = windows.shape
    by_pixel = windows.transpose(0, 1, 4, 5, 2, 3)
    fan_in = channels // geometry.groups * kh * kw
    return by_pixel.reshape(n, geometry.groups, fan_in, height * width), True


def _windows(values: Array, geometry: p.Geometry, fill: int | float) -> Array:
    """Views (N, C, out_h, out_w, kh, kw) of each window."""
    top, left, bottom, right = geometry.padding
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    (kh, kw), (dh, dw), (sh, sw) = geometry.kernel, geometry.dilation, geometry.stride
    windows = sliding_window_view(padded, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), (2, 3))
    return windows[:, :, ::sh, ::sw, ::dh, ::dw]


@evaluate.register
def _(node: p.FloatLayer, values: Values, program: p.Steps) -> Array:
    columns, _ = _columns(values[node.source], node.geometry)
    n, groups, fan_in, pixels = columns.shape
    out = len(node.bias)
    weight = node.weight.reshape(groups, out // groups, fan_in)
    sums = np.einsum("gof,ngfp->ngop", weight.astype(np.float64), columns.astype(np.float64))
    result = (sums.reshape(n, out, pixels) + node.bias[:, None]).astype(np.float32)
    return _clamped(result.reshape(n, *node.output.shape), node)


@evaluate.register
def _(node: p.Add, values: Values, program: p.Steps) -> Array:
    left, right = (values[name] for name in node.sources)
    if node.output.format is None:
        return _clamped(left + right, node)
    fractions = [program.values[name].fixed.fraction_bits for name in node.sources]
    finest = max(fractions)
    exact = (left << (finest - fractions[0])) + (right << (finest - fractions[1]))
    return _clamped(_shifted(exact, node.output.format.fraction_bits - finest), node)


@evaluate.register
def _(node: p.Clamp, values: Values, program: p.Steps) -> Array:
    return _clamped(values[node.source], node)


@evaluate.register
def _(node: p.Concat, values: Values, program: p.Steps) -> Array:
    return np.concatenate([values[name] for name in node.sources], axis=1)


@evaluate.register
def _(node: p.MaxPool, values: Values, program: p.Steps) -> Array:
    least = -np.inf if node.output.format is None else p.limits(node.output.format)[0]
    return _windows(values[node.source], node.geometry, least).max((-2, -1))


@evaluate.register
def _(node: p.AveragePool, values: Values, program: p.Steps) -> Array:
    sums = _windows(values[node.source], node.geometry, 0).sum((-2, -1))
    if node.output.format is None:
        return sums.astype(np.float32) * np.float32(node.multiplier)
    return _saturated(np.rint(sums.astype(np.float32) * np.float32(node.multiplier)), node.output.format)


@evaluate.register
def _(node: p.Subsample, values: Values, program: p.Steps) -> Array:
    return values[node.source][:, :, :: node.step[0], :: node.step[1]]


@evaluate.register
def _(node: p.Pad, values: Values, program: p.Steps) -> Array:
    return np.pad(values[node.source], ((0, 0), *node.amounts))


@evaluate.register
def _(node: p.Flatten, values: Values, program: p.Steps) -> Array:
    return values[node.source].reshape(len(values[node.source]), -1)


Executor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""What every executor is in the end: images (N, C, H, W) to logits (N, classes), both float32."""
