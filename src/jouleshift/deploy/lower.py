"""A trained network becomes an integer program.

    program = lower(model, images)          # images: a batch of real ones, (N, C, H, W)
    program.run(images)                     # logits by the oracle

Four steps: `graph.read` lists the operations, `fold.fold` merges norms and clamps into layers,
`formats.assign` decides what is an integer of which format, `numbers` works out weights, biases and
multipliers; this module puts them together.
"""

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn

from jouleshift.config import NumericMode
from jouleshift.deploy import nodes as p
from jouleshift.deploy.fold import FloatArray, affine, channel_affine, fold, refuse_unreal
from jouleshift.deploy.formats import Formats, assign, input_format, squared_error, stretches
from jouleshift.deploy.graph import Step, observe, read, trace
from jouleshift.deploy.images import example_images
from jouleshift.deploy.numbers import (
    accumulator_bits,
    logits_format,
    multiplier_and_bias,
    partial_sums,
    shift_weights,
)
from jouleshift.deploy.operations import RULES
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.refusals import refusal
from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftLayer
from jouleshift.quant.fixed_point import FixedPoint

CALIBRATION_IMAGES = 64
_SAMPLE = 1 << 16


def lower(model: nn.Module, example_input: Tensor) -> IntegerProgram:
    """The integer program of a network with shift layers, in evaluation.

    `example_input` (N, C, H, W) are images as the network is trained on; the first 64 decide the formats of
    operands of residual sums. Raises `BadInput` for images that the network cannot take, and with the layer,
    the reason and the remedy where something cannot be done exactly.
    """
    if not any(isinstance(module, ShiftLayer) for module in model.modules()):
        raise BadInput("the network has no shift layers to deploy; convert it first")
    return program_of(model, example_input)


def program_of(model: nn.Module, example_input: Tensor) -> IntegerProgram:
    """As `lower`, of a network without shift layers too: its program is float32 throughout, which runtimes
    compute alike but not bit for bit."""
    model = _as_deployed(model)
    images = example_images(example_input, CALIBRATION_IMAGES)
    _refuse_reference(model)
    graph, steps, output = _read(model, images)
    refuse_unreal(steps)
    with torch.no_grad():
        seen = _observed(graph, images, steps)
        formats = assign(steps, lambda step: squared_error(seen.get(step.name)))
    return _Builder(steps, output, formats).program()


def obstacle(model: nn.Module, image_shape: p.Shape, mode: NumericMode = "default") -> str:
    """Why a float network cannot be deployed, however it is converted and trained; "" where it can.

    Looks at the network's structure alone, by one image of zeros: milliseconds for small networks.
    """
    try:
        if mode == "reference":
            raise _floats("the network")
        _read(_as_deployed(model), torch.zeros(1, *image_shape))
    except BadInput as found:
        return str(found)
    return ""


def _as_deployed(model: nn.Module) -> nn.Module:
    """A copy in evaluation on the CPU, in float32 whatever it was trained in: so are images."""
    return copy.deepcopy(model).eval().cpu().float()


def _read(model: nn.Module, images: Tensor) -> tuple[fx.GraphModule, list[Step], str]:
    """The network's graph, its steps and the name of the last. Raises `BadInput` at the first one that no
    integer program knows."""
    graph = trace(model)
    steps, output = fold(*read(graph, images, RULES))
    for step in steps:
        if step.kind == "norm" and len(step.shape) == 1:
            raise refusal(
                step.layer, "a batch norm of a vector follows no layer", "put it behind a linear one"
            )
    return graph, steps, output


def _observed(graph: fx.GraphModule, images: Tensor, steps: list[Step]) -> dict[str, Tensor]:
    """A sample of each value on the images, by the name of the step; nothing where the images are blank."""
    if not bool((images != images.flatten()[0]).any()):
        return {}
    names = {step.ends_at: step.name for step in steps if step.ends_at}
    seen: dict[str, Tensor] = {}

    def see(name: str, value: Tensor) -> None:
        if name in names:
            every = max(1, value.numel() // _SAMPLE)
            seen[names[name]] = value.flatten()[::every].clone()

    observe(graph, images, see)
    return seen


def _refuse_reference(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, ShiftLayer) and layer.shift_config.mode == "reference":
            raise _floats(name)


def _floats(what: str) -> BadInput:
    return refusal(what, "DeepShift's numerics (mode 'reference') are floats", "train with mode 'default'")


class _Builder:
    """Makes the nodes, step by step."""

    def __init__(self, steps: list[Step], output: str, formats: Formats) -> None:
        self._steps = steps
        self._output = output
        self._formats = formats
        self._stretches = stretches(steps, output)
        self._values: dict[str, p.Value] = {}
        self._nodes: list[p.Node] = []

    def program(self) -> IntegerProgram:
        first, *rest = self._steps
        image = self._values[first.name] = p.Value(first.name, first.shape, None)
        for step in rest:
            self._add(self._node(step))
        return IntegerProgram(image, tuple(self._nodes), self._output, self._formats.notes)

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
                return p.AveragePool(
                    sources, output, detail, self._mean_multiplier(sources[0], output, detail)
                )
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
        weights, top = shift_weights(step.layer, layer)
        factor, offset = channel_affine(step, len(weights.signs))
        source = self._read(step.sources[0], input_format(step))
        stretch = self._stretches.get(step.sources[0], 1.0)
        unit = np.ldexp(1 / stretch, top - weights.furthest - input_format(step).fraction_bits)
        return self._scaled(step, source, weights, factor * unit, offset, fmt)

    def _norm(self, step: Step, output: p.Value) -> p.Node:
        """A batch norm that nothing absorbs: a depthwise 1×1 layer with weights ±1."""
        factor, offset = affine(cast(nn.Module, step.module))
        channels = len(factor)
        window = p.Geometry((1, 1), groups=channels)
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
        low, high = partial_sums(step.layer, weights, self._values[source].fixed)
        bound = np.maximum(-low, high).astype(float)
        if step.name == self._output:
            fmt = _holding_clamp(step, logits_format(np.abs(scale), offset, bound))
        wanted = self._scale(step, fmt)
        multiplier, bias = multiplier_and_bias(np.abs(scale) * wanted, offset * wanted, bound)
        smallest, largest = min(low + np.minimum(bias, 0)), max(high + np.maximum(bias, 0))
        output = p.Value(step.name, step.shape, fmt)
        return p.ShiftLayer(
            (source,), output, *_clamp(step, fmt, wanted), step.layer, weights, bias, multiplier,
            cast(Any, step.detail), accumulator_bits(step.layer, smallest, largest), smallest, largest,
        )  # fmt: skip

    def _scale(self, step: Step, fmt: FixedPoint | None) -> float:
        """What a layer's result is multiplied by to become integers of a format."""
        return 1.0 if fmt is None else 2.0**fmt.fraction_bits * self._stretches.get(step.name, 1.0)


def _holding_clamp(step: Step, fmt: FixedPoint | None) -> FixedPoint | None:
    """A format of logits, which nobody rounds, where the step's limits are whole numbers of it; else None."""
    limits = [limit for limit in (step.lowest, step.highest) if limit is not None]
    whole = fmt is None or all(float(np.ldexp(limit, fmt.fraction_bits)).is_integer() for limit in limits)
    return fmt if whole else None


def _clamp(
    step: Step, fmt: FixedPoint | None, scale: float | None = None
) -> tuple[p.Number | None, p.Number | None]:
    """The step's clamp in units of its output, within the limits of its format."""
    if fmt is None:
        return step.lowest, step.highest
    lowest, highest = p.limits(fmt)
    scale = scale or 2.0**fmt.fraction_bits
    if step.lowest is not None:
        lowest = max(lowest, round(step.lowest * scale))
    if step.highest is not None:
        highest = min(highest, round(step.highest * scale))
    return lowest, highest


def _float_layer(step: Step, output: p.Value) -> p.FloatLayer:
    weight = cast(Tensor, cast(nn.Module, step.module).weight).detach().numpy().astype(np.float64)
    factor, offset = channel_affine(step, len(weight))
    folded = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    clamp = _clamp(step, None)
    return p.FloatLayer(
        step.sources, output, *clamp, step.layer, folded.astype(np.float32), offset.astype(np.float32),
        cast(Any, step.detail),
    )  # fmt: skip
