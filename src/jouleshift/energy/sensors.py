"""Which energy sensors this machine has.

Five families of sensors count joules: NVIDIA's management library (NVML) and Jetson modules, the processor's
RAPL counters, Apple's and AMD's. Each may be absent, or present and unreadable; the difference matters: the
second can be mended. `probe` says which it is without raising and without starting anything.
"""

import platform
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows RAPL: a folder a zone, with its name and a counter in microjoules."""

_AMDGPU = Path("/sys/module/amdgpu")
_TEGRA = (Path("/etc/nv_tegra_release"), Path("/usr/lib/aarch64-linux-gnu/tegra"))


class Probe(NamedTuple):
    """One family of sensors: whether it can be read now, and what was found or how to mend it."""

    name: str
    works: bool
    detail: str


def probe() -> list[Probe]:
    """All families of energy sensors, in a fixed order; takes milliseconds and changes nothing."""
    families: tuple[tuple[str, Callable[[], tuple[bool, str]]], ...] = (
        ("NVML", _nvml),
        ("RAPL", _rapl),
        ("Apple", _apple),
        ("AMD", _amd),
        ("Jetson", _jetson),
    )
    return [Probe(name, *look()) for name, look in families]


def _nvml() -> tuple[bool, str]:
    try:
        import pynvml
    except ImportError:
        return False, "package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return False, f"no NVIDIA driver ({error})"
    counting, why = 0, ""
    try:
        boards = pynvml.nvmlDeviceGetCount()
        for index in range(boards):
            try:
                pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(index))
                counting += 1
            except pynvml.NVMLError as error:
                why = str(error)
    except pynvml.NVMLError as error:
        boards, why = 0, str(error)
    finally:
        pynvml.nvmlShutdown()
    return _counted(counting, boards, why)


def _counted(counting: int, boards: int, why: str) -> tuple[bool, str]:
    """What is told of GPUs of which some have a counter; the others are left out of a measurement."""
    if why and not counting:
        return False, f"no energy counter ({why}); needs Volta or newer"
    found = f"energy counter of {counting}{f' of {boards}' if counting < boards else ''} GPUs"
    if find_spec("zeus") is None:
        return False, f"{found}; to read it: pip install zeus"
    return counting > 0, found


def rapl_counters(root: Path = POWERCAP) -> dict[str, Path]:
    """Counter files of the processor's packages and of memory, by name; the parts of a package are left out.

    A package counts its cores and graphics too, so adding the parts would count them twice. Memory is a part
    by its place in the tree but not in the package's count.
    """
    counters: dict[str, Path] = {}
    for zone in sorted(root.glob("intel-rapl:*")) if root.is_dir() else []:
        label = (zone / "name").read_text().strip() if (zone / "name").is_file() else ""
        is_package = zone.name.count(":") == 1 and label.startswith("package")
        if (is_package or label == "dram") and (zone / "energy_uj").is_file():
            package = zone.name.split(":")[1]
            counters[f"cpu{package}" if is_package else f"dram{package}"] = zone / "energy_uj"
    return counters


def _rapl(root: Path = POWERCAP) -> tuple[bool, str]:
    counters = rapl_counters(root)
    if not counters:
        return False, "no powercap counters (virtual machines rarely have them)"
    try:
        for counter in counters.values():
            int(counter.read_text())
    except PermissionError:
        return False, f"not readable; allow it with: sudo chmod a+r {root}/intel-rapl:*/energy_uj"
    except (OSError, ValueError) as error:
        return False, f"not readable ({error})"
    return True, f"counters {', '.join(counters)}"


def _apple() -> tuple[bool, str]:
    if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
        return False, "not an Apple computer"
    if find_spec("zeus_apple_silicon") is None:
        return False, "install it with: pip install 'zeus[apple]'"
    return True, "energy counters of the chip"


def _amd() -> tuple[bool, str]:
    if not _AMDGPU.is_dir():
        return False, "no AMD GPU driver"
    if find_spec("amdsmi") is None:
        return False, "install it with: pip install amdsmi"
    return True, "energy counter of the GPU"


def _jetson() -> tuple[bool, str]:
    if not any(path.exists() for path in _TEGRA):
        return False, "not a Jetson module"
    if find_spec("zeus") is None:
        return False, "to read its power monitors: pip install zeus"
    return True, "power monitors of the module"
