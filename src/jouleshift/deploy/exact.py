"""What floats compute exactly: whole numbers up to 2^24 in float32, up to 2^53 in float64.

Runtimes that have no wide integers carry the program's integers as whole numbers in float32. Sums that may
exceed 2^24 are split at a shift t, Σ = 2^t · Σ_high + Σ_low: if both halves are exact, the one float32
addition rounds exactly as float32(Σ) does. Where that does not hold either, `onnx_wide` takes over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jouleshift.deploy import nodes as p
from jouleshift.deploy.bounds import partial_sums
from jouleshift.deploy.program import IntegerProgram
from jouleshift.quant.fixed_point import FixedPoint

LARGEST_WHOLE = 1 << 24
LARGEST_WIDE = 1 << 53
BYTE_SPAN = 6
"""Weights up to 2^6 fit int8; 2^7 does not."""


@dataclass(frozen=True)
class Part:
    """2^exponent · (Σ integers · q + bias): a share of a shift layer's sum. Shapes as the layer's.

    The integers are the weights whose shifts lie in exponent … end − 1, less the exponent; 0 for the others.
    """

    integers: p.Int64Array
    bias: p.Int64Array
    exponent: int = 0
    end: int | None = None

    def reach(self, fmt: FixedPoint) -> NDArray[np.float64]:
        """The largest magnitude of a partial sum of each channel, whatever the image."""
        low, high = partial_sums(self.integers, fmt, self.bias)
        return np.maximum(high, -low).astype(np.float64)

    def fits(self, fmt: FixedPoint) -> bool:
        return bool(self.reach(fmt).max() <= LARGEST_WHOLE)


def parts(node: p.ShiftLayer, fmt: FixedPoint, in_bytes: bool = False) -> list[Part]:
    """The layer's sum in one part or two, each exact in float32; weights of at most ±64 if `in_bytes` and
    possible. None at all where two parts are not enough."""
    for exponent in _exponents(node.weights.span, in_bytes):
        split = _split(node, exponent)
        if all(part.fits(fmt) for part in split):
            return split
    return []


def _exponents(span: int, in_bytes: bool) -> list[int]:
    """Where to try to split, 0 for not at all."""
    anywhere = list(range(span + 1))
    if span <= BYTE_SPAN or not in_bytes:
        return anywhere
    into_bytes = range(span - BYTE_SPAN, BYTE_SPAN + 2)
    return sorted(anywhere, key=lambda exponent: exponent not in into_bytes)


def _split(node: p.ShiftLayer, exponent: int) -> list[Part]:
    whole = Part(node.weights.integers, node.bias)
    if exponent == 0:
        return [whole]
    upper = node.weights.shifts >= exponent
    high = Part(np.where(upper, whole.integers, 0) >> exponent, node.bias >> exponent, exponent)
    low_bias = node.bias - (high.bias << exponent)
    return [high, Part(np.where(upper, 0, whole.integers), low_bias, end=exponent)]


class Reach(NamedTuple):
    """The largest magnitude of an integer value, and of what is summed up inside the node that makes it
    (not of the sums of shift layers, which are split); 0 for floats."""

    value: float = 0.0
    within: float = 0.0

    @property
    def most(self) -> float:
        return max(self)


def reaches(program: IntegerProgram) -> dict[str, Reach]:
    """Of every value of a program, by name."""
    found = {program.input.name: Reach()}
    for node in program.nodes:
        integer = node.output.format is not None
        found[node.output.name] = (
            Reach(_held(node, found, program), _within(node, found, program)) if integer else Reach()
        )
    return found


def _held(node: p.Node, reach: Mapping[str, Reach], program: IntegerProgram) -> float:
    """The largest magnitude of an integer result."""
    held = float(max(map(abs, p.limits(node.output.fixed))))
    if isinstance(node, p.ShiftLayer):
        sums = Part(node.weights.integers, node.bias).reach(program.values[node.source].fixed)
        return min(held, float(np.ceil((sums * node.multiplier).max())))
    if isinstance(node, p.Clamp | p.Concat | p.MaxPool | p.Subsample | p.Pad | p.Flatten):
        return max(reach[name].value for name in node.sources)
    return held


def _within(node: p.Node, reach: Mapping[str, Reach], program: IntegerProgram) -> float:
    """The largest magnitude inside a node that has sums of its own."""
    if isinstance(node, p.AveragePool):
        return reach[node.source].value * node.geometry.kernel[0] * node.geometry.kernel[1]
    if isinstance(node, p.Add):
        fractions = [program.values[name].fixed.fraction_bits for name in node.sources]
        aligned = zip(node.sources, fractions, strict=True)
        return sum(reach[name].value * 2.0 ** (max(fractions) - fraction) for name, fraction in aligned)
    return 0.0
