"""What a low budget saves: epochs, training images, weight bits, or several of them together.

A search judges most configurations by cheap trainings and finishes few. A budget counts *epoch-equivalents*,
passes over the whole training set; how a training of budget b out of the full budget B is made cheap is the
fidelity:

| fidelity | epochs | share of the training images | weight bits | costs |
| --- | --- | --- | --- | --- |
| `epochs` | b | all | own | b, less what the parent has trained |
| `train_fraction` | B | b / B | own | b |
| `weight_bits` | B | all | fewer | B |
| `epochs+train_fraction` | √(bB) | b / epochs | own | b |
| `epochs+weight_bits` | b | all | fewer | b |
| `train_fraction+weight_bits` | B | b / B | fewer | b |

and all three. Fewer bits (the paper's proposal) rise from 2 at the smallest budget to the configuration's own
at the full one, evenly over the rungs. A network is simulated in floats, so fewer bits train no faster: on
their own they save nothing.

At the full budget every fidelity is the same training. A trial can continue its parent's checkpoint only
where that is the first part of it, that is, with `epochs`: there both ways give the same weights, bit for
bit. With another training set or number format they would not, so such trials start again and pay in full.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from jouleshift.errors import BadInput, nearest

Part = Literal["epochs", "train_fraction", "weight_bits"]
PARTS: tuple[Part, ...] = get_args(Part)
FEWEST_BITS = 2


@dataclass(frozen=True)
class Setting:
    """How one trial is trained. `train_fraction` and `precision` are in 0 … 1, 1 is full."""

    epochs: int
    train_fraction: float = 1.0
    precision: float = 1.0

    def __str__(self) -> str:
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        images = f" of {100 * self.train_fraction:.0f} % of the images" if self.train_fraction < 1 else ""
        bits = " with fewer weight bits" if self.precision < 1 else ""
        return f"{epochs}{images}{bits}"

    def weight_bits(self, own: int) -> int:
        """The bits that a configuration with `own` weight bits is trained with."""
        return min(own, FEWEST_BITS + round((own - FEWEST_BITS) * self.precision))


@dataclass(frozen=True)
class Fidelity:
    """Budgets from `min_budget` to `max_budget` epoch-equivalents, as settings of a training."""

    parts: frozenset[Part]
    min_budget: int
    max_budget: int

    @classmethod
    def named(cls, name: str, min_budget: int, max_budget: int) -> "Fidelity":
        """From parts joined by "+". Raises `BadInput` for an unknown one."""
        found: set[Part] = set()
        for given in name.split("+"):
            part = next((known for known in PARTS if known == given.strip()), None)
            if part is None:
                raise BadInput(f"fidelity {name!r}: unknown part {given!r}{nearest(given, PARTS)}")
            found.add(part)
        return cls(frozenset(found), min_budget, max_budget)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Fidelity":
        """That of a study's settings, or of a recorded run's."""
        return cls.named(config.get("fidelity", "epochs"), config["min_budget"], config["max_budget"])

    @property
    def continues(self) -> bool:
        """Whether a lower budget is the first part of a higher one, so that checkpoints can be taken up."""
        return self.parts == {"epochs"}

    def setting(self, budget: int) -> Setting:
        """How a trial of this budget is trained; at the full budget always whole."""
        full = self.max_budget
        epochs, fraction = full, 1.0
        if {"epochs", "train_fraction"} <= self.parts:
            epochs = round(math.sqrt(budget * full))
            fraction = budget / epochs
        elif "epochs" in self.parts:
            epochs = budget
        elif "train_fraction" in self.parts:
            fraction = budget / full
        return Setting(epochs, fraction, self._height(budget) if "weight_bits" in self.parts else 1.0)

    def cost(self, start: int, budget: int) -> float:
        """Epoch-equivalents from a trial of budget `start`, 0 for none, to one of `budget`."""
        if self.continues:
            return budget - start
        setting = self.setting(budget)
        return setting.epochs * setting.train_fraction

    def _height(self, budget: int) -> float:
        """Where a budget lies between the smallest and the full one, 0 … 1, on a log scale."""
        if budget >= self.max_budget or self.min_budget >= self.max_budget:
            return 1.0
        height = math.log(budget / self.min_budget) / math.log(self.max_budget / self.min_budget)
        return max(0.0, height)
