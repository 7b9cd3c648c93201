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
numbers. Where an unsigned byte has no limits of its own, its QuantizeLinear multiplies, too (`quantiser`).
Elsewhere a Clip at the bounds of the sum, which never acts, keeps the multiplication behind it, and Round
before QuantizeLinear keeps it out of the quantiser's own arithmetic. All of it still becomes one int8
convolution.

Whole numbers also carry what bytes cannot, on either runtime, as far as float32 is exact (`deploy.exact`).
ONNX Runtime goes on beyond that, slowly: values travel in float64 and sums are put together (`onnx_wide`).
OpenVINO cannot: it has no wider numbers, and puts float32 and int32 in their place.
"""

from functools import singledispatchmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

import jouleshift
from jouleshift.deploy import nodes as p
from jouleshift.deploy.exact import LARGEST_WHOLE, LARGEST_WIDE, reaches
from jouleshift.deploy.onnx_carriers import IMAGES, Carriers, Limits, fits_byte, zero_point
from jouleshift.deploy.onnx_graph import Float, Graph, Name
from jouleshift.deploy.onnx_sums import Sums, exceed, per_channel, window
from jouleshift.deploy.onnx_weights import Weights
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.quantiser import scale_for
from jouleshift.deploy.storage import describe
from jouleshift.errors import BadInput

Runtime = Literal["onnxruntime", "openvino"]
LOGITS, PROGRAM = "logits", "program"


def to_onnx(program: IntegerProgram, runtime: Runtime = "onnxruntime") -> onnx.ModelProto:
    """A checked model: `images` (N, C, H, W) float32 to `logits` (N, classes) float32, for any N.

    Raises `BadInput` with layer, reason and remedy where the runtime could not be exact.
    """
    return _Writer(program, runtime).model()


def write_onnx(program: IntegerProgram, path: Path, runtime: Runtime = "onnxruntime") -> None:
    """`to_onnx` into a file."""
    content = to_onnx(program, runtime).SerializeToString()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None


class _Writer:
    """Writes one program, node by node, for ONNX Runtime, which wants bytes and can be wide, or OpenVINO,
    which wants whole numbers and cannot."""

    def __init__(self, program: IntegerProgram, runtime: Runtime) -> None:
        can_be_wide = runtime == "onnxruntime"
        self._program = program
        self._reaches = reaches(program)
        self._refuse_inexact(LARGEST_WIDE if can_be_wide else LARGEST_WHOLE)
        wide = {name for name, reach in self._reaches.items() if reach.value > LARGEST_WHOLE}
        self._graph = Graph()
        self._carriers = Carriers(self._graph, program, runtime == "onnxruntime", wide)
        self._sums = Sums(self._graph, self._carriers, can_be_wide)

    def _refuse_inexact(self, most: int) -> None:
        """`BadInput` for the first node that may make or need a larger whole number."""
        for node in self._program.nodes:
            if self._reaches[node.output.name].most > most:
                fmt = node.output.fixed
                bits = fmt.integer_bits + fmt.fraction_bits
                raise BadInput(f"{node.output.name}: integers of {bits} bits {exceed(most)}")

    def model(self) -> onnx.ModelProto:
        program, graph = self._program, self._graph
        for node in program.nodes:
            self._write(node)
        step = 1.0 if program.output.format is None else program.output.format.step
        whole = self._carriers.whole(program.output)
        if self._carriers.dtype(program.output) == np.float64:
            whole = graph.cast(whole, np.float32, f"{program.output_name}/narrow")
        graph.add("Mul", [whole, graph.scalar(step)], LOGITS)
        metadata = {"jouleshift": jouleshift.__version__, PROGRAM: describe(program)}
        return graph.model((IMAGES, program.input.shape), (LOGITS, program.output.shape), metadata)

    def _values(self, node: p.Node) -> list[p.Value]:
        return [self._program.values[name] for name in node.sources]

    def _multiplied(
        self, value: p.Value, source: Name, factor: Name, limits: Limits, dtype: Float = np.float32
    ) -> None:
        """Make a value of source · factor, of that type, rounded if it is an integer, and clamped."""
        result = self._graph.add("Mul", [source, factor], f"{value.name}/multiplied")
        if value.format is not None:
            result = self._graph.add("Round", [result], f"{value.name}/rounded")
        self._carriers.keep(value, result, limits, dtype)

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
        fmt, dtype = node.output.fixed, self._carriers.dtype(source)
        factor = self._graph.scalar(source.fixed.step / fmt.step, dtype)
        self._multiplied(node.output, self._carriers.whole(source), factor, p.limits(fmt), dtype)

    @_write.register
    def _(self, node: p.Clamp) -> None:
        (source,) = self._values(node)
        limits = node.lowest, node.highest
        if self._carriers.is_byte(node.output):
            self._carriers.clip_byte(node.output, self._carriers.name(source), limits)
        else:
            dtype = self._carriers.dtype(source)
            self._carriers.keep(node.output, self._carriers.whole(source), limits, dtype)

    @_write.register
    def _(self, node: p.Add) -> None:
        sources, value, limits = self._values(node), node.output, (node.lowest, node.highest)
        total = f"{value.name}/sum"
        if all(self._carriers.is_byte(each) for each in (*sources, value)):
            self._graph.add("Add", [self._carriers.scaled(each) for each in sources], total)
            self._carriers.keep_scaled(value, total, limits)
            return
        dtype = self._dtype_within(node)
        self._graph.add("Add", [self._aligned(each, value, dtype) for each in sources], total)
        if value.format is not None:
            total = self._graph.add("Round", [total], f"{value.name}/rounded")
        self._carriers.keep(value, total, limits, dtype)

    def _dtype_within(self, node: p.Node) -> Float:
        """What holds the sums in a node, and what it makes of them."""
        return np.float64 if self._reaches[node.output.name].most > LARGEST_WHOLE else np.float32

    def _aligned(self, value: p.Value, unit: p.Value, dtype: Float) -> Name:
        """A value in units of another; exact, since both are powers of two."""
        whole = self._carriers.whole(value, dtype)
        if unit.format is None or value.fixed.step == unit.fixed.step:
            return whole
        factor = self._graph.scalar(value.fixed.step / unit.fixed.step, dtype)
        return self._graph.add("Mul", [whole, factor], f"{unit.name}/from/{value.name}")

    @_write.register
    def _(self, node: p.Concat) -> None:
        self._pass_on("Concat", node, axis=1)

    @_write.register
    def _(self, node: p.MaxPool) -> None:
        attributes = window(node.geometry)
        del attributes["group"]
        self._pass_on("MaxPool", node, **attributes)

    @_write.register
    def _(self, node: p.Subsample) -> None:
        starts, ends, axes = (0, 0), (2**31 - 1, 2**31 - 1), (2, 3)
        self._pass_on(
            "Slice", node, *(self._graph.integers(*each) for each in (starts, ends, axes, node.step))
        )

    @_write.register
    def _(self, node: p.Pad) -> None:
        before, after = zip(*node.amounts, strict=True)
        if self._carriers.is_byte(node.output):
            zero = self._graph.scalar(zero_point(node.output.fixed), np.uint8)
        else:
            zero = self._graph.scalar(0, self._carriers.dtype(node.output))
        self._pass_on("Pad", node, self._graph.integers(0, *before, 0, *after), zero)

    @_write.register
    def _(self, node: p.Flatten) -> None:
        self._pass_on("Flatten", node, axis=1)

    def _pass_on(self, operation: str, node: p.Node, *constants: Name, **attributes: Any) -> None:
        """An operation that copies numbers."""
        sources = [self._carriers.copied(value, node.output) for value in self._values(node)]
        self._graph.add(operation, [*sources, *constants], self._carriers.name(node.output), **attributes)

    @_write.register
    def _(self, node: p.AveragePool) -> None:
        (source,) = self._values(node)
        limits = (None, None) if node.output.format is None else p.limits(node.output.format)
        total = self._sums.of_windows(node, source, self._reaches[node.output.name].within)
        self._multiplied(node.output, total, self._graph.scalar(node.multiplier), limits)

    @_write.register
    def _(self, node: p.FloatLayer) -> None:
        (source,) = self._values(node)
        name = node.output.name
        weight = self._graph.constant(f"{name}/weight", node.weight)
        bias = self._graph.constant(f"{name}/bias", node.bias)
        inputs = [self._carriers.name(source), weight, bias]
        result = self._sums.weighted(inputs, node.geometry, f"{name}/sum")
        self._carriers.keep(node.output, result, (node.lowest, node.highest))

    @_write.register
    def _(self, node: p.ShiftLayer) -> None:
        (source,) = self._values(node)
        both_bytes = self._carriers.is_byte(source) and self._carriers.is_byte(node.output)
        if both_bytes and node.fits_int8:
            self._fused_layer(node, source)
        elif not self._quantised_layer(node, source):
            self._whole_layer(node, source)

    def _fused_layer(self, node: p.ShiftLayer, source: p.Value) -> None:
        """QDQ form, for runtimes that add the bias to the integer sum."""
        name, graph = node.output.name, self._graph
        exponent = node.output.fixed.fraction_bits - source.fixed.fraction_bits
        scales = np.ldexp(node.multiplier, -exponent).astype(np.float32)
        weights = Weights(graph)
        weight = weights.in_bytes(weights.whole(name, node.weights))
        weight = graph.channelwise(weight, scales)
        scales = np.ldexp(node.multiplier, -node.output.fixed.fraction_bits).astype(np.float32)
        bias = graph.constant(f"{name}/bias", node.bias.astype(np.int32))
        bias = graph.channelwise(bias, scales)
        inputs = [self._carriers.scaled(source), weight, bias]
        result = self._sums.weighted(inputs, node.geometry, f"{name}/sum")
        self._carriers.keep_scaled(node.output, result, (node.lowest, node.highest))

    def _quantised_layer(self, node: p.ShiftLayer, source: p.Value) -> bool:
        """The sum as a whole number, then a quantiser for all that follows. Nothing, False, where values
        travel as bytes, limits or multipliers are not a quantiser's, or the sum is not of bytes."""
        saturates = (node.lowest, node.highest) == (0, 255) and fits_byte(node.output)
        scales = scale_for(node.multiplier)
        if self._carriers.as_bytes or not saturates or np.isnan(scales).any():
            return False
        total = self._sums.of_bytes(node, source)
        if total is not None:
            self._carriers.keep_quantised(node.output, total, scales)
        return total is not None

    def _whole_layer(self, node: p.ShiftLayer, source: p.Value) -> None:
        """The sum as a whole number, then one multiplication and one rounding."""
        multiplier = per_channel(node.multiplier, node.geometry)
        factor = self._graph.constant(f"{node.output.name}/multiplier", multiplier)
        total = self._sums.of_layer(node, source)
        self._multiplied(node.output, total, factor, (node.lowest, node.highest))
