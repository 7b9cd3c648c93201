"""What searches themselves took, as their env.json tells: `search_energy`, an entry for each time one ran."""

from collections.abc import Sequence
from typing import NamedTuple

from jouleshift.records import Run


class SearchCost(NamedTuple):
    """Joules of searches, all times together, and how they are known."""

    energy_j: float
    how: str


def search_cost(runs: Sequence[Run]) -> SearchCost | None:
    """None where any time of any run has no energy: a cost with a hole would be too small in silence."""
    entries = [entry for run in runs for entry in run.env.get("search_energy") or [{}]]
    if not all(isinstance(entry.get("energy_j"), int | float) for entry in entries):
        return None
    how = dict.fromkeys(f"{e.get('kind', 'unknown')}: {e.get('origin', 'unknown')}" for e in entries)
    return SearchCost(float(sum(entry["energy_j"] for entry in entries)), "; ".join(how))
