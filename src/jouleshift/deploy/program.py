"""The integer program: what is left of a trained shift network when everything has become an integer.

A program is a list of nodes in order of execution. Each reads values and makes one. A value is a batch of
tensors, either float32 or integers q that stand for q · 2^−f (a fixed-point format, `quant.fixed_point`).

A shift layer computes, for each output channel c,

    sum_c = bias_c + Σ ± (q << shift)                        exact, in accumulator_bits
    out_c = clamp(round(float32(float32(sum_c) · multiplier_c)))

The shift of a weight is its distance to the smallest weight of the channel, so all shifts are ≥ 0 and nothing
is lost: no product is truncated. Everything that batch norm, scales and formats do to a channel is in one
float32 multiplier and one bias (Jacob et al., CVPR 2018, section 2.2, with exact sums). Rounding is half to
even, as IEEE arithmetic and integer runtimes have it. Where a batch norm's γ is negative the channel's signs
are flipped, so multipliers are positive.

This is a complete specification: an executor that follows it gets every integer right. `deploy.reference`
does so slowly with shifts and additions; ONNX Runtime, OpenVINO, PyTorch and C are checked against it.
"""

from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from jouleshift.quant.fixed_point import FixedPoint
from jouleshift.quant.packing import packed_size

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
    def sums_fit_float32(self) -> bool:
        """Whether float32 represents every partial sum, so that the order of summation is immaterial."""
        return max(-self.smallest, self.largest) <= 1 << 24

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
class IntegerProgram:
    """A deployable network. `input` is float32: the image as the network was trained on it, normalised.

    `output` is the name of the last value: (classes,) logits, float32 or integers of a fixed-point format.
    """

    input: Value
    nodes: tuple[Node, ...]
    output_name: str
    notes: tuple[str, ...] = field(default=())
    """What lowering decided that a person may want to know."""

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

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as stored: shift weights packed, those of unconverted layers as float32."""
        packed = sum(
            packed_size(layer.weights.signs.size, layer.weights.weight_bits) for layer in self.all(ShiftLayer)
        )
        return packed + sum(layer.weight.nbytes for layer in self.all(FloatLayer))

    @property
    def constant_bytes(self) -> int:
        """Bytes of what lies beside the weights. Each channel of a shift layer has a multiplier and a bias as
        wide as its sums, each of an unconverted layer a float32 bias."""
        return sum(
            len(layer.bias) * (4 + layer.accumulator_bits // 8) for layer in self.all(ShiftLayer)
        ) + sum(layer.bias.nbytes for layer in self.all(FloatLayer))

    @property
    def n_weights(self) -> int:
        return sum(layer.weights.signs.size for layer in self.all(ShiftLayer)) + sum(
            layer.weight.size for layer in self.all(FloatLayer)
        )

    @property
    def all_integer(self) -> bool:
        """Whether float32 appears only at the input: then every executor agrees on every bit."""
        return all(value.format is not None for value in list(self.values.values())[1:])

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, classes), float32, of images (N, C, H, W), by the reference executor."""
        reference = import_module("jouleshift.deploy.reference")  # it imports this module
        logits: NDArray[np.float32] = reference.run(self, images)
        return logits
