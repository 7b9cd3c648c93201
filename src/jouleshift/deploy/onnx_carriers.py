"""Which tensors of an ONNX graph carry a value of the program, and how it gets there.

An integer is carried as a *byte*, a uint8 tensor, or as a *whole number* in float32, or in float64 where it
may exceed 2^24. Formats of up to 8 bits fit a byte. Where `as_bytes` is set they travel as bytes from
operation to operation; else they pass through one where they arise, which tells the runtime that they fit,
and travel as whole numbers. Signed bytes have zero point 128: x86 multiplies unsigned by signed bytes. It is
even, so that rounding half to even is the same with and without it.
"""

from collections.abc import Set

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.onnx_graph import Float, Graph, Name
from jouleshift.deploy.program import IntegerProgram
from jouleshift.quant.fixed_point import FixedPoint

IMAGES = "images"
Limits = tuple[p.Number | None, p.Number | None]


def zero_point(fmt: FixedPoint) -> int:
    """The byte that stands for 0."""
    return 128 if fmt.signed else 0


def fits_byte(value: p.Value) -> bool:
    return value.format is not None and p.container_bits(value.format) == 8


class Carriers:
    """Reads and makes the values of a program in a graph."""

    def __init__(self, graph: Graph, program: IntegerProgram, as_bytes: bool, wide: Set[str]) -> None:
        self._graph = graph
        self._input = program.input
        self._wide = wide
        self.as_bytes = as_bytes

    def is_byte(self, value: p.Value) -> bool:
        """Whether a value travels as bytes."""
        return self.as_bytes and fits_byte(value)

    def dtype(self, value: p.Value) -> Float:
        """The type of a value's whole numbers."""
        return np.float64 if value.name in self._wide else np.float32

    def name(self, value: p.Value) -> Name:
        """The tensor that operations which leave numbers as they are read and write."""
        if value == self._input:
            return IMAGES
        return f"{value.name}/{'byte' if self.is_byte(value) else 'number'}"

    def copied(self, value: p.Value, target: p.Value) -> Name:
        """The tensor from which an operation that leaves numbers as they are makes a target."""
        return self.name(value) if self.is_byte(value) else self.whole(value, self.dtype(target))

    def whole(self, value: p.Value, dtype: Float = np.float32) -> Name:
        """A value as whole numbers in that type or, where that is wider, its own; a float32 one as it is."""
        if self.is_byte(value):
            whole = self._dequantised(value, self.name(value), 1, f"{value.name}/whole")
        else:
            whole = self.name(value)
        if np.result_type(dtype, self.dtype(value)) == self.dtype(value):
            return whole
        return self._graph.cast(whole, dtype, f"{value.name}/wide")

    def scaled(self, value: p.Value) -> Name:
        """What bytes stand for: q · 2^−f in float32."""
        return self._dequantised(value, self.name(value), value.fixed.step, f"{value.name}/scaled")

    def keep(self, value: p.Value, whole: Name, limits: Limits, dtype: Float = np.float32) -> None:
        """Make a value of whole numbers (or floats) of that type that are still to be clamped."""
        if dtype == np.float32 and self.dtype(value) == np.float64:
            whole, dtype = self._graph.cast(whole, np.float64, f"{value.name}/widened"), np.float64
        clipped = self._graph.clip(whole, *_acting(value, limits), f"{value.name}/clipped", dtype)
        if dtype == np.float64 and self.dtype(value) == np.float32:
            clipped = self._graph.cast(clipped, np.float32, f"{value.name}/narrowed")
        if not fits_byte(value):
            self._graph.add("Identity", [clipped], self.name(value))
        elif self.as_bytes:
            self._quantised(value, clipped, 1, self.name(value))
        else:
            byte = self._quantised(value, clipped, 1, f"{value.name}/byte")
            self._dequantised(value, byte, 1, self.name(value))

    def keep_scaled(self, value: p.Value, source: Name, limits: Limits) -> None:
        """Make a value of bytes of what they stand for; runtimes fuse this with the operation before."""
        if _acting(value, limits) == (None, None):
            self._quantised(value, source, value.fixed.step, self.name(value))
        else:
            byte = self._quantised(value, source, value.fixed.step, f"{value.name}/unclamped")
            self.clip_byte(value, byte, limits)

    def keep_quantised(self, value: p.Value, total: Name, scales: p.Float32Array) -> None:
        """Make an unsigned value of bytes to pass through by a quantiser with a scale for each channel."""
        scale = self._graph.constant(f"{value.name}/scale", scales)
        zero = self._graph.constant(f"{value.name}/zero", np.zeros(len(scales), np.uint8))
        byte = self._graph.add("QuantizeLinear", [total, scale, zero], f"{value.name}/byte", axis=1)
        self._dequantised(value, byte, 1, self.name(value))

    def clip_byte(self, value: p.Value, byte: Name, limits: Limits) -> None:
        """Make a value of bytes that are still to be clamped."""
        zero = zero_point(value.fixed)
        bounds = ["" if limit is None else self._graph.scalar(limit + zero, np.uint8) for limit in limits]
        self._graph.add("Clip", [byte, *bounds], self.name(value))

    def _quantised(self, value: p.Value, source: Name, step: float, output: Name) -> Name:
        return self._graph.add("QuantizeLinear", [source, *self._code(value, step)], output)

    def _dequantised(self, value: p.Value, source: Name, step: float, output: Name) -> Name:
        return self._graph.add("DequantizeLinear", [source, *self._code(value, step)], output)

    def _code(self, value: p.Value, step: float) -> list[Name]:
        if not self.as_bytes and value.fixed.signed:
            return [self._graph.scalar(step), self._graph.scalar(0, np.int8)]
        return [self._graph.scalar(step), self._graph.scalar(zero_point(value.fixed), np.uint8)]


def _acting(value: p.Value, limits: Limits) -> Limits:
    """The limits without those at which a byte saturates by itself."""
    if not fits_byte(value):
        return limits
    first, last = (byte - zero_point(value.fixed) for byte in (0, 255))
    lowest, highest = limits
    return (None if lowest == first else lowest), (None if highest == last else highest)
