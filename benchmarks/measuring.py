"""How the benchmarks measure time, and what they write beside each figure.

Variants are timed in turn, round after round, in an order that is shuffled anew each round, so that a machine
that gets slower for a while slows all of them. What is reported is the median over rounds with quartiles, and
for comparisons the median of the ratio *within* a round, which such drifts leave alone.

Beside wall time the processor time of the process is kept. On a quiet machine the two say the same; on a
shared one wall time counts the neighbours too, and processor time (with OMP_WAIT_POLICY=PASSIVE, so that
waiting threads do not spin) is the one to compare by.
"""

import json
import math
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
_FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Times:
    """Seconds of one variant in each round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def relative(self, base: "Times") -> dict[str, dict[str, float]]:
        """Summaries of the ratio to `base`, round by round."""
        return {
            "wall": summary([a / b for a, b in zip(self.wall_s, base.wall_s, strict=True)]),
            "cpu": summary([a / b for a, b in zip(self.cpu_s, base.cpu_s, strict=True)]),
        }

    def summaries(self) -> dict[str, dict[str, float]]:
        return {"wall_s": summary(self.wall_s), "cpu_s": summary(self.cpu_s)}


def interleaved(
    steps: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 2, limit_s: float = math.inf
) -> dict[str, Times]:
    """Time each step in each round, in at most `rounds` rounds; after `limit_s` seconds no fourth one begins.

    The limit counts the warm-up too.
    """
    started = time.perf_counter()
    for step in steps.values():
        for _ in range(warm_up):
            step()
    order, shuffled = list(steps), random.Random(0)
    times = {name: Times() for name in steps}
    for done in range(rounds):
        if done >= _FEWEST_ROUNDS and time.perf_counter() - started > limit_s:
            break
        shuffled.shuffle(order)
        for name in order:
            wall, cpu = time.perf_counter(), time.process_time()
            steps[name]()
            times[name].cpu_s.append(time.process_time() - cpu)
            times[name].wall_s.append(time.perf_counter() - wall)
    return times


def summary(values: list[float]) -> dict[str, float]:
    """Median and quartiles, and the smallest value."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": middle, "q1": low, "q3": high, "min": min(values), "n": len(values)}


def line(name: str, times: Times, base: Times) -> str:
    """One row of a printed table: milliseconds and ratios to `base`, medians with quartiles."""
    cells = [f"  {name:36}"]
    for kind, values in (("wall", times.wall_s), ("cpu", times.cpu_s)):
        ms, relative = summary(values), times.relative(base)[kind]
        cells.append(
            f"{kind} {1e3 * ms['median']:7.0f} ms × {relative['median']:.3f} "
            f"({relative['q1']:.3f} to {relative['q3']:.3f})"
        )
    return "  ".join([*cells, f"n = {len(times.wall_s)}"])


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
        **{name: version(name) for name in ("onnxruntime", "openvino") if find_spec(name)},
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
