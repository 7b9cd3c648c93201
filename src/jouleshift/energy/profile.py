"""Hardware profiles: what operations and bits from memory cost on a target, each figure with its source.

A profile is a YAML file. Its figures are picojoules, converted to joules once, where a reading is made. A
figure without a source is refused: a cost table that cannot be checked is worth nothing.

Operations are priced by width, as in an accelerator that builds each unit as wide as it must be:

    shift of a bits by a weight of w bits     c · a · min(log2 a, w − 1)    a barrel shifter of so many stages
    addition of n bits                        c · n
    multiplication of a by b bits             p · a · b + r · √(a · b)
"""

from math import log2, sqrt
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jouleshift.energy.work import LayerWork
from jouleshift.errors import BadInput, nearest

Picojoules = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Source = Annotated[str, Field(min_length=1, description="where the figure comes from")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShiftCost(_Strict):
    """c · a · min(log2 a, w − 1) pJ for a bits and a weight of w bits."""

    per_bit_and_stage: Picojoules
    source: Source

    def pj(self, bits: int, weight_bits: int) -> float:
        return self.per_bit_and_stage * bits * min(log2(bits), weight_bits - 1)


class AddCost(_Strict):
    """c · n pJ for n bits."""

    per_bit: Picojoules
    source: Source

    def pj(self, bits: int) -> float:
        return self.per_bit * bits


class MultiplyCost(_Strict):
    """p · a · b + r · √(a · b) pJ for a by b bits."""

    per_product_bit: Picojoules
    per_root: Picojoules
    source: Source

    def pj(self, a_bits: int, b_bits: int) -> float:
        area = a_bits * b_bits
        return self.per_product_bit * area + self.per_root * sqrt(area)


class Figure(_Strict):
    """One figure in pJ."""

    pj: Picojoules
    source: Source


class Memory(_Strict):
    """A memory of `bytes` bytes (None: unbounded), and what 64 bits from or to it cost."""

    name: str
    bytes: Annotated[int | None, Field(gt=0)] = None
    pj_per_64_bit: Picojoules
    source: Source

    @property
    def bits(self) -> float:
        return float("inf") if self.bytes is None else 8 * self.bytes

    @property
    def pj_per_bit(self) -> float:
        return self.pj_per_64_bit / 64


class Profile(_Strict):
    """A hardware target: `load_profile` in `hardware.py` gives one by name or from a file."""

    name: str
    title: str
    description: str
    shift: ShiftCost
    add: AddCost
    multiply: MultiplyCost
    float_add: Figure
    float_multiply: Figure
    requantisation_bits: Annotated[int, Field(ge=2, le=64)]
    requantisation_source: Source
    memories: Annotated[tuple[Memory, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _memories_grow(self) -> Self:
        sizes = [memory.bits for memory in self.memories]
        if sizes != sorted(set(sizes)) or self.memories[-1].bytes is not None:
            raise ValueError(
                "memories: list them from small to large, the last one without bytes (unbounded)"
            )
        return self

    def memory_pj_per_bit(self, held_bits: int) -> float:
        """Mean price of a bit where `held_bits` must be held at a time: see `hardware.py`, "Memories"."""
        *on_chip, unbounded = self.memories
        for memory in on_chip:
            if held_bits <= memory.bits:
                return memory.pj_per_bit
        if not on_chip:
            return unbounded.pj_per_bit
        inside = on_chip[-1].bits / held_bits
        return inside * on_chip[-1].pj_per_bit + (1 - inside) * unbounded.pj_per_bit

    def weight_memory_pj(self, layer: LayerWork, held_bits: int) -> float:
        """Reading a layer's weights once, in a network whose weights take `held_bits`."""
        return layer.held_bits * self.memory_pj_per_bit(held_bits)

    def activation_memory_pj(self, layer: LayerWork, live_bits: int) -> float:
        """Reading a layer's inputs and writing its output, in a network that holds `live_bits` at most."""
        return (layer.read_bits + layer.written_bits) * self.memory_pj_per_bit(live_bits)


def parse_profile(data: dict[str, Any], origin: str) -> Profile:
    """A profile from what its YAML file says. Raises BadInput with the first field that is wrong."""
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        raise BadInput(
            f"hardware profile {origin}: unknown field {where!r}{nearest(where, Profile.model_fields)}"
        )
    if first["type"] == "missing":
        raise BadInput(f"hardware profile {origin}: {where} is missing")
    message = first["msg"].removeprefix("Value error, ")
    raise BadInput(
        f"hardware profile {origin}: {where}: {message}" if where else f"hardware profile {origin}: {message}"
    )
