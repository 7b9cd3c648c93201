"""What a number depends on besides the configuration: versions, code revision, machine.

Collected without importing the libraries it names, and written into every run as env.json.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from jouleshift.errors import BadInput

LIBRARIES = (
    "jouleshift",
    "torch",
    "torchvision",
    "numpy",
    "scikit-learn",
    "ConfigSpace",
    "smac",
    "codecarbon",
    "zeus",
    "onnx",
    "onnxruntime",
    "openvino",
    "pytorch_optimizer",
    "moocore",
    "plotly",
)
"""Whose versions are kept."""
_READ = {
    "versions": dict,
    "max_depth": int,
    "classes": list,
    "images": dict,
    "search_energy": list,
    "profile_digest": str,
}
"""What is read of a run's env.json, and as what."""


def versions() -> dict[str, str | None]:
    """Version of each library of ours, None where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def describe() -> dict[str, Any]:
    """This machine and this installation, as plain JSON."""
    return {
        "versions": versions(),
        "git_revision": _git_revision(Path(__file__).parent),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "executable": Path(sys.executable).name,
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Processor, versions and code revision that changed since a run began, as "name: then → now"."""
    then, current = (
        {"processor": env.get("cpu"), "revision": env.get("git_revision"), **env.get("versions", {})}
        for env in (before, now)
    )
    return [f"{name}: {then[name]} → {current.get(name)}" for name in then if then[name] != current.get(name)]


def _git_revision(folder: Path) -> str | None:
    """The commit this package runs from, "+" appended where files were changed; None outside a checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def read(path: Path) -> dict[str, Any]:
    """What `env.json` says, nothing where there is none. Raises `BadInput`, also where it says something else
    than it should of what is read there."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no JSON object: restore it, or delete it to do without")
    for name, kind in _READ.items():
        if name in found and not isinstance(found[name], kind):
            raise BadInput(f"{path}: {name} is {json.dumps(found[name])[:60]}: restore it")
    for entry in found.get("search_energy", []):
        if not _tells_cost(entry):
            raise BadInput(f"{path}: search_energy has {json.dumps(entry)[:60]}: restore it")
    return found


def _tells_cost(entry: Any) -> bool:
    """Whether an entry of `search_energy` has what is counted together: seconds, and joules or null."""
    numbers = (int, float)
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("duration_s"), numbers)
        and "energy_j" in entry
        and isinstance(entry["energy_j"], (*numbers, type(None)))
    )
