"""Targets that are circuits: an accelerator or FPGA with a unit for each operation, as wide as it must be.

    shift of a bits by a weight of w bits     c · a · min(log2 a, w − 1)    a barrel shifter of so many stages
    addition of n bits                        c · n
    multiplication of a by b bits             p · (a · b)^q + r · √(a · b)

Memories. Weights are read once an inference, tensors written once and read once by each reader: operands
are reused on the chip without going back to memory. Weights stay resident between inferences, so all of a
network's weights must be held at a time; of its activations, the most that are alive together. Each kind
gets the smallest memory that holds it. Of what the largest on-chip memory cannot hold, only the rest comes
from the unbounded one and pays its price.
"""

from functools import cached_property
from math import inf, log2, sqrt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jouleshift.energy.profile import MacCost, NonNegative, Profile, Source, Strict
from jouleshift.energy.work import LayerWork


class ShiftCost(Strict):
    """c · a · min(log2 a, w − 1) pJ for a bits and a weight of w bits."""

    per_bit_and_stage: NonNegative
    source: Source

    def pj(self, bits: int, weight_bits: int) -> float:
        return self.per_bit_and_stage * bits * min(log2(bits), weight_bits - 1)


class AddCost(Strict):
    """c · n pJ for n bits."""

    per_bit: NonNegative
    source: Source

    def pj(self, bits: int) -> float:
        return self.per_bit * bits


class MultiplyCost(Strict):
    """p · (a · b)^q + r · √(a · b) pJ for a by b bits."""

    per_product_bit: NonNegative
    exponent: Annotated[float, Field(ge=0, le=4)] = 1.0
    per_root: NonNegative = 0.0
    source: Source

    def pj(self, a_bits: int, b_bits: int) -> float:
        area = a_bits * b_bits
        return self.per_product_bit * area**self.exponent + self.per_root * sqrt(area)


class Figure(Strict):
    """One figure in pJ."""

    pj: NonNegative
    source: Source


class Memory(Strict):
    """A memory of `bytes` bytes (None: unbounded), and what 64 bits from or to it cost."""

    name: str
    bytes: Annotated[int | None, Field(gt=0)] = None
    pj_per_64_bit: NonNegative
    source: Source

    @property
    def bits(self) -> float:
        return inf if self.bytes is None else 8 * self.bytes

    @property
    def pj_per_bit(self) -> float:
        return self.pj_per_64_bit / 64


class CircuitProfile(Profile):
    """Costs by width, in pJ."""

    kind: Literal["circuit"]
    shift: ShiftCost
    add: AddCost
    multiply: MultiplyCost
    float_add: Figure
    float_multiply: Figure
    memories: Annotated[tuple[Memory, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _memories_grow(self) -> Self:
        sizes = [memory.bits for memory in self.memories]
        if sizes != sorted(set(sizes)) or self.memories[-1].bytes is not None:
            raise ValueError(
                "memories: list them from small to large, the last one without bytes (unbounded)"
            )
        return self

    @cached_property
    def _levels(self) -> list[tuple[float, float]]:
        """Of each memory its bits and the price of one."""
        return [(memory.bits, memory.pj_per_bit) for memory in self.memories]

    def mac_pj(self, layer: LayerWork) -> MacCost:
        if layer.arithmetic == "float":
            return MacCost(0.0, self.float_add.pj, self.float_multiply.pj)
        add = self.add.pj(layer.accumulator_bits)
        if layer.is_shift:
            return MacCost(self.shift.pj(layer.activation_bits, layer.weight_bits), add, 0.0)
        return MacCost(0.0, add, self.multiply.pj(layer.activation_bits, layer.weight_bits))

    def add_pj(self, bits: int, floating: bool) -> float:
        return self.float_add.pj if floating else self.add.pj(bits)

    def multiply_pj(self, a_bits: int, b_bits: int, floating: bool) -> float:
        return self.float_multiply.pj if floating else self.multiply.pj(a_bits, b_bits)

    def memory_pj_per_bit(self, held_bits: int) -> float:
        """Mean price of a bit where `held_bits` must be held at a time."""
        *on_chip, (_, unbounded) = self._levels
        for bits, pj_per_bit in on_chip:
            if held_bits <= bits:
                return pj_per_bit
        if not on_chip:
            return unbounded
        bits, pj_per_bit = on_chip[-1]
        inside = bits / held_bits
        return inside * pj_per_bit + (1 - inside) * unbounded

    def weight_memory_pj(self, layer: LayerWork, held_bits: int) -> float:
        return layer.held_bits * self.memory_pj_per_bit(held_bits)

    def activation_memory_pj(self, layer: LayerWork, live_bits: int) -> float:
        return (layer.read_bits + layer.written_bits) * self.memory_pj_per_bit(live_bits)
