"""A network in its runtime, in a process of its own: how long it takes, and what it uses.

Runtimes in one process fight over the cores (each keeps a pool of threads that spin), which falsifies the
figures of all. So each is measured in a fresh process that imports nothing but what it needs; the energy
protocol (`energy.meter`) runs there too. The process gets a path and numbers and gives numbers back.

A fresh process needs a few seconds before it shows its speed: where processors share no cache that the
system knows of (virtual machines), its threads start on one of them and are spread after about two seconds.
Until then two threads are as slow as one. So the warm-up is counted in seconds, not only in calls.

Which runtime is the fastest depends on the network and the machine, so `FASTEST` times those that are
installed and exact, one after the other, and takes the best. A search does not: what its trials run in must
not change from one to the next.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import TypeVar

import numpy as np

from jouleshift.deploy.nodes import Float32Array
from jouleshift.energy.quiet import measuring, tell, telling
from jouleshift.errors import BadInput
from jouleshift.records import EnergyReading

LATENCY_RUNS = 25
_WARM_UP_RUNS = 10
_POLL_S = 0.1
FASTEST = "fastest"

Executor = Callable[[Float32Array], Float32Array]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Latency:
    """Seconds of one call on a whole batch: median and quartiles over `runs` calls."""

    median_s: float
    low_s: float
    high_s: float
    runs: int


@dataclass(frozen=True)
class Conditions:
    """How to measure: runtime (of `deploy.runtime`, or `FASTEST`), images a call, threads, watts where no
    sensor tells.

    `window_s` None is the protocol's own length. `warm_up_s` is the least time of calls before any counts.
    """

    runtime: str = "auto"
    batch: int = 64
    threads: int = 1
    power_w: float | None = None
    windows: int = 5
    window_s: float | None = None
    warm_up_s: float = 3.0

    def __post_init__(self) -> None:
        from jouleshift.energy.meter import refuse_power

        for name in ("batch", "threads", "windows"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} {getattr(self, name)}: expected at least 1")
        refuse_power(self.power_w)


@dataclass(frozen=True)
class Ran:
    """What a process saw: the runtime it took, its logits, time of a batch, and energy per image."""

    runtime: str
    logits: Float32Array
    latency: Latency
    energy: EnergyReading


def run_alone(path: Path, images: Float32Array, conditions: Conditions) -> Ran:
    """Measure the exported model at `path` on the first batch of `images`, in a process of its own.

    The logits are of all images, batch by batch. Raises `BadInput` where the file cannot be run.
    """
    if conditions.runtime == FASTEST:
        conditions = replace(conditions, runtime=_fastest(path, images, conditions))
    return _alone(_run, path, images, conditions)


def _fastest(path: Path, images: Float32Array, conditions: Conditions) -> str:
    """The runtime with the least median time of a batch; told with the times of the others."""
    from jouleshift.deploy.runtime import candidates

    names = ["auto"] if path.suffix == ".c" else candidates(path)
    if len(names) == 1:
        return names[0]
    with measuring():
        seconds = {name: _alone(_timed, path, images, replace(conditions, runtime=name)) for name in names}
    ranked = sorted(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{name} {1000 * seconds[name]:.3g} ms" for name in ranked)
    tell(f"a batch of {conditions.batch} takes {times}: measuring {ranked[0]}")
    return ranked[0]


def _alone(
    task: Callable[[Path, Float32Array, Conditions], _T],
    path: Path,
    images: Float32Array,
    conditions: Conditions,
) -> _T:
    """What a task gives in a process of its own, whose words are passed on."""
    spawn = get_context("spawn")
    words, said = spawn.Pipe(duplex=False)
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(said,)) as pool:
        try:
            running = pool.submit(task, path, images, conditions)
            while not running.done():
                if words.poll(_POLL_S):
                    tell(words.recv())
            return running.result()
        except BrokenProcessPool:
            raise BadInput(f"the runtime's process died while running {path}") from None


def _begin(said: Connection) -> None:
    """Pass words on, and end with the process that waits for the result, however that one ends."""
    telling(said.send)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    waiting = parent_process()
    assert waiting is not None
    waiting.join()
    os._exit(1)


def _timed(path: Path, images: Float32Array, conditions: Conditions) -> float:
    """Median seconds of a batch."""
    _, run = _loaded(path, conditions)
    batch = images[: conditions.batch]
    return _latency(lambda: run(batch), conditions.warm_up_s).median_s


def _run(path: Path, images: Float32Array, conditions: Conditions) -> Ran:
    runtime, run = _loaded(path, conditions)
    size = conditions.batch
    first, *others = (images[start : start + size] for start in range(0, len(images), size))
    ran = observe(runtime, lambda: run(first), len(first), conditions)
    return replace(ran, logits=np.concatenate([ran.logits, *map(run, others)]))


def _loaded(path: Path, conditions: Conditions) -> tuple[str, Executor]:
    """The runtime's name, and what runs the file in it; C is compiled, and has one thread."""
    if path.suffix == ".c":
        from jouleshift.deploy.c.build import loaded

        if conditions.runtime != "auto":
            raise BadInput(f"{path}: C needs no runtime; leave {conditions.runtime} out")
        return "C, 1 thread", loaded(path)
    from jouleshift.deploy.runtime import choose, load

    runtime = choose(path, conditions.runtime)
    return runtime, load(path, runtime, conditions.threads)


def observe(runtime: str, call: Callable[[], Float32Array], n_items: int, conditions: Conditions) -> Ran:
    """Time a call and measure its energy, in this process."""
    from jouleshift.energy.counters import detect
    from jouleshift.energy.meter import ESTIMATE, EnergyMeter, Protocol

    logits = np.asarray(call())
    sensor = detect()
    protocol = replace(ESTIMATE if sensor is None else Protocol(), windows=conditions.windows)
    if conditions.window_s is not None:
        protocol = replace(protocol, window_s=conditions.window_s)
    latency = _latency(call, conditions.warm_up_s)
    meter = EnergyMeter(sensor, power_w=conditions.power_w, protocol=protocol)
    return Ran(runtime, logits, latency, meter.measure(call, n_items))


def _latency(call: Callable[[], object], warm_up_s: float) -> Latency:
    end, calls = time.perf_counter() + warm_up_s, 0
    while calls < _WARM_UP_RUNS or time.perf_counter() < end:
        call()
        calls += 1
    seen = []
    for _ in range(LATENCY_RUNS):
        start = time.perf_counter()
        call()
        seen.append(time.perf_counter() - start)
    low, median, high = quantiles(seen, n=4)
    return Latency(median, low, high, LATENCY_RUNS)
