"""Energy as the paper measures it: CodeCarbon around a pass of inference (source "simulated").

The paper (section 5.1) wraps CodeCarbon around validation inference of the float simulation of a shift
network, and takes the energy behind the reported emissions. We do the same, to be compared with it, and
nothing else: what is measured is a simulation in which each shift layer costs more than a plain one, not
the network that would ship. A search tracks whole validation passes, as the paper's code does: drawing and
normalising batches, the network, the loss, the count of errors. Reading and decoding files is not in it,
because images are decoded once and kept.

CodeCarbon reads the GPU's energy counter (NVML) where there is one and the CPU's (RAPL) where it may.
Otherwise it takes the CPU's design power times its load, and memory is a constant per module always, so on
machines without counters the figure is little more than run time. Such readings are of the kind "estimated"
and flagged.

Its traps, and what is done about them: it may look for the machine's country over the network and assume
Quebec (the offline tracker is used, with a country given); a configuration file or environment variable of
the user's can change what is measured (every setting that matters is passed explicitly); it writes files
and logs (neither is wanted here); the first task takes about two seconds to set up (a first task is thrown
away, with the first pass as warm-up); a short task reads zero (the pass is repeated until the window is
long enough); energies are in kWh (converted once, below).
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jouleshift.energy.carbon import country_code, country_names
from jouleshift.energy.devices import settle
from jouleshift.energy.vendors import import_quietly
from jouleshift.errors import BadInput, nearest
from jouleshift.records import EnergyReading
from jouleshift.words import count

_JOULES_PER_KWH = 3.6e6
_MEASURED_CPU = {"intel_rapl": "RAPL", "intel_power_gadget": "Power Gadget", "windows_emi": "Windows EMI"}


def country_of(region: str) -> str:
    """The ISO code of the country that CodeCarbon is told. Raises BadInput where `region` is none."""
    country = country_code(region)
    if country is None:
        hint = nearest(region, country_names())
        hint = hint if "did you mean" in hint else ", by ISO code such as DEU"
        raise BadInput(f"region {region!r}: the simulated energy source needs a country{hint}")
    return country


def simulated(
    fn: Callable[[], object], n_items: int, region: str, min_window_s: float = 3.0
) -> EnergyReading:
    """Energy of one item of `fn`, which processes `n_items` items in one call.

    `fn` is called once to warm up, then again and again for at least `min_window_s` seconds. `region` is a
    country that CodeCarbon knows, by ISO code or name. The reading's origin says how many passes took how
    long; its components are joules per item of cpu, gpu and ram. Where CodeCarbon returns nothing or zero,
    the energy is None and the flag is "no-reading". Raises BadInput for another region.
    """
    country = country_of(region)
    with _quiet():
        tracker = _tracker(country)
        _task(tracker, fn, 0.0)
        data, passes, duration_s = _task(tracker, fn, min_window_s)
        cpu, gpu, flags = _methods(tracker)
    how_long = f"{count(passes, 'pass', 'passes')} in {duration_s:.1f} s"
    origin = f"CodeCarbon {_version()} in {country}: cpu {cpu}, gpu {gpu}; {how_long}"
    if data is None or not data.energy_consumed > 0:
        return EnergyReading(None, "simulated", "estimated", origin, flags=(*flags, "no-reading"))
    per_item = _JOULES_PER_KWH / (passes * n_items)
    components = {"cpu": data.cpu_energy * per_item, "ram": data.ram_energy * per_item}
    if gpu != "none":
        components["gpu"] = data.gpu_energy * per_item
    return EnergyReading(
        energy_j=data.energy_consumed * per_item,
        source="simulated",
        kind="estimated" if "cpu-load-model" in flags else "measured",
        origin=origin,
        components=components,
        flags=flags,
    )


def _task(tracker: Any, fn: Callable[[], object], min_window_s: float) -> tuple[Any, int, float]:
    """Track calls of `fn` until `min_window_s` have passed, at least one: data, calls, seconds."""
    tracker.start_task()
    passes, start = 0, time.perf_counter()
    try:
        while passes == 0 or time.perf_counter() - start < min_window_s:
            fn()
            settle()
            passes += 1
    finally:
        data = tracker.stop_task()
    return data, passes, time.perf_counter() - start


def _tracker(country: str) -> Any:
    """An offline tracker that no configuration file or environment variable can redirect."""
    from codecarbon import OfflineEmissionsTracker

    return OfflineEmissionsTracker(
        country_iso_code=country,
        region=None,
        cloud_provider=None,
        cloud_region=None,
        country_2letter_iso_code=None,
        tracking_mode="machine",
        output_methods=[],
        output_handlers=[],
        output_dir=tempfile.gettempdir(),
        emissions_endpoint=None,
        electricitymaps_api_token=None,
        force_carbon_intensity_g_co2e_kwh=0.0,  # grams are not asked for, and a table is not looked up
        force_cpu_power=None,
        force_ram_power=None,
        force_mode_cpu_load=False,
        pue=1.0,
        wue=0.0,
        allow_multiple_runs=True,
        log_level="critical",
    )


def _methods(tracker: Any) -> tuple[str, str, tuple[str, ...]]:
    """How CPU and GPU are read, and the flags that follow. CodeCarbon says it in private attributes only."""
    cpu, gpu, flags = "none", "none", ["constant-ram-model"]
    for hardware in tracker._hardware:
        name = type(hardware).__name__
        if name == "GPU":
            gpu = "NVML or AMD SMI counter"
        elif name == "CPU":
            cpu = _MEASURED_CPU.get(hardware._mode, f"{hardware.get_model()} by load")
        elif name == "AppleSiliconChip":
            cpu = gpu = "powermetrics"
        elif name == "Raspberry":
            cpu = "power management chip"
            flags.remove("constant-ram-model")
    if cpu.endswith("by load"):
        flags.append("cpu-load-model")
    return cpu, gpu, tuple(flags)


def _version() -> str:
    from codecarbon._version import __version__

    return str(__version__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep CodeCarbon's logger silent: it writes to stderr on its own handler."""
    import_quietly("codecarbon")  # sets the level when imported, so it comes first
    log = logging.getLogger("codecarbon")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
