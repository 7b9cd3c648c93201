"""Configurations that are thought to be good, to try before anything is known.

A file names them: CSV with a column for each hyperparameter (`front.csv` of another run will do; other
columns are ignored), or YAML or JSON with a list of mappings. `paper` is the published fronts (Tables 2 to
7), without their default configurations. They come from other networks, data or spaces, so each is fitted to
the space: numbers outside their range go to its nearer end, and what is missing, no value or has another name
takes the default.
"""

import csv
import math
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jouleshift.errors import BadInput
from jouleshift.handwritten import load_rows, load_yaml
from jouleshift.records import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

PAPER = "paper"
_TABLES = range(2, 8)


def load_priors(source: str | None, space: "ConfigurationSpace") -> tuple[dict[str, Value], ...]:
    """The configurations that `source` names, each once, fitted to the space; none for None.

    Raises `BadInput` for a file that cannot be read or holds no hyperparameter of the space.
    """
    if source is None:
        return ()
    fitted = [_fitted(row, space) for row in read_priors(source, space)]
    return tuple(config for k, config in enumerate(fitted) if config not in fitted[:k])


def read_priors(source: str, names: Collection[str]) -> list[Mapping[str, Any]]:
    """The rows of `source` that name any of these hyperparameters, as they stand there.

    Raises `BadInput` for a file that cannot be read or has no such row.
    """
    rows = _published() if source == PAPER else _read(Path(source))
    found = [row for row in rows if set(row) & set(names)]
    if not found:
        raise BadInput(f"prior {source}: it names no hyperparameter of the space ({', '.join(names)})")
    return found


def _published() -> list[Mapping[str, Any]]:
    folder = files("jouleshift") / "paper" / "published"
    texts = [(folder / f"table-{number}.csv").read_text(encoding="utf-8") for number in _TABLES]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines())]
    return [row for row in rows if row["config"] != "default"]


def _read(path: Path) -> list[Mapping[str, Any]]:
    try:
        found: Any = load_rows(path) if path.suffix == ".csv" else load_yaml(path)
    except BadInput as error:
        raise BadInput(f"prior: {error}; give a .csv or .yaml file, or 'paper'") from None
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise BadInput(f"prior {path}: expected a list of mappings from hyperparameter to value")
    return found


def _fitted(row: Mapping[str, Any], space: "ConfigurationSpace") -> dict[str, Value]:
    """The row as a legal configuration of the space."""
    from ConfigSpace.util import deactivate_inactive_hyperparameters

    values = {name: _value(hyperparameter, row.get(name)) for name, hyperparameter in space.items()}
    active = deactivate_inactive_hyperparameters(values, space)
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in dict(active).items()}


def _value(hyperparameter: "Hyperparameter", given: Any) -> Any:
    default: Any = hyperparameter.default_value
    if not isinstance(given, int | float | str) or given == "":
        return default
    lower = getattr(hyperparameter, "lower", None)
    if lower is None:
        return given if hyperparameter.legal_value(given) else default
    number = _number(given)
    if math.isnan(number):
        return default
    number = min(max(number, float(lower)), float(hyperparameter.upper))  # type: ignore[attr-defined]
    return round(number) if isinstance(default, int) else number


def _number(given: float | str) -> float:
    """What is given as a number; NaN where it is none."""
    try:
        return float(given)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if int(given) > 0 else -math.inf
    except ValueError:
        return math.nan
