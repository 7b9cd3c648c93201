"""A recorded sensor instead of a mock: what a real machine's counters said, played back in no time.

A recording is a table of readings: time_s and cumulative joules by component, empty where a counter could
not be read. `ReplaySensor` answers each reading with the last line at or before its clock's time, as a
counter that is refreshed now and then does. Its clock stands still until work or sleep moves it, so a
meter's minutes pass in milliseconds and come out the same every time.

    sensor = ReplaySensor.load(Path("a100.csv"))
    meter = EnergyMeter(sensor, clock=sensor.clock)
    meter.measure(lambda: sensor.clock.sleep(0.02), n_items=64)
"""

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

from jouleshift.energy.counters import Clock, Sample, Sensor


class VirtualClock:
    """A clock that only sleep moves."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now(self) -> float:
        return self._now_s

    def sleep(self, duration_s: float) -> None:
        self._now_s += duration_s


class ReplaySensor(Sensor):
    """Plays back samples in the order of their time."""

    def __init__(
        self,
        samples: Sequence[Sample],
        ranges_j: Mapping[str, float] | None = None,
        update_period_s: float = 0.1,
    ) -> None:
        self._samples = sorted(samples, key=lambda sample: sample.time_s)
        self._times_s = [sample.time_s for sample in self._samples]
        self._ranges_j = dict(ranges_j or {})
        self.clock = VirtualClock(self._times_s[0])
        self.update_period_s = update_period_s
        self.origin = f"recording of {', '.join(self._samples[0].joules)}"

    @classmethod
    def load(cls, path: Path, ranges_j: Mapping[str, float] | None = None) -> "ReplaySensor":
        """A recording that `record` wrote."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return cls([_sample(row) for row in rows], ranges_j)

    def read(self) -> Sample:
        index = max(0, bisect_right(self._times_s, self.clock.now()) - 1)
        return Sample(self.clock.now(), self._samples[index].joules)

    def ranges_j(self) -> Mapping[str, float]:
        return self._ranges_j


def record(sensor: Sensor, path: Path, duration_s: float, period_s: float, clock: Clock) -> None:
    """Write a sensor's readings to `path` as CSV, one every `period_s` seconds for `duration_s` seconds."""
    first = sensor.read()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_s", *first.joules])
        sample = first
        while sample.time_s - first.time_s <= duration_s:
            values = ["" if value is None else repr(value) for value in sample.joules.values()]
            writer.writerow([repr(sample.time_s), *values])
            clock.sleep(period_s)
            sample = sensor.read()


def _sample(row: Mapping[str, str]) -> Sample:
    joules = {name: float(text) if text else None for name, text in row.items() if name != "time_s"}
    return Sample(float(row["time_s"]), joules)
