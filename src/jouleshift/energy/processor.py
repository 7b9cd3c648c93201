"""Targets that are processors: words and cycles, as in a microcontroller.

A processor of 32 bits does in one instruction what fits a word; wider sums take several. What an inner loop
does for one multiply-accumulate, counted in cycles:

    load the activation     load × words of it, shared by `reuse` sums that stay in registers
    load the weight         load × its bits / 32: packed weights come 32 / bits at a time; shared likewise
    unpack the weight       once a weight narrower than a word; shared likewise
    shift + sign + add      one word; `long_shift`, and one more sign and add, for each further word
      or multiply + add     or `narrow_multiply_add`, for operands of up to 16 bits
    count and branch        loop

There are no memory levels: a microcontroller has flash and SRAM on the chip, and their current is in the
figure for a cycle. Whether a network fits is not checked here.

A shift layer need not be shifted: its weights are integers too, ±2^k times a constant, and where the span
of exponents fits 8, 16 or 32 bits they can be stored so and multiplied. A deployed program takes what is
cheaper, and so does this model. A processor with a multiplier of one cycle therefore gains nothing from
shifts, and a shift network costs there what an integer network costs. Shifts pay where a multiplication
takes many cycles, or where nothing but packed weights fits.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from jouleshift.energy.profile import MacCost, NonNegative, Profile, Source, Strict
from jouleshift.energy.work import LayerWork

_WORD = 32
_NARROW = 16
_INTEGERS = (8, 16, 32)
"""Widths of integers that a load instruction can fetch."""


class Cycles(Strict):
    """A number of cycles."""

    cycles: NonNegative
    source: Source


class Energy(Strict):
    """Energy of one cycle."""

    pj: NonNegative
    source: Source


class Clock(Strict):
    """Cycles a second."""

    mhz: Annotated[float, Field(gt=0)]
    source: Source


class Reuse(Strict):
    """How many sums a loaded operand serves before it leaves the registers."""

    sums: Annotated[float, Field(ge=1)]
    source: Source


class ProcessorProfile(Profile):
    """Costs in cycles of one energy."""

    kind: Literal["processor"]
    cycle: Energy
    clock: Clock | None = None
    load: Cycles
    store: Cycles
    reuse: Reuse
    unpack_shift: Cycles
    unpack_integer: Cycles
    shift: Cycles
    long_shift: Cycles
    sign: Cycles
    add: Cycles
    multiply: Cycles
    long_multiply: Cycles
    """Of a product wider than a word."""
    narrow_multiply_add: Cycles | None = None
    """Of one product of up to 16 by 16 bits with its addition, where several are done at once."""
    loop: Cycles
    float_add: Cycles
    float_multiply: Cycles

    def as_run(self, layer: LayerWork) -> LayerWork:
        """A shift layer whose weights fit a word is multiplied where that takes fewer cycles."""
        width = next((bits for bits in _INTEGERS if layer.exponent_span + 2 <= bits), None)
        if not layer.is_shift or width is None:
            return layer
        multiplied = replace(layer, arithmetic="integer", weight_bits=width, exponent_span=0)
        return min(layer, multiplied, key=self._layer_pj)

    def latency_s(self, energy_j: float) -> float | None:
        """Cycles over clock: all energy is that of cycles, so time is energy in another unit."""
        if self.clock is None or not self.cycle.pj:
            return None
        return energy_j / (self.cycle.pj * 1e-12) / (self.clock.mhz * 1e6)

    def _layer_pj(self, layer: LayerWork) -> float:
        memory = self.weight_memory_pj(layer, 0) + self.activation_memory_pj(layer, 0)
        return layer.macs * sum(self.mac_pj(layer)) + memory

    def mac_pj(self, layer: LayerWork) -> MacCost:
        if layer.arithmetic == "float":
            return self._cost(0.0, self.float_add.cycles + self.loop.cycles, self.float_multiply.cycles)
        words = _words(layer.accumulator_bits)
        add = self.add.cycles * words + self.loop.cycles
        if layer.is_shift:
            shift = self.shift.cycles + self.long_shift.cycles * (words - 1)
            return self._cost(shift + self.sign.cycles * words, add, 0.0)
        if self.narrow_multiply_add is not None and self._is_narrow(layer):
            return self._cost(0.0, self.loop.cycles, self.narrow_multiply_add.cycles)
        return self._cost(0.0, add, self._product(layer.activation_bits, layer.weight_bits))

    def add_pj(self, bits: int, floating: bool) -> float:
        return self.cycle.pj * (self.float_add.cycles if floating else self.add.cycles * _words(bits))

    def multiply_pj(self, a_bits: int, b_bits: int, floating: bool) -> float:
        return self.cycle.pj * (self.float_multiply.cycles if floating else self._product(a_bits, b_bits))

    def _product(self, a_bits: int, b_bits: int) -> float:
        """Cycles of an integer product of `a_bits` by `b_bits`."""
        if a_bits + b_bits <= _WORD:
            return self.multiply.cycles
        return self.long_multiply.cycles * _words(a_bits) * _words(b_bits)

    def weight_memory_pj(self, layer: LayerWork, held_bits: int) -> float:
        """Every multiply-accumulate fetches its weight; nothing but registers keeps it."""
        unpack = 0.0
        if layer.weight_bits < _WORD:
            unpack = (self.unpack_shift if layer.is_shift else self.unpack_integer).cycles
        each = (self.load.cycles * layer.weight_bits / _WORD + unpack) / self.reuse.sums
        return self.cycle.pj * (layer.macs * each + layer.constant_words * self.load.cycles)

    def activation_memory_pj(self, layer: LayerWork, live_bits: int) -> float:
        """Every multiply-accumulate fetches its activation; other layers read each element once."""
        width = layer.activation_bits
        lanes = 2 if self.narrow_multiply_add is not None and self._is_narrow(layer) else 1
        loads = layer.macs * _words(width) / lanes / self.reuse.sums
        if not layer.macs and not layer.streamed:
            loads = layer.input_elements * _words(width)
        stores = 0 if layer.streamed else layer.output_elements * _words(layer.stored_bits)
        return self.cycle.pj * (loads * self.load.cycles + stores * self.store.cycles)

    def _cost(self, shift: float, add: float, multiply: float) -> MacCost:
        return MacCost(shift * self.cycle.pj, add * self.cycle.pj, multiply * self.cycle.pj)

    @staticmethod
    def _is_narrow(layer: LayerWork) -> bool:
        return (
            layer.arithmetic == "integer"
            and layer.macs > 0
            and max(layer.activation_bits, layer.weight_bits) <= _NARROW
            and layer.accumulator_bits <= _WORD
        )


def _words(bits: int) -> int:
    return -(-bits // _WORD)
