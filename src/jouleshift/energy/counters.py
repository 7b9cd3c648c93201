"""Energy counters: cumulative joules by component, and what passes between two readings.

Every sensor here is a counter that only grows: NVIDIA's and AMD's boards, the processor's RAPL, Apple's and
Jetson's chips. A window of measurement is the difference of two readings, which is where counters deceive:

    it wraps        RAPL starts again at its range (some 65 or 262 kJ): the difference is taken modulo it
    it goes back    with no range to explain it (a reset, a driver's fault): the window has no value
    it stands still over a window longer than its update period: no value, for no device uses nothing
    it is missing   at either end: no value

Missing is None, never 0; a sum with a missing part is missing. Each case is named in the window's flags.

GPUs, Apple and Jetson are read through Zeus (optional: pip install zeus), which knows the vendors' libraries.
RAPL is a file with a number, read here directly: Zeus would start a helper process for its wrap-around, which
imports the user's script a second time, and the modulus makes that unnecessary for windows shorter than a
range.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from jouleshift.energy.sensors import POWERCAP, rapl_counters
from jouleshift.energy.vendors import import_quietly


class Clock(Protocol):
    """Time as a meter sees it: seconds from any origin."""

    def now(self) -> float: ...

    def sleep(self, duration_s: float) -> None: ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.perf_counter()

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


@dataclass(frozen=True)
class Sample:
    """One reading of a sensor: when, and cumulative joules by component (None where it could not be read)."""

    time_s: float
    joules: Mapping[str, float | None]


@dataclass(frozen=True)
class Window:
    """What passed between two samples: seconds, joules by component, and what was wrong."""

    duration_s: float
    joules: Mapping[str, float | None]
    flags: tuple[str, ...] = ()

    @property
    def energy_j(self) -> float | None:
        """The sum over components; None where one is missing or there is none."""
        known = [joules for joules in self.joules.values() if joules is not None]
        return sum(known) if known and len(known) == len(self.joules) else None


class Sensor(ABC):
    """A set of energy counters that are read together."""

    origin: str
    """What is read, in words."""

    update_period_s: float
    """How long a counter may stand still although energy flows."""

    @abstractmethod
    def read(self) -> Sample:
        """All counters now. Never raises for a counter that fails: its value is None."""

    def ranges_j(self) -> Mapping[str, float]:
        """Where a counter starts again from zero, for components that do."""
        return {}


def between(first: Sample, last: Sample, sensor: Sensor) -> Window:
    """The window between two samples of one sensor."""
    duration_s, ranges = last.time_s - first.time_s, sensor.ranges_j()
    joules: dict[str, float | None] = {}
    flags: set[str] = set()
    for name in first.joules:
        joules[name], flag = _difference(first.joules[name], last.joules.get(name), ranges.get(name))
        if joules[name] == 0 and duration_s > sensor.update_period_s:
            joules[name], flag = None, "zero"
        if flag is not None:
            flags.add(f"sensor-{flag}:{name}")
    return Window(duration_s, joules, tuple(sorted(flags)))


def without(window: Window, stuck: Collection[str]) -> Window:
    """The window less the components that stood still when it began."""
    joules = {name: None if name in stuck else value for name, value in window.joules.items()}
    flags = {*window.flags, *(f"sensor-zero:{name}" for name in stuck)}
    return Window(window.duration_s, joules, tuple(sorted(flags)))


def _difference(
    first: float | None, last: float | None, range_j: float | None
) -> tuple[float | None, str | None]:
    if first is None or last is None:
        return None, "missing"
    if last >= first:
        return last - first, None
    if range_j is None:
        return None, "backwards"
    return last - first + range_j, None


class RaplSensor(Sensor):
    """The processor's packages and, where it counts them, its memory (Linux powercap, microjoules)."""

    update_period_s = 0.01

    def __init__(self, root: Path = POWERCAP, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._counters = rapl_counters(root)
        self.origin = f"RAPL counters {', '.join(self._counters)}"
        self._ranges = {name: _rapl_range_j(path) for name, path in self._counters.items()}

    def __len__(self) -> int:
        return len(self._counters)

    def read(self) -> Sample:
        now = self._clock.now()
        return Sample(now, {name: _microjoules(path) for name, path in self._counters.items()})

    def ranges_j(self) -> Mapping[str, float]:
        return {name: value for name, value in self._ranges.items() if value is not None}


def _microjoules(path: Path) -> float | None:
    with suppress(OSError, ValueError):
        return int(path.read_text()) * 1e-6
    return None


def _rapl_range_j(path: Path) -> float | None:
    return _microjoules(path.with_name("max_energy_range_uj"))


class ZeusSensor(Sensor):
    """GPUs (NVIDIA, AMD) and systems on a chip (Apple, Jetson) through Zeus, which counts in millijoules.

    A GPU whose counter gives nothing at the start, one older than Volta beside newer ones, is left out and
    named in `origin`; with it every sum would be missing.
    """

    update_period_s = 0.1
    """NVML refreshes its counter about ten times a second."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._gpus, self._soc = _zeus_devices()
        self._soc_last: dict[str, float | None] = {}
        boards = range(0 if self._gpus is None else len(self._gpus))
        self._counting = [index for index in boards if self._gpu_j(index) is not None]
        self.origin = self._in_words([index for index in boards if index not in self._counting])

    def _in_words(self, silent: Sequence[int]) -> str:
        """What is read, and which boards are not: their energy is in no figure."""
        names = [self._gpus.get_name(index) for index in self._counting]
        names += [] if self._soc is None else [type(self._soc).__name__]
        left = [f"gpu{index} {self._gpus.get_name(index)}" for index in silent]
        return f"Zeus: {', '.join(names)}" + (f", without {', '.join(left)} (no counter)" if left else "")

    def __len__(self) -> int:
        return len(self._counting) + (self._soc is not None)

    def read(self) -> Sample:
        now = self._clock.now()
        joules = {f"gpu{index}": self._gpu_j(index) for index in self._counting}
        if self._soc is not None:
            joules |= self._soc_j()
        return Sample(now, joules)

    def _gpu_j(self, index: int) -> float | None:
        from zeus.exception import ZeusBaseError

        try:
            return self._gpus.get_total_energy_consumption(index) / 1000
        except ZeusBaseError:
            return None

    def _soc_j(self) -> dict[str, float | None]:
        """What the chip counts; after a failed reading what it counted before, as None."""
        from zeus.exception import ZeusBaseError

        try:
            self._soc_last = _chip_j(self._soc.get_total_energy_consumption())
        except ZeusBaseError:
            return dict.fromkeys(self._soc_last)
        return self._soc_last


def _chip_j(measured: Any) -> dict[str, float | None]:
    """Joules by component of Zeus's reading of a chip, in the names that its makers' classes have.

    A Jetson's total is that of the whole module, processor and graphics among it, so it stands alone where it
    is there. Apple's parts add up.
    """
    total = getattr(measured, "total_energy_mj", None)
    if total is not None:
        return {"module": total / 1000}
    parts = {
        "cpu": ("cpu_total_mj", "cpu_energy_mj"),
        "dram": ("dram_mj",),
        "gpu": ("gpu_mj", "gpu_energy_mj"),
        "ane": ("ane_mj",),
    }
    values = {name: [getattr(measured, field, None) for field in fields] for name, fields in parts.items()}
    return {name: value / 1000 for name, options in values.items() for value in options if value is not None}


def _zeus_devices() -> tuple[Any, Any]:
    """Zeus's GPU and chip managers, None for what this machine lacks."""
    import_quietly("zeus.device")
    from zeus.device import get_gpus, get_soc
    from zeus.device.gpu.common import ZeusGPUInitError
    from zeus.device.soc.common import ZeusSoCInitError

    gpus = soc = None
    with suppress(ZeusGPUInitError):
        gpus = get_gpus()
    with suppress(ZeusSoCInitError):
        soc = get_soc()
    return gpus, soc


class CombinedSensor(Sensor):
    """Several sensors as one; their components must have different names."""

    def __init__(self, parts: Sequence[Sensor]) -> None:
        self._parts = tuple(parts)
        self.origin = "; ".join(part.origin for part in parts)
        self.update_period_s = max(part.update_period_s for part in parts)

    def read(self) -> Sample:
        samples = [part.read() for part in self._parts]
        joules = {name: value for sample in samples for name, value in sample.joules.items()}
        return Sample(samples[0].time_s, joules)

    def ranges_j(self) -> Mapping[str, float]:
        return {name: value for part in self._parts for name, value in part.ranges_j().items()}


def detect() -> Sensor | None:
    """All counters that work on this machine as one sensor, or None where there is none."""
    parts: list[Sensor] = []
    rapl = RaplSensor()
    if len(rapl) and all(value is not None for value in rapl.read().joules.values()):
        parts.append(rapl)
    if find_spec("zeus") is not None:
        zeus = ZeusSensor()
        if len(zeus) and any(value is not None for value in zeus.read().joules.values()):
            parts.append(zeus)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else CombinedSensor(parts)
