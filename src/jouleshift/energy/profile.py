"""Hardware profiles: what operations and bits from memory cost on a target, each figure with its source.

A profile is a YAML file of one of two kinds, named by its field `kind`: a `circuit` builds each operation as
wide as it must be (`circuit.py`), a `processor` does everything in words and cycles (`processor.py`). Figures
are in pJ or cycles and become joules once, in `hardware.py`. A figure without a source is refused: a cost
table that cannot be checked is worth nothing.
"""

from abc import ABC, abstractmethod
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jouleshift.energy.work import LayerWork

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Source = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    Field(description="where the figure comes from"),
]


class Strict(BaseModel):
    """A part of a profile: nothing unknown in it, nothing changed after."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MacCost(NamedTuple):
    """Picojoules of one multiply-accumulate or shift-accumulate, by what it is made of."""

    shift: float
    add: float
    multiply: float


class Profile(Strict, ABC):
    """A hardware target: `load_profile` in `hardware.py` gives one by name or from a file. All costs in
    pJ."""

    name: str
    title: str
    description: str
    requantisation_bits: Annotated[int, Field(ge=2, le=64)]
    """Width of the multiplier per channel that a folded batch norm leaves."""
    requantisation_source: Source

    def as_run(self, layer: LayerWork) -> LayerWork:
        """The layer as this target runs it: a shift layer may be cheaper multiplied."""
        return layer

    def latency_s(self, energy_j: float) -> float | None:
        """Seconds of an inference that takes so many joules here; None where nothing says how fast it is."""
        return None

    @abstractmethod
    def mac_pj(self, layer: LayerWork) -> MacCost:
        """One multiply-accumulate of a convolution, linear layer or matrix product."""

    @abstractmethod
    def add_pj(self, bits: int, floating: bool) -> float:
        """One addition of `bits` bits, outside a multiply-accumulate."""

    @abstractmethod
    def multiply_pj(self, a_bits: int, b_bits: int, floating: bool) -> float:
        """One multiplication, outside a multiply-accumulate."""

    @abstractmethod
    def weight_memory_pj(self, layer: LayerWork, held_bits: int) -> float:
        """Fetching a layer's weights for one inference, in a network whose weights take `held_bits` bits."""

    @abstractmethod
    def activation_memory_pj(self, layer: LayerWork, live_bits: int) -> float:
        """Fetching a layer's inputs and storing its output, in a network that holds `live_bits` at most."""
