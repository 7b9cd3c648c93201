"""Sums of any width the program allows, from convolutions that only know float32.

ONNX Runtime convolves and multiplies matrices in float32, whose whole numbers end at 2^24; sums of 32-bit
activations go far beyond. But a sum is linear in either factor. So activations are cut into digits and
weights, which are powers of two, into groups of neighbouring shifts,

    q = Σ_i 2^(b·i) q_i          0 ≤ q_i < 2^b, the topmost with the sign
    w = Σ_j 2^(e_j) w_j          w_j one of 0, ±1 … ±2^(e_(j+1) − e_j − 1)

    Σ w q = Σ_i Σ_j 2^(b·i + e_j) · Σ w_j q_i

with b and e_j such that every inner sum stays within 2^24: an ordinary convolution, exact in float32, that
may pad, stride, dilate and group as it likes. The outer sums are integers of 64 bits, which the program's
bounds keep from overflowing; one conversion to float32 then rounds once, as the program says. The price is
as many convolutions as digits times groups, and b is chosen so that they are fewest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jouleshift.deploy import nodes as p
from jouleshift.deploy.exact import LARGEST_WHOLE
from jouleshift.deploy.onnx_graph import Float, Graph, Name
from jouleshift.quant.fixed_point import FixedPoint

_WIDEST_DIGIT = 24
Summed = Callable[[Name, int, int | None, Name], Name]
"""Writes the sum of one digit and one group of weights: the digit's tensor, the group, the result's name."""


@dataclass(frozen=True)
class Cut:
    """Activations in `digits` digits of `bits` bits; weights in groups, each from one of `starts` (shifts) to
    the next."""

    bits: int
    digits: int
    starts: tuple[int, ...]

    @property
    def convolutions(self) -> int:
        return self.digits * len(self.starts)

    @property
    def groups(self) -> list[tuple[int, int | None]]:
        """From which shift on a group is, and up to which it is not."""
        return list(zip(self.starts, [*self.starts[1:], None], strict=True))


def cut(integers: p.Int64Array, fmt: FixedPoint) -> Cut:
    """What takes the fewest convolutions, for weights ±2^s or 0 (out, …) and inputs of a format."""
    by_channel = np.abs(integers.reshape(len(integers), -1))
    levels = max(int(by_channel.max()).bit_length(), 1)
    counts = np.stack([(by_channel == 1 << shift).sum(1) for shift in range(levels)]).astype(np.float64)
    width = max(abs(limit) for limit in p.limits(fmt)).bit_length()
    tried = (_with_digits(bits, width, counts) for bits in range(1, min(width, _WIDEST_DIGIT) + 1))
    return min((found for found in tried if found is not None), key=lambda found: found.convolutions)


def _with_digits(bits: int, width: int, counts: NDArray[np.float64]) -> Cut | None:
    """The cut with digits of so many bits; None where a sum of weights ±1 is too large for them already."""
    most = LARGEST_WHOLE >> bits
    if counts.max() > most:
        return None
    starts, summed = [0], counts[0]
    for shift in range(1, len(counts)):
        summed = summed + counts[shift] * 2.0 ** (shift - starts[-1])
        if summed.max() > most:
            starts.append(shift)
            summed = counts[shift]
    return Cut(bits, -(-width // bits), tuple(starts))


class WideSums:
    """Writes such sums into a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def add(
        self, name: Name, source: Name, dtype: Float, plan: Cut, bias: p.Int64Array, summed: Summed
    ) -> Name:
        """float32(bias + Σ weights · q), rounded once; `source` holds q as whole numbers of a type, `bias`
        has the dimensions of the result."""
        graph, digits = self._graph, self._digits(source, dtype, plan)
        total = graph.constant(f"{name}/bias", bias)
        for start, end in plan.groups:
            for index, digit in enumerate(digits):
                term = f"{part_name(name, start)}/digit {index}"
                products = graph.cast(summed(digit, start, end, term), np.int64, f"{term}/int64")
                unit = graph.scalar(1 << (start + plan.bits * index), np.int64)
                shifted = graph.add("Mul", [products, unit], f"{term}/shifted")
                total = graph.add("Add", [total, shifted], f"{term}/total")
        return graph.cast(total, np.float32, f"{name}/wide sum")

    def _digits(self, source: Name, dtype: Float, plan: Cut) -> list[Name]:
        """The digits of a value, the lowest first, in float32. Layers that read the same value share them."""
        graph, rest, digits = self._graph, source, []
        base, inverse = (graph.scalar(2.0**exponent, dtype) for exponent in (plan.bits, -plan.bits))
        for index in range(plan.digits - 1):
            name = f"{source}/{plan.bits} bits/{index}"
            scaled = graph.add("Mul", [rest, inverse], f"{name}/scaled")
            higher = graph.add("Floor", [scaled], f"{name}/higher")
            cleared = graph.add("Mul", [higher, base], f"{name}/cleared")
            digit = graph.add("Sub", [rest, cleared], f"{name}/digit")
            digits.append(graph.cast(digit, np.float32, f"{name}/float32"))
            rest = higher
        return [*digits, graph.cast(rest, np.float32, f"{source}/{plan.bits} bits/top")]


def part_name(layer: Name, exponent: int) -> Name:
    """What belongs to a share of a layer's sum is named after it."""
    return f"{layer}/part {exponent}"
