"""The table of real trainings: one row a configuration, its error after each of 27 epochs."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jouleshift.records import Value
from jouleshift.space import TABLE_1, Range

EPOCHS = 27
DEPTH = 20
"""Convertible layers of ResNet20."""

_ERRORS = tuple(f"error_{epoch}" for epoch in range(1, EPOCHS + 1))
FIELDS = (*TABLE_1, "energy_j", "weight_bytes", *_ERRORS)


@dataclass(frozen=True)
class Row:
    """A configuration, joules of one inference, bytes of its weights, and validation errors by epoch.

    A training that diverged has fewer than 27 errors, and no energy.
    """

    config: Mapping[str, Value]
    energy_j: float
    weight_bytes: int
    errors: tuple[float, ...]

    @property
    def failed(self) -> bool:
        return len(self.errors) < EPOCHS

    def cells(self) -> dict[str, object]:
        errors = dict(zip(_ERRORS, self.errors, strict=False))
        return {**self.config, "energy_j": self.energy_j, "weight_bytes": self.weight_bytes, **errors}


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [_row(cells) for cells in csv.DictReader(file)]


def _row(cells: Mapping[str, str]) -> Row:
    config: dict[str, Value] = {}
    for name, entry in TABLE_1.items():
        kind = type(entry.low) if isinstance(entry, Range) else str
        config[name] = kind(cells[name])
    errors = tuple(float(cells[name]) for name in _ERRORS if cells[name])
    energy = float(cells["energy_j"]) if cells["energy_j"] else math.nan
    return Row(config, energy, int(cells["weight_bytes"]), errors)
