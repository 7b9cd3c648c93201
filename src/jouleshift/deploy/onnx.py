"""The integer program as an ONNX model, in the form that each runtime computes exactly.

For ONNX Runtime, and as the file that is shipped, quantise-dequantise (QDQ) form. A shift layer whose input
and output are bytes and whose weights are ±1 … ±64 is

    DequantizeLinear(x, 2^−f), DequantizeLinear(w, s_c), DequantizeLinear(bias)  →  Conv  →  QuantizeLinear

which the runtime fuses into one integer convolution: an int32 sum with the bias in it, one float32
multiplication by 2^−f · s_c · 2^(f_out) = multiplier_c, rounded half to even, saturated. That is what the
program says. Weights of at most 64 keep pairs of u8 × s8 products within the 16 bits in which processors
without VNNI add them: 2 · 255 · 64 < 2^15.

OpenVINO fuses the same graph differently: it scales first and adds a float bias then, two roundings more, and
about one value in a million comes out one step off. It gets a form in which nothing is left to round but what
the program rounds. Bytes are dequantised with scale 1, to *whole numbers* in float32; sum and bias are whole
numbers; a Clip at the bounds of the sum, which never acts, keeps the multiplication behind it; Round before
QuantizeLinear keeps it out of the quantiser's own arithmetic. All of it still becomes one int8 convolution.

Whole numbers also carry what bytes cannot, on either runtime, as far as float32 is exact (`deploy.exact`).
"""

from functools import singledispatchmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

import jouleshift
from jouleshift.deploy import program as p
from jouleshift.deploy.exact import BYTE_SPAN, Part, parts, refuse_inexact
from jouleshift.deploy.onnx_carriers import IMAGES, Carriers, Limits, fits_byte, zero_point
from jouleshift.deploy.onnx_graph import Graph, Name
from jouleshift.deploy.storage import describe
from jouleshift.errors import BadInput

Runtime = Literal["onnxruntime", "openvino"]
LOGITS, PROGRAM = "logits", "program"


def to_onnx(program: p.IntegerProgram, runtime: Runtime = "onnxruntime") -> onnx.ModelProto:
    """A checked model: `images` (N, C, H, W) float32 to `logits` (N, classes) float32, for any N.

    Raises `BadInput` with layer, reason and remedy where the runtime could not be exact.
    """
    return _Writer(program, as_bytes=runtime == "onnxruntime").model()


def write_onnx(program: p.IntegerProgram, path: Path, runtime: Runtime = "onnxruntime") -> None:
    """`to_onnx` into a file."""
    content = to_onnx(program, runtime).SerializeToString()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None


class _Writer:
    """Writes one program, node by node, for a runtime that wants bytes or whole numbers."""

    def __init__(self, program: p.IntegerProgram, as_bytes: bool) -> None:
        refuse_inexact(program)
        self._program = program
        self._graph = Graph()
        self._carriers = Carriers(self._graph, program, as_bytes)

    def model(self) -> onnx.ModelProto:
        program, graph = self._program, self._graph
        for node in program.nodes:
            self._write(node)
        step = 1.0 if program.output.format is None else program.output.format.step
        graph.add("Mul", [self._carriers.whole(program.output), graph.scalar(step)], LOGITS)
        metadata = {"jouleshift": jouleshift.__version__, PROGRAM: describe(program)}
        return graph.model((IMAGES, program.input.shape), (LOGITS, program.output.shape), metadata)

    def _values(self, node: p.Node) -> list[p.Value]:
        return [self._program.values[name] for name in node.sources]

    def _multiplied(self, value: p.Value, source: Name, factor: Name, limits: Limits) -> None:
        """Make a value of source · factor, rounded if it is an integer, and clamped."""
        result = self._graph.add("Mul", [source, factor], f"{value.name}/multiplied")
        if value.format is not None:
            result = self._graph.add("Round", [result], f"{value.name}/rounded")
        self._carriers.keep(value, result, limits)

    @singledispatchmethod
    def _write(self, node: p.Node) -> None:
        raise TypeError(f"no ONNX form of {type(node).__name__}")

    @_write.register
    def _(self, node: p.Quantise) -> None:
        (source,) = self._values(node)
        fmt = node.output.fixed
        if self._carriers.is_byte(node.output):
            self._carriers.keep_scaled(node.output, self._carriers.name(source), p.limits(fmt))
        else:
            factor = self._graph.scalar(1 / fmt.step)
            self._multiplied(node.output, self._carriers.name(source), factor, p.limits(fmt))

    @_write.register
    def _(self, node: p.Requantise) -> None:
        (source,) = self._values(node)
        fmt = node.output.fixed
        factor = self._graph.scalar(source.fixed.step / fmt.step)
        self._multiplied(node.output, self._carriers.whole(source), factor, p.limits(fmt))

    @_write.register
    def _(self, node: p.Clamp) -> None:
        (source,) = self._values(node)
        limits = node.lowest, node.highest
        if self._carriers.is_byte(node.output):
            self._carriers.clip_byte(node.output, self._carriers.name(source), limits)
        else:
            self._carriers.keep(node.output, self._carriers.whole(source), limits)

    @_write.register
    def _(self, node: p.Add) -> None:
        sources, value, limits = self._values(node), node.output, (node.lowest, node.highest)
        total = f"{value.name}/sum"
        if all(self._carriers.is_byte(each) for each in (*sources, value)):
            self._graph.add("Add", [self._carriers.scaled(each) for each in sources], total)
            self._carriers.keep_scaled(value, total, limits)
            return
        self._graph.add("Add", [self._aligned(each, value) for each in sources], total)
        if value.format is not None:
            total = self._graph.add("Round", [total], f"{value.name}/rounded")
        self._carriers.keep(value, total, limits)

    def _aligned(self, value: p.Value, unit: p.Value) -> Name:
        """A value in units of another; exact, since both are powers of two."""
        whole = self._carriers.whole(value)
        if unit.format is None or value.fixed.step == unit.fixed.step:
            return whole
        factor = self._graph.scalar(value.fixed.step / unit.fixed.step)
        return self._graph.add("Mul", [whole, factor], f"{unit.name}/from/{value.name}")

    @_write.register
    def _(self, node: p.Concat) -> None:
        self._pass_on("Concat", node, axis=1)

    @_write.register
    def _(self, node: p.MaxPool) -> None:
        window = _window(node.geometry)
        del window["group"]
        self._pass_on("MaxPool", node, **window)

    @_write.register
    def _(self, node: p.Subsample) -> None:
        starts, ends, axes = (0, 0), (2**31 - 1, 2**31 - 1), (2, 3)
        self._pass_on(
            "Slice", node, *(self._graph.integers(*each) for each in (starts, ends, axes, node.step))
        )

    @_write.register
    def _(self, node: p.Pad) -> None:
        before, after = zip(*node.amounts, strict=True)
        is_byte = self._carriers.is_byte(node.output)
        zero = (
            self._graph.scalar(zero_point(node.output.fixed), np.uint8) if is_byte else self._graph.scalar(0)
        )
        self._pass_on("Pad", node, self._graph.integers(0, *before, 0, *after), zero)

    @_write.register
    def _(self, node: p.Flatten) -> None:
        self._pass_on("Flatten", node, axis=1)

    def _pass_on(self, operation: str, node: p.Node, *constants: Name, **attributes: Any) -> None:
        """An operation that copies numbers."""
        sources = [self._carriers.name(value) for value in self._values(node)]
        self._graph.add(operation, [*sources, *constants], self._carriers.name(node.output), **attributes)

    @_write.register
    def _(self, node: p.AveragePool) -> None:
        (source,) = self._values(node)
        whole, total = self._carriers.whole(source), f"{node.output.name}/sum"
        if node.geometry.kernel == source.shape[1:] and not any(node.geometry.padding):
            self._graph.add("ReduceSum", [whole, self._graph.integers(2, 3)], total)
        else:
            ones = np.ones((source.shape[0], 1, *node.geometry.kernel), np.float32)
            weight = self._graph.constant(f"{node.output.name}/ones", ones)
            window = _window(node.geometry) | {"group": source.shape[0]}
            self._graph.add("Conv", [whole, weight], total, **window)
        limits: Limits = (None, None)
        factor = self._graph.scalar(node.multiplier)
        if node.output.format is not None:
            most = max(map(abs, p.limits(source.fixed))) * int(np.prod(node.geometry.kernel))
            total = self._graph.clip(total, -most, most, f"{node.output.name}/bounded")
            limits = p.limits(node.output.format)
        self._multiplied(node.output, total, factor, limits)

    @_write.register
    def _(self, node: p.FloatLayer) -> None:
        (source,) = self._values(node)
        name = node.output.name
        weight = self._graph.constant(f"{name}/weight", node.weight)
        bias = self._graph.constant(f"{name}/bias", node.bias)
        inputs = [self._carriers.name(source), weight, bias]
        result = self._weighted(inputs, node.geometry, f"{name}/sum")
        self._carriers.keep(node.output, result, (node.lowest, node.highest))

    def _weighted(self, inputs: list[Name], geometry: p.Geometry | None, output: Name) -> Name:
        """A convolution or a linear layer of tensors (images, weights[, bias])."""
        if geometry is None:
            return self._graph.add("Gemm", inputs, output, transB=1)
        return self._graph.add("Conv", inputs, output, **_window(geometry))

    @_write.register
    def _(self, node: p.ShiftLayer) -> None:
        (source,) = self._values(node)
        both_bytes = self._carriers.is_byte(source) and self._carriers.is_byte(node.output)
        if both_bytes and node.fits_int8:
            self._fused_layer(node, source)
        else:
            self._whole_layer(node, source)

    def _fused_layer(self, node: p.ShiftLayer, source: p.Value) -> None:
        """QDQ form, for runtimes that add the bias to the integer sum."""
        name, graph = node.output.name, self._graph
        exponent = node.output.fixed.fraction_bits - source.fixed.fraction_bits
        scales = np.ldexp(node.multiplier, -exponent).astype(np.float32)
        weight = graph.channelwise(f"{name}/weight", node.weights.integers.astype(np.int8), scales)
        scales = np.ldexp(node.multiplier, -node.output.fixed.fraction_bits).astype(np.float32)
        bias = graph.channelwise(f"{name}/bias", node.bias.astype(np.int32), scales)
        inputs = [self._carriers.scaled(source), weight, bias]
        result = self._weighted(inputs, node.geometry, f"{name}/sum")
        self._carriers.keep_scaled(node.output, result, (node.lowest, node.highest))

    def _whole_layer(self, node: p.ShiftLayer, source: p.Value) -> None:
        """The sum as a whole number, then one multiplication and one rounding."""
        name, graph = node.output.name, self._graph
        split = parts(node, source.fixed, in_bytes=fits_byte(source) and not self._carriers.as_bytes)
        terms = [self._part(node, source, part, part_name(name, part.exponent)) for part in split]
        total = terms[0] if len(terms) == 1 else graph.add("Add", terms, f"{name}/total")
        lowest = max(node.smallest, 0) if node.lowest == 0 else node.smallest
        total = graph.clip(total, lowest, node.largest, f"{name}/bounded")
        factor = graph.constant(f"{name}/multiplier", _per_channel(node.multiplier, node.geometry))
        self._multiplied(node.output, total, factor, (node.lowest, node.highest))

    def _part(self, node: p.ShiftLayer, source: p.Value, part: Part, name: Name) -> Name:
        graph = self._graph
        if fits_byte(source) and np.abs(part.integers).max() <= 1 << BYTE_SPAN:
            weight = graph.constant(f"{name}/weight", part.integers.astype(np.int8))
            inputs = [weight, graph.scalar(1), graph.scalar(0, np.int8)]
            weight = graph.add("DequantizeLinear", inputs, f"{name}/weight/whole")
        else:
            weight = graph.constant(f"{name}/weight", part.integers.astype(np.float32))
        products = self._weighted([self._carriers.whole(source), weight], node.geometry, f"{name}/products")
        bias = graph.constant(f"{name}/bias", _per_channel(part.bias, node.geometry))
        total = graph.add("Add", [products, bias], name)
        if part.exponent == 0:
            return total
        return graph.add("Mul", [total, graph.scalar(2.0**part.exponent)], f"{name}/shifted")


def part_name(layer: Name, exponent: int) -> Name:
    """What belongs to a share of a layer's sum is named after it: NAME/weight, NAME/bias."""
    return f"{layer}/part {exponent}"


def _window(geometry: p.Geometry) -> dict[str, Any]:
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": geometry.padding,
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }


def _per_channel(values: NDArray[Any], geometry: p.Geometry | None) -> p.Float32Array:
    shape = (1, -1) if geometry is None else (1, -1, 1, 1)
    return values.astype(np.float32).reshape(shape)
