"""A trained network becomes an integer program.

    program = lower(model, images)          # images: a batch of real ones, (N, C, H, W)
    program.run(images)                     # logits by the oracle

Four steps: `graph.read` lists the operations, `fold.fold` merges norms and clamps into layers,
`formats.assign` decides what is an integer of which format, and this module works out the numbers.

For output channel c of a shift layer, with weights ±2^(t_c − d) (t_c the top of the channel's grid, d a
weight's distance below it, D_c the largest distance in the channel), inputs q · 2^−f, and everything that
follows the sum in one factor s_c and offset o_c,

    y_c = s_c · Σ ± 2^(t_c − d) q 2^−f + o_c  =  s_c · u_c · Σ ± (q << (D_c − d)) + o_c,   u_c = 2^(t_c − D_c − f)

so the multiplier is |s_c| · u_c · 2^(f_out), the bias o_c · 2^(f_out) / multiplier, rounded, and signs flip
where s_c < 0. The bias is the one thing that is rounded here; it is off by at most half a unit of the sum.

No sum overflows: the largest and smallest partial sum, over all orders and all images, follow from the
weights and the input's limits, and choose accumulators of 32 or 64 bits.
"""

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from jouleshift.deploy import program as p
from jouleshift.deploy.fold import FloatArray, affine, channel_affine, fold
from jouleshift.deploy.formats import Formats, Losses, assign, input_format, squared_error
from jouleshift.deploy.graph import Step, observe, read, refusal, trace
from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftLayer
from jouleshift.quant.fixed_point import FixedPoint

CALIBRATION_IMAGES = 64
_FLOAT32_INTEGERS = 1 << 24
_LARGEST_BIAS = 1 << 30


def lower(model: nn.Module, example_input: Tensor) -> p.IntegerProgram:
    """The integer program of a network with shift layers, in evaluation.

    `example_input` (N, C, H, W) are images as the network is trained on; the first 64 decide the formats of
    operands of residual sums. Raises `BadInput` with the layer, the reason and the remedy where something
    cannot be done exactly.
    """
    model = copy.deepcopy(model).eval().cpu()
    images = example_input[:CALIBRATION_IMAGES].detach().cpu()
    _refuse_unfit(model)
    graph = trace(model)
    steps, output = fold(*read(graph, images))
    with torch.no_grad():
        formats = assign(steps, lambda step: _losses(graph, images, step))
    return _Builder(steps, output, formats).program()


def _losses(graph: Any, images: Tensor, step: Step) -> Losses:
    seen: dict[str, Tensor] = {}
    observe(graph, images, lambda name, value: seen.update({name: value} if name == step.ends_at else {}))
    return squared_error(seen[step.ends_at])


def _refuse_unfit(model: nn.Module) -> None:
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, ShiftLayer)]
    if not layers:
        raise BadInput("the network has no shift layers to deploy; convert it first")
    for name, layer in layers:
        if layer.shift_config.mode == "reference":
            raise refusal(name, "DeepShift's numerics (mode 'reference') are floats", "train with mode 'default'")


class _Builder:
    """Makes the nodes, step by step."""

    def __init__(self, steps: list[Step], output: str, formats: Formats) -> None:
        self._steps = steps
        self._output = output
        self._formats = formats
        self._values: dict[str, p.Value] = {}
        self._nodes: list[p.Node] = []

    def program(self) -> p.IntegerProgram:
        first, *rest = self._steps
        image = self._values[first.name] = p.Value(first.name, first.shape, None)
        for step in rest:
            self._add(self._node(step))
        return p.IntegerProgram(image, tuple(self._nodes), self._output, self._formats.notes)

    def _add(self, node: p.Node) -> None:
        self._values[node.output.name] = node.output
        self._nodes.append(node)

    def _node(self, step: Step) -> p.Node:
        fmt = self._formats.by_name.get(step.name)
        if step.kind == "shift":
            return self._shift_layer(step, fmt)
        output = p.Value(step.name, step.shape, fmt)
        if step.kind == "float":
            return _float_layer(step, output)
        if step.kind == "norm":
            return self._norm(step, output)
        free = step.kind in ("add", "average")
        sources = step.sources if free else tuple(self._read(name, fmt) for name in step.sources)
        return self._passive(step, sources, output)

    def _read(self, name: str, wanted: FixedPoint | None) -> str:
        """The value in the format its reader wants, rounded once more (and once only) where it differs."""
        value = self._values[name]
        if value.format == wanted or wanted is None:
            return name
        sign = "s" if wanted.signed else "u"
        converted = f"{name}_{sign}{wanted.integer_bits}_{wanted.fraction_bits}"
        if converted not in self._values:
            kind = p.Quantise if value.format is None else p.Requantise
            self._add(kind((name,), p.Value(converted, value.shape, wanted)))
        return converted

    def _passive(self, step: Step, sources: tuple[str, ...], output: p.Value) -> p.Node:
        detail = cast(Any, step.detail)
        match step.kind:
            case "add":
                return p.Add(sources, output, *_clamp(step, output.format))
            case "clamp":
                return p.Clamp(sources, output, *_clamp(step, output.format))
            case "concat":
                return p.Concat(sources, output)
            case "max":
                return p.MaxPool(sources, output, detail)
            case "average":
                return p.AveragePool(sources, output, detail, self._mean_multiplier(sources[0], output, detail))
            case "subsample":
                return p.Subsample(sources, output, detail)
            case "pad":
                return p.Pad(sources, output, detail)
            case _:
                return p.Flatten(sources, output)

    def _mean_multiplier(self, source: str, output: p.Value, window: p.Geometry) -> float:
        finer = 0
        if output.format is not None:
            finer = output.format.fraction_bits - self._values[source].fixed.fraction_bits
        return float(np.float32(2.0**finer / (window.kernel[0] * window.kernel[1])))

    def _shift_layer(self, step: Step, fmt: FixedPoint | None) -> p.ShiftLayer:
        layer = cast(ShiftLayer, step.module)
        weights, top = _shift_weights(layer)
        factor, offset = channel_affine(step, len(weights.signs))
        unit = np.ldexp(1.0, top - weights.furthest - input_format(step).fraction_bits)
        source = self._read(step.sources[0], input_format(step))
        return self._scaled(step, source, weights, factor * unit, offset, fmt)

    def _norm(self, step: Step, output: p.Value) -> p.Node:
        """A batch norm that nothing absorbs: a depthwise 1×1 layer with weights ±1."""
        factor, offset = affine(cast(nn.Module, step.module))
        channels = len(factor)
        window = p.Geometry((1, 1), groups=channels) if len(step.shape) > 1 else None
        if window is None:
            raise refusal(step.layer, "a batch norm of a vector follows no layer", "put it behind a linear one")
        if output.format is None:
            weight = factor.reshape(-1, 1, 1, 1).astype(np.float32)
            clamp = _clamp(step, None)
            return p.FloatLayer(
                step.sources, output, *clamp, step.layer, weight, offset.astype(np.float32), window
            )
        source = self._values[step.sources[0]]
        one = np.ones((channels, 1, 1, 1), np.int8)
        zero = np.zeros_like(one)
        weights = p.ShiftWeights("PS", 2, one, zero, np.zeros(channels, np.int8))
        unit = np.ldexp(1.0, -source.fixed.fraction_bits)
        step = replace(step, detail=window)
        return self._scaled(step, source.name, weights, factor * unit, offset, output.format)

    def _scaled(
        self,
        step: Step,
        source: str,
        weights: p.ShiftWeights,
        scale: FloatArray,
        offset: FloatArray,
        fmt: FixedPoint | None,
    ) -> p.ShiftLayer:
        """The layer that computes scale · Σ integer weight · q + offset, per channel."""
        signs = np.where(scale < 0, -1, 1).astype(np.int8).reshape(-1, *(1,) * (weights.signs.ndim - 1))
        weights = replace(weights, signs=weights.signs * signs)
        low, high = _partial_sums(weights, self._values[source].fixed)
        if step.name == self._output:
            fmt = _logits_format(np.abs(scale), offset, np.maximum(-low, high))
        wanted = np.ldexp(1.0, fmt.fraction_bits if fmt else 0)
        multiplier, bias = _multiplier_and_bias(np.abs(scale) * wanted, offset * wanted)
        smallest = int((low + np.minimum(bias, 0)).min())
        largest = int((high + np.maximum(bias, 0)).max())
        return p.ShiftLayer(
            (source,), p.Value(step.name, step.shape, fmt), *_clamp(step, fmt), step.layer, weights, bias,
            multiplier, cast(Any, step.detail), _accumulator_bits(step, smallest, largest), smallest, largest,
        )  # fmt: skip


def _clamp(step: Step, fmt: FixedPoint | None) -> tuple[p.Number | None, p.Number | None]:
    """The step's clamp in units of its output, within the limits of its format."""
    if fmt is None:
        return step.lowest, step.highest
    lowest, highest = p.limits(fmt)
    scale = 2.0**fmt.fraction_bits
    if step.lowest is not None:
        lowest = max(lowest, round(step.lowest * scale))
    if step.highest is not None:
        highest = min(highest, round(step.highest * scale))
    return lowest, highest


def _shift_weights(layer: ShiftLayer) -> tuple[p.ShiftWeights, p.Int64Array]:
    """The layer's weights, and the exponent of each output channel's top."""
    try:
        signs, exponents = (tensor.numpy() for tensor in layer.integer_weight())
        top = layer.channel_offsets().numpy()
    except ValueError as error:
        raise BadInput(f"cannot deploy the network: {error}") from None
    distances = np.where(signs == 0, 0, top.astype(np.int64) - exponents)
    furthest = distances.reshape(len(signs), -1).max(1)
    config = layer.shift_config
    weights = p.ShiftWeights(
        config.kind, config.weight_bits, signs, distances.astype(np.int8), furthest.astype(np.int8)
    )
    return weights, top.reshape(-1).astype(np.int64)


def _partial_sums(weights: p.ShiftWeights, fmt: FixedPoint) -> tuple[p.Int64Array, p.Int64Array]:
    """The smallest and largest partial sum of each channel, whatever the image and the order."""
    lowest, highest = p.limits(fmt)
    integers = weights.integers.reshape(len(weights.signs), -1).astype(object)
    positive, negative = np.maximum(integers, 0).sum(1), np.minimum(integers, 0).sum(1)
    low, high = positive * lowest + negative * highest, positive * highest + negative * lowest
    if max(-low.min(), high.max()) >= 1 << 62:
        low = low.clip(-(1 << 62), None)
        high = high.clip(None, 1 << 62)
    return low.astype(np.int64), high.astype(np.int64)


def _accumulator_bits(step: Step, smallest: int, largest: int) -> int:
    reach = max(-smallest, largest + 1)
    if reach <= 1 << 31:
        return 32
    if reach < 1 << 62:
        return 64
    raise refusal(
        step.layer, "its sums may exceed 63 bits", "use fewer bits for activations or weights"
    )


def _multiplier_and_bias(scale: FloatArray, offset: FloatArray) -> tuple[p.Float32Array, p.Int64Array]:
    """float32 multiplier of the sum, and the bias in units of the sum.

    A channel whose batch norm has turned it off (γ ≈ 0) is its offset; the multiplier is then as small as the
    bias allows.
    """
    least = np.maximum(np.abs(offset) / _LARGEST_BIAS, 2.0**-60)
    multiplier = np.maximum(scale, least).astype(np.float32)
    return multiplier, np.rint(offset / multiplier.astype(np.float64)).astype(np.int64)


def _logits_format(scale: FloatArray, offset: FloatArray, bound: p.Int64Array) -> FixedPoint | None:
    """The format of logits that loses nothing: where every channel's unit is a power of two that fits; or
    None, float32."""
    mantissas, exponents = np.frexp(scale)
    fraction_bits = int(max(0, -(exponents - 1).min()))
    largest = np.ldexp(bound * scale + np.abs(offset), fraction_bits).max()
    exact = bool((mantissas == 0.5).all()) and largest < _FLOAT32_INTEGERS and fraction_bits < 32
    return FixedPoint(32 - fraction_bits, fraction_bits, True) if exact else None


def _float_layer(step: Step, output: p.Value) -> p.FloatLayer:
    weight = cast(Tensor, cast(nn.Module, step.module).weight).detach().numpy().astype(np.float64)
    factor, offset = channel_affine(step, len(weight))
    folded = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    clamp = _clamp(step, None)
    return p.FloatLayer(
        step.sources, output, *clamp, step.layer, folded.astype(np.float32), offset.astype(np.float32),
        cast(Any, step.detail),
    )  # fmt: skip
