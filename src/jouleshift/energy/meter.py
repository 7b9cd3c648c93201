"""Joules of an inference that really runs (source "deployed"): the protocol of a measurement.

    |-- idle --|-- warm-up --|-- window --|-- window --| … |-- window --|-- idle --|
      power      ≥ 2 s         fn() again and again, ≥ 10 s each          power
      at rest    ≥ 10 calls    between two readings of the counters       at rest

Counters of boards move about ten times a second and average over less than the whole time, so a window must
be long; boards warm up, so the first seconds do not count; and one window has no spread, so there are
several, with a 95 % interval of their mean (Student's t). The accelerator is synchronised before each
reading. What the machine uses at rest, before and after, is reported beside the whole: `energy_j` is gross
(what was drawn while the work ran), of which the component "idle" would have been drawn anyway and "work"
would not.

The interval covers what varies from window to window. It does not cover a gain error of the board (up to
5 % on NVIDIA's, the same in every window), which is why two networks are compared on one board
(`compare.py`).

Without a counter nothing is measured: the meter reports time × a power that the user states, or a stated
default, as "estimated". Ratios of such readings are ratios of time.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

import psutil

from jouleshift.energy.counters import Clock, Sample, Sensor, SystemClock, Window, between, detect, without
from jouleshift.energy.devices import settle
from jouleshift.energy.quiet import measuring, trials_running
from jouleshift.errors import BadInput
from jouleshift.records import EnergyReading

DEFAULT_POWER_W = 50.0
"""Power assumed where there is no sensor and the user states none: a desktop processor at work."""

_SHORTEST_WINDOW_S, _BUSY_PERCENT = 10.0, 15.0
_IDLE_DRIFT, _NOISY = 0.1, 0.05
_FEWEST_WINDOWS = 3
_PATIENCE = 5
"""How many update periods a counter may stand still before a window."""


def refuse_power(power_w: float | None) -> None:
    """Raise `BadInput` for a stated power that is no positive number of watts; None is none stated."""
    if power_w is not None and not 0 < power_w < math.inf:
        raise BadInput(f"power_w {power_w:g}: expected a positive number of watts")


@dataclass(frozen=True)
class Protocol:
    """How long and how often to measure. The defaults are for a board's counters."""

    windows: int = 5
    window_s: float = _SHORTEST_WINDOW_S
    warm_up_s: float = 2.0
    warm_up_calls: int = 10
    idle_s: float = 5.0
    lock_timeout_s: float = 3600.0
    refuse_beside_trials: bool = False


ESTIMATE = Protocol(window_s=1.0, idle_s=0.5, warm_up_s=0.5)
"""Shorter, for timing alone: a clock has no update period."""


@dataclass(frozen=True)
class Measurement:
    """Everything a measurement saw. Energies are joules per item, powers watts; missing is None."""

    origin: str
    estimated: bool
    flags: tuple[str, ...]
    energy_j: float | None = None
    interval_j: tuple[float, float] | None = None
    net_j: float | None = None
    """Less what the machine uses at rest."""
    item_s: float | None = None
    """Wall time per item."""
    idle_before_w: float | None = None
    idle_after_w: float | None = None
    devices_j: Mapping[str, float | None] = field(default_factory=dict)
    windows_j: tuple[float, ...] = ()

    def reading(self) -> EnergyReading:
        """The record that travels with a trial."""
        components: dict[str, float] = {}
        if self.energy_j is not None and self.net_j is not None:
            components = {"work": self.net_j, "idle": self.energy_j - self.net_j}
        return EnergyReading(
            energy_j=self.energy_j,
            source="deployed",
            kind="estimated" if self.estimated else "measured",
            origin=self.origin,
            interval_j=self.interval_j,
            components=components,
            idle_power_w=mean([self.idle_before_w, self.idle_after_w]),
            flags=self.flags,
        )


class EnergyMeter:
    """Measures what a function uses, on `sensor` (this machine's: `counters.detect()`).

    Without one, `power_w` (watts; None: a stated default) times the time is reported as estimated.
    """

    def __init__(
        self,
        sensor: Sensor | None,
        *,
        power_w: float | None = None,
        protocol: Protocol | None = None,
        clock: Clock | None = None,
    ) -> None:
        refuse_power(power_w)
        self.sensor = sensor
        self.protocol = protocol or (ESTIMATE if sensor is None else Protocol())
        self._power_w = power_w
        self._clock = clock or SystemClock()

    def measure(self, fn: Callable[[], object], n_items: int) -> EnergyReading:
        """Joules of one of the `n_items` items that a call of `fn` processes.

        `fn` should run on data that is already on the device, without gradients. Where the machine cannot be
        had for measuring, or other trials run and that is refused, the energy is None and a flag says why.
        """
        if n_items < 1:
            raise BadInput(f"{n_items} items a call: expected at least 1")
        return self.observe(fn, n_items).reading()

    def observe(self, fn: Callable[[], object], n_items: int) -> Measurement:
        """`measure`, with all that was seen."""
        with measuring(self.protocol.lock_timeout_s) as alone:
            beside = trials_running()
            if not alone or (beside and self.protocol.refuse_beside_trials):
                return self._refused("trials-beside" if alone else "another-measurement")
            return self._observe(fn, n_items, ("trials-beside",) if beside else ())

    def window(self, fn: Callable[[], object]) -> tuple[Window, int]:
        """One window of the protocol's length: what passed, and the number of calls. Takes no lock."""
        if self.sensor is None:
            duration_s, calls = self._repeat(fn, self._clock.now())
            return Window(duration_s, {"stated": duration_s * self.stated_power_w}), calls
        first, stuck = self._fresh_sample(fn, self.sensor)
        _, calls = self._repeat(fn, first.time_s)
        seen = between(first, self.sensor.read(), self.sensor)
        return without(seen, stuck), calls

    def _repeat(self, fn: Callable[[], object], start_s: float) -> tuple[float, int]:
        """Call `fn` for a window's length from `start_s` on, at least once: seconds and calls."""
        calls = 0
        while calls == 0 or self._clock.now() - start_s < self.protocol.window_s:
            fn()
            calls += 1
        settle()
        return self._clock.now() - start_s, calls

    def _fresh_sample(self, fn: Callable[[], object], sensor: Sensor) -> tuple[Sample, frozenset[str]]:
        """Call `fn` until every counter has moved, and read them; also the counters that did not move.

        What a counter that stood still had not yet counted would fall into the window.
        """
        settle()
        first = sensor.read()
        while True:
            fn()
            settle()
            sample = sensor.read()
            moved = {name for name, value in sample.joules.items() if value != first.joules[name]}
            stuck = frozenset(name for name, value in first.joules.items() if value is not None) - moved
            if not stuck or sample.time_s - first.time_s > _PATIENCE * sensor.update_period_s:
                return sample, stuck

    def warm_up(self, fn: Callable[[], object]) -> None:
        """Call `fn` until its caches are warm and the board has its working temperature."""
        start_s, calls = self._clock.now(), 0
        while calls < self.protocol.warm_up_calls or self._clock.now() - start_s < self.protocol.warm_up_s:
            fn()
            calls += 1
        settle()

    @property
    def stated_power_w(self) -> float:
        return DEFAULT_POWER_W if self._power_w is None else self._power_w

    @property
    def origin(self) -> str:
        if self.sensor is not None:
            return self.sensor.origin
        told = "assumed" if self._power_w is None else "stated"
        return f"time × {self.stated_power_w:g} W {told}"

    def _observe(self, fn: Callable[[], object], n_items: int, flags: tuple[str, ...]) -> Measurement:
        before = self._rest()
        self.warm_up(fn)
        seen = [self.window(fn) for _ in range(self.protocol.windows)]
        after = self._rest()
        windows = [window for window, _ in seen]
        items = [calls * n_items for _, calls in seen]
        per_item = [w.energy_j / n for w, n in zip(windows, items, strict=True) if w.energy_j is not None]
        energy_j, interval = mean(per_item), interval95(per_item)
        item_s = sum(w.duration_s for w in windows) / sum(items)
        idle_w = mean([before.power_w, after.power_w])
        quality = _window_flags(windows, interval) + _rest_flags(before, after)
        return Measurement(
            origin=self.origin,
            estimated=self.sensor is None,
            flags=flags + self._source_flags() + quality,
            energy_j=energy_j,
            interval_j=interval,
            net_j=None if energy_j is None or idle_w is None else energy_j - idle_w * item_s,
            item_s=item_s,
            idle_before_w=before.power_w,
            idle_after_w=after.power_w,
            devices_j={
                name: mean(_per(w.joules[name], n) for w, n in zip(windows, items, strict=True))
                for name in windows[0].joules
            },
            windows_j=tuple(per_item),
        )

    def _rest(self) -> "_Rest":
        """Leave the machine alone for a while, and see what it draws and how busy others keep it."""
        real = isinstance(self._clock, SystemClock)
        if real:
            psutil.cpu_percent()
        first = self.sensor.read() if self.sensor else None
        self._clock.sleep(self.protocol.idle_s)
        load = psutil.cpu_percent() if real else None
        if self.sensor is None or first is None:
            return _Rest(None, load)
        window = between(first, self.sensor.read(), self.sensor)
        return _Rest(_per(window.energy_j, window.duration_s), load)

    def _source_flags(self) -> tuple[str, ...]:
        if self.sensor is None:
            return ("no-sensor", "default-power") if self._power_w is None else ("no-sensor",)
        return ("short-window",) if self.protocol.window_s < _SHORTEST_WINDOW_S else ()

    def _refused(self, why: str) -> Measurement:
        return Measurement(self.origin, self.sensor is None, ("refused", why))


def measure(fn: Callable[[], object], n_items: int, power_w: float | None = None) -> EnergyReading:
    """Joules of one of the `n_items` items of a call of `fn`, on this machine's sensors.

    Without a sensor, time × `power_w` watts (None: a stated default), marked as estimated.
    """
    return EnergyMeter(detect(), power_w=power_w).measure(fn, n_items)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is there; None where nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def interval95(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean (Student's t); None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half


@dataclass(frozen=True)
class _Rest:
    """The machine at rest: watts (None without a sensor) and processor load of others in percent."""

    power_w: float | None
    load_percent: float | None


def _per(value: float | None, divisor: float) -> float | None:
    return None if value is None or divisor <= 0 else value / divisor


def _window_flags(windows: Sequence[Window], interval: tuple[float, float] | None) -> tuple[str, ...]:
    flags = sorted({flag for window in windows for flag in window.flags})
    valid = sum(window.energy_j is not None for window in windows)
    if valid < len(windows):
        flags.append("lost-windows")
    if valid < _FEWEST_WINDOWS:
        flags.append("few-windows")
    if interval is not None and interval[1] - interval[0] > _NOISY * (interval[1] + interval[0]):
        flags.append("noisy")
    return tuple(flags)


def _rest_flags(before: _Rest, after: _Rest) -> tuple[str, ...]:
    flags = []
    if before.power_w and after.power_w and abs(after.power_w / before.power_w - 1) > _IDLE_DRIFT:
        flags.append("idle-drift")
    if max(before.load_percent or 0.0, after.load_percent or 0.0) > _BUSY_PERCENT:
        flags.append("busy-machine")
    return tuple(flags)
