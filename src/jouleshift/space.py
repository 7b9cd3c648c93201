"""The configuration space of the paper's Table 1, narrowed by the user.

A deep shift neural network has two kinds of hyperparameters: how it is trained (batch size, optimizer,
rates) and which numbers its shift layers use (bits of weights and activations, how many layers are
converted, shift type, rounding). `TABLE_1` states all eleven with their ranges and defaults; only the
largest shift depth depends on the network. `build_space` turns it into a ConfigSpace, after the user's
overrides:

    {weight_bits: [2, 4], optimizer: SGD, shift_type: [Q, PS]}

narrows the weight bits to 2 … 4, fixes the optimizer and leaves the shift type as it is. A default outside
the narrowed range moves to the nearest legal value. Rates that span orders of magnitude (learning rate,
weight decay) are searched on a log scale; the paper's table does not say, and a uniform scale would spend
nine tenths of its samples on the top tenth of the range.
"""

import math
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from jouleshift.config import OptimizerName, Rounding, ShiftType
from jouleshift.errors import BadInput, nearest
from jouleshift.records import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter


@dataclass(frozen=True)
class Choice:
    """A hyperparameter with named values, in no order."""

    values: tuple[str, ...]
    default: str

    def narrowed(self, wanted: Any) -> "Choice":
        """The wanted values: one name or a list. Raises ValueError with the rest of a sentence."""
        names = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not names:
            raise ValueError("is empty: name at least one value")
        for name in names:
            if name not in self.values:
                raise ValueError(f"has no value {name!r}{nearest(str(name), self.values)}")
        kept = tuple(value for value in self.values if value in names)
        return Choice(kept, self.default if self.default in kept else kept[0])


@dataclass(frozen=True)
class Range:
    """A number between `low` and `high`, both included; whole where `low` is an int."""

    low: int | float
    high: int | float
    default: int | float
    log: bool = False
    reach: int | float | None = None
    """How far up a user may widen it; None is no further than `high`."""

    def narrowed(self, wanted: Any) -> "Range":
        """The wanted range [low, high] or single value. Raises ValueError with the rest of a sentence."""
        bounds = list(wanted) if isinstance(wanted, list | tuple) else [wanted, wanted]
        if len(bounds) != 2:
            raise ValueError(f"{wanted!r}: expected one value or a range [low, high]")
        low, high = (self._number(bound) for bound in bounds)
        if low > high:
            raise ValueError(f"{wanted!r}: the low end is above the high end")
        return replace(self, low=low, high=high, default=min(max(self.default, low), high))

    def _number(self, value: Any) -> int | float:
        kind = type(self.low)
        try:
            # YAML reads 1e-5 as text; True would pass as the number 1
            number = kind(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError, OverflowError):  # the last one for whole numbers of hundreds of digits
            number = None
        if number is None or (not isinstance(value, str) and number != value):
            kinds = "a whole number" if kind is int else "a number"
            raise ValueError(f"{reprlib.repr(value)}: expected {kinds}")
        top = self.high if self.reach is None else self.reach
        if not self.low <= number <= top:  # NaN is nowhere
            raise ValueError(f"{reprlib.repr(value)} is outside {self.low} … {top}")
        return number


TABLE_1: Mapping[str, Choice | Range] = {
    "batch_size": Range(32, 128, 128),
    "optimizer": Choice(get_args(OptimizerName), "SGD"),
    "learning_rate": Range(0.001, 0.1, 0.1, log=True, reach=0.2),
    "momentum": Range(0.0, 0.9, 0.9),
    "weight_decay": Range(1e-6, 1e-2, 1e-4, log=True),
    "weight_bits": Range(2, 8, 5),
    "activation_integer_bits": Range(2, 32, 16),
    "activation_fraction_bits": Range(2, 32, 16),
    "shift_depth": Range(0, 20, 20),
    "shift_type": Choice(get_args(ShiftType), "PS"),
    "rounding": Choice(get_args(Rounding), "deterministic"),
}
"""Table 1 of the paper, for ResNet20. Other networks differ in the largest shift depth. The paper's Tables 3
to 7 print learning rates up to 0.199, above its Table 1, so a user may ask for as much."""


def narrowed(overrides: Mapping[str, Any], max_depth: int = sys.maxsize) -> dict[str, Choice | Range]:
    """Table 1 after the user's overrides, for a network with `max_depth` convertible layers, where known.

    Raises BadInput for an unknown name (with the nearest one) and for a value outside Table 1.
    """
    table = {**TABLE_1, "shift_depth": Range(0, max_depth, max_depth)}
    for name, wanted in overrides.items():
        if name not in table:
            raise BadInput(f"space: unknown hyperparameter {name!r}{nearest(name, table)}")
        try:
            table[name] = table[name].narrowed(wanted)
        except ValueError as error:
            raise BadInput(f"space: {name} {error}") from None
    return table


def moved_defaults(overrides: Mapping[str, Any], max_depth: int) -> dict[str, tuple[Value, Value]]:
    """The hyperparameters whose default the overrides exclude: the usual one, and the nearest legal value."""
    usual, own = narrowed({}, max_depth), narrowed(overrides, max_depth)
    return {
        name: (entry.default, own[name].default)
        for name, entry in usual.items()
        if own[name].default != entry.default
    }


def build_space(max_depth: int, overrides: Mapping[str, Any] | None = None) -> "ConfigurationSpace":
    """The space of Table 1 for a network with `max_depth` convertible layers.

    `overrides` maps a hyperparameter's name to a range [low, high], a list of names, or one value, which
    fixes it. Fixed hyperparameters stay in the space as constants, so every configuration names all eleven.
    Raises BadInput as `narrowed` does.
    """
    from ConfigSpace import ConfigurationSpace

    space = ConfigurationSpace(name="table-1")
    space.add(*(_hyperparameter(name, entry) for name, entry in narrowed(overrides or {}, max_depth).items()))
    return space


def _hyperparameter(name: str, entry: Choice | Range) -> "Hyperparameter":
    from ConfigSpace import Categorical, Constant, Float, Integer

    fixed: Value | None = None
    if isinstance(entry, Choice):
        fixed = entry.default if len(entry.values) == 1 else None
    elif math.isclose(
        entry.low, entry.high, rel_tol=1e-9, abs_tol=1e-10
    ):  # ConfigSpace refuses narrower ranges
        fixed = entry.default
    if fixed is not None:
        return Constant(name, fixed)
    if isinstance(entry, Choice):
        return Categorical(name, list(entry.values), default=entry.default)
    if isinstance(entry.low, int):
        return Integer(name, (int(entry.low), int(entry.high)), default=int(entry.default), log=entry.log)
    return Float(name, (entry.low, entry.high), default=entry.default, log=entry.log)
