"""What integer programs are made of: values, number formats, and nodes with what each computes.

`deploy.program` says what a program is and why its nodes are these.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from jouleshift.quant.fixed_point import FixedPoint

Int8Array = NDArray[np.int8]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Shape = tuple[int, ...]
Number = int | float


def limits(fmt: FixedPoint) -> tuple[int, int]:
    """The smallest and largest integer of a format, e.g. (−128, 127) for a signed one of 8 bits in all."""
    bits = fmt.integer_bits + fmt.fraction_bits
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if fmt.signed else (0, (1 << bits) - 1)


def container_bits(fmt: FixedPoint) -> int:
    """The width of the machine integer that holds a format: 8, 16, 32 or 64."""
    bits = fmt.integer_bits + fmt.fraction_bits
    return next(width for width in (8, 16, 32, 64) if bits <= width)


@dataclass(frozen=True)
class Value:
    """One tensor of the program, without the batch dimension: (C, H, W) or (F,). `format` None is float32."""

    name: str
    shape: Shape
    format: FixedPoint | None

    @property
    def fixed(self) -> FixedPoint:
        """The format of an integer value."""
        assert self.format is not None
        return self.format


@dataclass(frozen=True)
class Geometry:
    """How a window moves over (H, W). `padding` is (top, left, bottom, right), `dilation` between taps."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class ShiftWeights:
    """Weights of one layer: sign · 2^(lowest_c + shift), where lowest_c is in the channel's multiplier.

    `signs` and `distances` are int8 of the weight's shape (out, in / groups, kh, kw) or (out, in). A distance
    is counted downwards from the top of the channel's grid, as it is packed in `weight_bits` bits
    (`quant.packing`); that of a zero is 0. `furthest` (out,) is the largest distance a channel uses.
    """

    kind: str
    weight_bits: int
    signs: Int8Array
    distances: Int8Array
    furthest: Int8Array

    @cached_property
    def shifts(self) -> Int8Array:
        """How far each weight shifts its input to the left, 0 for a zero; int8."""
        per_channel = self.furthest.reshape(-1, *(1,) * (self.signs.ndim - 1))
        return np.where(self.signs == 0, 0, per_channel - self.distances).astype(np.int8)

    @cached_property
    def integers(self) -> Int64Array:
        """Each weight as an integer, ±2^shift or 0."""
        return self.signs.astype(np.int64) << self.shifts.astype(np.int64)

    @property
    def span(self) -> int:
        """The largest shift: 2^span is the largest integer weight."""
        return int(self.shifts.max(initial=0))


@dataclass(frozen=True)
class Node:
    """One operation. `sources` are names of values; the result is `output`."""

    sources: tuple[str, ...]
    output: Value

    @property
    def source(self) -> str:
        (name,) = self.sources
        return name


@dataclass(frozen=True)
class Clamped(Node):
    """An operation whose result is clamped to `lowest` … `highest`, in units of the output (integers where
    it is fixed-point: at least the format's own limits). None is no limit, for float32 only."""

    lowest: Number | None
    highest: Number | None


@dataclass(frozen=True)
class Quantise(Node):
    """float32 to integers: clamp(round(x · 2^f)) to the format's limits."""


@dataclass(frozen=True)
class Requantise(Node):
    """Integers of one format to another: clamp(round(q · 2^(f_out − f_in))), exact before rounding."""


@dataclass(frozen=True)
class ShiftLayer(Clamped):
    """A convolution or (`geometry` None) linear layer of shifts and additions; see the module's head.

    `bias` int64 (out,), in units of the sum. `multiplier` float32 (out,), positive. `smallest` and `largest`
    bound every partial sum, whatever the image: they are computed from the weights and the input's format.
    A float32 output is the product itself, unrounded: float32(float32(sum) · multiplier).
    """

    layer: str
    """The module's name in the network it comes from."""
    weights: ShiftWeights
    bias: Int64Array
    multiplier: Float32Array
    geometry: Geometry | None
    accumulator_bits: int
    smallest: int
    largest: int

    @property
    def fits_int8(self) -> bool:
        """Whether weights fit int8 and the input 8 bits, so that integer runtimes can take it as it is."""
        return self.weights.span <= 6 and self.accumulator_bits == 32


@dataclass(frozen=True)
class FloatLayer(Clamped):
    """An unconverted convolution or (`geometry` None) linear layer in float32, batch norm folded in."""

    layer: str
    weight: Float32Array
    bias: Float32Array
    geometry: Geometry | None


@dataclass(frozen=True)
class Add(Clamped):
    """The sum of two values of any formats, exact, then rounded to the output's."""


@dataclass(frozen=True)
class Clamp(Clamped):
    """A ReLU or ReLU6 by itself; the format stays."""


@dataclass(frozen=True)
class Concat(Node):
    """Values of one format behind one another along the channels."""


@dataclass(frozen=True)
class MaxPool(Node):
    """Largest value in each window; padding never wins. The format stays."""

    geometry: Geometry


@dataclass(frozen=True)
class AveragePool(Node):
    """Mean of each window: clamp(round(float32(float32(sum) · multiplier))), padding counted as zeros.

    `multiplier` is float32(2^(f_out − f_in) / window). In float32 the mean itself.
    """

    geometry: Geometry
    multiplier: float


@dataclass(frozen=True)
class Subsample(Node):
    """Every `step`-th pixel from the first: x[:, ::step, ::step]."""

    step: tuple[int, int]


@dataclass(frozen=True)
class Pad(Node):
    """Zeros around the channels and the image: (before, after) of C, H and W."""

    amounts: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Flatten(Node):
    """(C, H, W) to (C · H · W,), row by row."""


AnyNode = TypeVar("AnyNode", bound=Node)


@dataclass(frozen=True)
class Steps:
    """Nodes in order of execution, from one input to one output, by the names of their values."""

    input: Value
    nodes: tuple[Node, ...]
    output_name: str

    @cached_property
    def values(self) -> dict[str, Value]:
        """Every value by name, the input first."""
        return {self.input.name: self.input} | {node.output.name: node.output for node in self.nodes}

    @property
    def output(self) -> Value:
        return self.values[self.output_name]

    @property
    def last_use(self) -> dict[str, int]:
        """The index of the last node that reads each value; the output is read by the caller, at the end."""
        uses = {name: index for index, node in enumerate(self.nodes) for name in node.sources}
        return uses | {self.output_name: len(self.nodes)}

    def all(self, kind: type[AnyNode]) -> list[AnyNode]:
        """The nodes of one kind, in order."""
        return [node for node in self.nodes if isinstance(node, kind)]
