"""When to run: carbon intensity as a time series, and the greenest hour for a run of known length.

A kilowatt-hour at noon may emit half of one in the evening. Given a series (time, g/kWh; each value holds
until the next), `best_start` finds the start at which a run of some length emits least. The mean of a
function that is constant between breakpoints, over a window that slides, is linear while neither end of the
window crosses a breakpoint. So its extremes lie where the start or the end is at one, and only these need
trying.

    time,g_per_kwh
    2026-05-01T00:00+02:00,310
    2026-05-01T01:00+02:00,295
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from jouleshift.errors import BadInput, nearest
from jouleshift.handwritten import load_rows
from jouleshift.records import CarbonIntensity

_COLUMNS = ("time", "g_per_kwh")
_DIGITS = 6
"""Of g/kWh: what differs less is the same, so that rounding decides no start."""


@dataclass(frozen=True)
class Slot:
    """A start for a run, and the mean intensity while it would last."""

    start: datetime
    grams_per_kwh: float


@dataclass(frozen=True)
class Choice:
    """The greenest and the dirtiest start within a series, and starting at once."""

    best: Slot
    worst: Slot
    first: Slot

    @property
    def saving(self) -> float:
        """Share of the emissions that waiting for the best start saves against starting at once, 0 … 1."""
        return 1 - self.best.grams_per_kwh / self.first.grams_per_kwh if self.first.grams_per_kwh else 0.0


class IntensitySeries:
    """Carbon intensity through time; each value holds from its time until the next, the last one a step more.

    Times must rise strictly and all have a time zone or all none; values are in g/kWh and not negative.
    """

    def __init__(self, times: Sequence[datetime], grams_per_kwh: Sequence[float], origin: str) -> None:
        self.origin = origin
        self._times, self._values = list(times), list(grams_per_kwh)
        self._check()
        self._edges = [*self._times, self._end()]
        self._total = [0.0]  # integral of intensity from the first time on, in (g/kWh) s
        for value, (left, right) in zip(self._values, pairwise(self._edges), strict=True):
            self._total.append(self._total[-1] + value * (right - left).total_seconds())

    @classmethod
    def load(cls, path: Path) -> "IntensitySeries":
        """A series from a CSV file with the columns time (ISO 8601) and g_per_kwh; BadInput names the
        line."""
        rows = load_rows(path)
        if not rows:
            raise BadInput(f"{path}: no values; expected the columns {', '.join(_COLUMNS)}")
        for column in _COLUMNS:
            if column not in rows[0]:
                hint = nearest(column, [name for name in rows[0] if name])
                raise BadInput(f"{path}: column {column!r} is missing{hint}")
        points = [_point(row, path, line) for line, row in enumerate(rows, start=2)]
        return cls([time for time, _ in points], [value for _, value in points], f"{path.name}")

    @property
    def start(self) -> datetime:
        return self._edges[0]

    @property
    def end(self) -> datetime:
        return self._edges[-1]

    def mean(self, start: datetime, duration_s: float) -> float:
        """Mean g/kWh over `duration_s` seconds from `start`, both within the series."""
        if duration_s == 0:
            return self._values[min(bisect_right(self._edges, start), len(self._values)) - 1]
        return (self._integral(start + timedelta(seconds=duration_s)) - self._integral(start)) / duration_s

    def best_start(self, duration_s: float) -> Choice:
        """When to start a run of `duration_s` seconds, as early as is best. BadInput where the series is
        shorter than the run."""
        length_s = (self.end - self.start).total_seconds()
        if not 0 <= duration_s <= length_s:
            run_h, series_h = duration_s / 3600, length_s / 3600
            raise BadInput(
                f"{self.origin}: a run of {run_h:.1f} h does not fit the series of {series_h:.1f} h"
            )
        length = timedelta(seconds=duration_s)
        latest = self.end - length
        ends = [edge - length for edge in self._edges if edge - self.start >= length]
        starts = sorted({*(edge for edge in self._edges if edge <= latest), *ends})
        slots = [Slot(start, self.mean(start, duration_s)) for start in starts]
        by_grams = sorted(slots, key=lambda slot: round(slot.grams_per_kwh, _DIGITS))
        return Choice(best=by_grams[0], worst=by_grams[-1], first=slots[0])

    def intensity(self, start: datetime, duration_s: float) -> CarbonIntensity:
        """The mean of a run as a record, for emissions of its energy."""
        end = start + timedelta(seconds=duration_s)
        origin = f"mean of {self.origin} from {start.isoformat()} to {end.isoformat()}"
        return CarbonIntensity(self.mean(start, duration_s), self.origin, start.year, origin)

    @property
    def whole(self) -> CarbonIntensity:
        """The mean of the series."""
        return self.intensity(self.start, (self.end - self.start).total_seconds())

    def _integral(self, time: datetime) -> float:
        index = min(bisect_right(self._edges, time), len(self._values)) - 1
        return self._total[index] + self._values[index] * (time - self._edges[index]).total_seconds()

    def _end(self) -> datetime:
        """The last value holds as long as the one before it."""
        try:
            return self._times[-1] + (self._times[-1] - self._times[-2])
        except OverflowError:
            raise BadInput(f"{self.origin}: the last value holds beyond the year 9999") from None

    def _check(self) -> None:
        if len(self._times) < 2:
            raise BadInput(f"{self.origin}: a series needs two values or more")
        if len({time.tzinfo is None for time in self._times}) > 1:
            raise BadInput(f"{self.origin}: give all times a time zone, or none")
        for before, after in pairwise(self._times):
            if after <= before:
                raise BadInput(
                    f"{self.origin}: times must rise, but {after.isoformat()} follows {before.isoformat()}"
                )


def _point(row: dict[str, str | None], path: Path, line: int) -> tuple[datetime, float]:
    try:
        time = datetime.fromisoformat((row["time"] or "").strip())
    except ValueError:
        raise BadInput(
            f"{path} line {line}: {row['time']!r} is no ISO 8601 time such as 2026-05-01T14:00+02:00"
        ) from None
    try:
        value = float(row["g_per_kwh"] or "")
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadInput(f"{path} line {line}: {row['g_per_kwh']!r} is no intensity in g/kWh")
    return time, value
