"""What a search itself costs: joules of the whole machine while it ran, in the run's env.json.

One entry each time the search was run or continued, with what says so: a sensor, or time × a stated power.
A process killed outright (kill -9) leaves no entry for its time.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jouleshift import environment, store
from jouleshift.energy.counters import detect
from jouleshift.energy.schedule import IntensitySeries
from jouleshift.energy.spent import Spent, spent
from jouleshift.records import Run
from jouleshift.report.units import duration, percent


@dataclass(frozen=True)
class SoFar:
    """What a search took up to now, every time it was run."""

    now: Spent
    before_s: float
    before_j: float | None

    def duration_s(self) -> float:
        self.now.update()
        return self.before_s + self.now.duration_s

    def energy_j(self) -> float | None:
        """Joules of the machine; None where a part is not known."""
        self.now.update()
        if self.before_j is None or self.now.energy_j is None:
            return None
        return self.before_j + self.now.energy_j


@contextmanager
def counted(run: Path, power_w: float | None) -> Iterator[SoFar]:
    """Count what passes while the block runs, and write it down however the block ends."""
    cost = None
    try:
        with spent(detect(), power_w) as cost:
            yield _with_earlier(run, cost)
    finally:
        path = run / store.ENVIRONMENT
        if cost is not None and path.is_file():
            found = environment.read(path)
            found.setdefault("search_energy", []).append(_entry(cost))
            store.write_atomically(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _with_earlier(run: Path, cost: Spent) -> SoFar:
    entries = environment.read(run / store.ENVIRONMENT).get("search_energy", [])
    joules = [entry["energy_j"] for entry in entries]
    before_j = None if None in joules else sum(joules, 0.0)
    return SoFar(cost, sum(entry["duration_s"] for entry in entries), before_j)


def _entry(cost: Spent) -> dict[str, object]:
    return {
        "energy_j": cost.energy_j,
        "kind": cost.kind,
        "origin": cost.origin,
        "duration_s": round(cost.duration_s, 3),
        "flags": sorted(cost.flags),
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def duration_of(run: Run) -> float:
    """Seconds that the search ran, all times together; the time in trials where that was not kept."""
    entries = run.env.get("search_energy")
    if entries:
        return float(sum(entry["duration_s"] for entry in entries))
    return sum(record.duration_s or 0.0 for record in run.trials)


def greenest_start(run: Run, series: Path) -> str:
    """When a search as long as this one would have emitted least, within a series of carbon intensities."""
    duration_s = duration_of(run)
    choice = IntensitySeries.load(series).best_start(duration_s)
    best, first = choice.best, choice.first
    return (
        f"A search as long as this one ({duration(duration_s)}) emits least when it starts at "
        f"{_minute(best.start)}: {best.grams_per_kwh:.4g} g CO₂eq/kWh, {percent(choice.saving)} less than at "
        f"{_minute(first.start)} ({first.grams_per_kwh:.4g} g); at worst {choice.worst.grams_per_kwh:.4g} g."
    )


def _minute(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="minutes")
