"""What a whole search costs: joules of everything inside a block that lasts hours.

    with spent(detect()) as cost:
        search(...)
    cost.energy_j, cost.kind          # the machine's joules, and whether a sensor said so

A counter may wrap more than once in hours, so a thread reads it every minute and adds up the differences.
Where one of them has no value the whole has none: a cost with a hole in it would be too small in silence.
Without a sensor it is time × a stated power, marked as estimated, as in `meter.py`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jouleshift.energy.counters import Clock, Sample, Sensor, SystemClock, Window, between
from jouleshift.energy.meter import DEFAULT_POWER_W
from jouleshift.records import EnergyKind

_PERIOD_S = 60.0


@dataclass
class Spent:
    """Joules and seconds of a block up to the last `update`; final when it has ended. Missing is None."""

    kind: EnergyKind
    origin: str
    energy_j: float | None = 0.0
    duration_s: float = 0.0
    flags: set[str] = field(default_factory=set)
    update: Callable[[], None] = field(default=lambda: None, repr=False)
    """Reads the counters now."""

    def add(self, window: Window) -> None:
        """Add what passed in one window."""
        self.duration_s += window.duration_s
        self.flags.update(window.flags)
        if self.energy_j is None or window.energy_j is None:
            self.energy_j = None
        else:
            self.energy_j += window.energy_j


@contextmanager
def spent(
    sensor: Sensor | None,
    power_w: float | None = None,
    clock: Clock | None = None,
    period_s: float = _PERIOD_S,
) -> Iterator[Spent]:
    """Count what the machine uses while the block runs: on `sensor`; without one, `power_w` watts × time."""
    if sensor is not None:
        cost = Spent("measured", sensor.origin)
    else:
        watts = DEFAULT_POWER_W if power_w is None else power_w
        told = "assumed" if power_w is None else "stated"
        flags = {"no-sensor", "default-power"} if power_w is None else {"no-sensor"}
        cost = Spent("estimated", f"time × {watts:g} W {told}", flags=flags)
        sensor = _StatedPower(watts, clock or SystemClock())
    with _counted(sensor, cost, period_s):
        yield cost


class _StatedPower(Sensor):
    """Counts what a machine would use that always draws the same."""

    origin = "stated"
    update_period_s = 0.0

    def __init__(self, power_w: float, clock: Clock) -> None:
        self._power_w, self._clock = power_w, clock

    def read(self) -> Sample:
        now = self._clock.now()
        return Sample(now, {"stated": self._power_w * now})


@contextmanager
def _counted(sensor: Sensor, cost: Spent, period_s: float) -> Iterator[None]:
    ended, lock = threading.Event(), threading.Lock()
    last = sensor.read()

    def add() -> None:
        nonlocal last
        with lock:
            now = sensor.read()
            if now.time_s > last.time_s:
                cost.add(between(last, now, sensor))
                last = now

    def keep_adding() -> None:
        while not ended.wait(period_s):
            add()

    cost.update = add
    thread = threading.Thread(target=keep_adding, name="jouleshift-spent", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        add()
