"""The values that the paper prints, as data (see `published/README.md` for their source)."""

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jouleshift.records import Value
from jouleshift.space import TABLE_1, Choice


@dataclass(frozen=True)
class Column:
    """One network of a table of the paper, published or ours; `error` in 0 … 1.

    `emissions_g` are grams of CO₂ equivalent: of a pass on an A100 where published, of one image where ours,
    so only their ratio to the default's can be compared.
    """

    name: str
    config: dict[str, Value]
    error: float
    emissions_g: float
    energy_j: float | None = None
    """Of one image where ours; the paper prints none."""

    @property
    def spent(self) -> float:
        """What columns of one front are compared by: joules, or grams where only these are known.

        Grams are joules times the intensity of a place, which may be zero.
        """
        return self.emissions_g if self.energy_j is None else self.energy_j


@dataclass(frozen=True)
class Front:
    """The columns of a table: the front over three seeds, and the mean default configuration."""

    columns: tuple[Column, ...]
    default: Column | None


def published_front(number: int) -> Front:
    """Table `number` in 2 … 7 as printed."""
    text = files("jouleshift.paper").joinpath("published", f"table-{number}.csv").read_text(encoding="utf-8")
    columns = [_column(row) for row in csv.DictReader(text.splitlines())]
    default = next(column for column in columns if column.name == "default")
    return Front(tuple(c for c in columns if c is not default), default)


def statements(figure: str) -> list[dict[str, str]]:
    """What the text states about a figure: `section` and `says`; empty for panels and tables."""
    import yaml

    text = files("jouleshift.paper").joinpath("published", "statements.yaml").read_text(encoding="utf-8")
    known: dict[str, Any] = yaml.safe_load(text)
    return known.get(figure.rstrip("abcdef"), [])


def _column(row: dict[str, str]) -> Column:
    config = {name: _value(name, row[name]) for name in TABLE_1 if name in row}
    return Column(row["config"], config, float(row["error"]), float(row["emissions_g"]))


def _value(name: str, text: str) -> Value:
    entry = TABLE_1[name]
    if isinstance(entry, Choice):
        return text
    return int(text) if isinstance(entry.low, int) else float(text)
