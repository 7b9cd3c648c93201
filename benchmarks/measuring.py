"""How the benchmarks measure time, and what they write beside each figure.

Variants are timed in turn, round after round, in an order that is shuffled anew each round, so that a machine
that gets slower for a while slows all of them. What is reported is the median over rounds with quartiles, and
for comparisons the median of the ratio *within* a round, which such drifts leave alone.
"""

import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def interleaved(steps: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> dict[str, list]:
    """Seconds of each step in each round."""
    for step in steps.values():
        for _ in range(warm_up):
            step()
    order, shuffled = list(steps), random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            started = time.perf_counter()
            steps[name]()
            times[name].append(time.perf_counter() - started)
    return times


def summary(values: list[float]) -> dict[str, float]:
    """Median and quartiles, and the smallest value."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": middle, "q1": low, "q3": high, "min": min(values), "n": len(values)}


def ratio(times: Mapping[str, list[float]], name: str, base: str) -> dict[str, float]:
    """The summary of `name` / `base`, round by round."""
    return summary([a / b for a, b in zip(times[name], times[base], strict=True)])


def line(name: str, seconds: list[float], relative: dict[str, float]) -> str:
    """One row of a printed table: time in ms and ratio, each with its quartiles."""
    time_s = summary(seconds)
    low, middle, high = (f"{1e3 * time_s[key]:.0f}" for key in ("q1", "median", "q3"))
    spread = f"{relative['q1']:.3f} to {relative['q3']:.3f}"
    return f"  {name:38} {middle:>7} ms ({low} to {high})  × {relative['median']:.3f} ({spread})  n = {time_s['n']}"


def environment() -> dict[str, Any]:
    """What a figure depends on besides the code. `load_average` well above 0 says the machine was shared."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "revision": revision.stdout.strip(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def write(name: str, content: Mapping[str, Any]) -> None:
    """results/NAME.json, with the environment."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"environment": environment(), **content}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
