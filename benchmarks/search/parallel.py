"""How much several workers bring: real trainings on this machine, and a simulated cluster.

    python -m benchmarks.search.parallel real                 # 2 workers of one thread against one
    python -m benchmarks.search.parallel simulated --workers 256 --trials 2000

`real` trains the same random configurations twice and compares trials per minute, from the first proposal to
the last result. `simulated` runs the study's own loop, scheduler and journal with trials that sleep: sleeping
costs nothing, so time is the process's own (proposals, journal, learning of results) plus what it would have
waited. A trial takes `--epoch-s` seconds an epoch, more or less by a factor that depends on its
configuration. Busy is the share of the workers' time in trials until the last proposal; what follows is only
the end of the last trials.
"""

import argparse
import heapq
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.search.problems import MAX_BUDGET, PROBLEMS
from jouleshift.hpo import make_scheduler
from jouleshift.hpo.executor import Done
from jouleshift.hpo.study import run_study
from jouleshift.journal import read_events
from jouleshift.records import EnergyReading, Evaluation, Trial
from jouleshift.store import JOURNAL, Journal

TABLE1 = PROBLEMS["table1"]


@dataclass
class Sleeping:
    """Workers whose trials sleep, in a time that skips the waiting."""

    workers: int
    epoch_s: float
    slept_s: float = 0.0
    begun_s: float = field(default_factory=time.perf_counter)
    budgets: dict[int, int] = field(default_factory=dict)
    spans: list[tuple[float, float]] = field(default_factory=list)
    _running: list[tuple[float, int, Trial]] = field(default_factory=list)

    def now_s(self) -> float:
        return time.perf_counter() - self.begun_s + self.slept_s

    @property
    def free(self) -> int:
        return self.workers - len(self._running)

    def submit(self, trial: Trial) -> None:
        epochs = trial.budget - self.budgets.get(trial.parent or 0, 0)
        self.budgets[trial.id] = trial.budget
        spread = random.Random(repr(sorted(trial.config.items()))).lognormvariate(0.0, 0.5)
        now_s = self.now_s()
        ends_s = now_s + epochs * self.epoch_s * spread
        self.spans.append((now_s, ends_s))
        heapq.heappush(self._running, (ends_s, trial.id, trial))

    def wait(self) -> Done:
        ends_s, _, trial = heapq.heappop(self._running)
        self.slept_s += max(0.0, ends_s - self.now_s())
        values = TABLE1.evaluate(trial.config, trial.budget, 0)
        energy = EnergyReading(values["energy_j"], "modelled", "modelled", "table1")
        return Done(trial, Evaluation(values["error"], energy, (), trial.budget, 0, 0.0, 0.0), 0.0)

    def busy(self, until_s: float) -> float:
        """The share of the workers' time in trials up to a moment."""
        used_s = sum(min(end, until_s) - begin for begin, end in self.spans)
        return used_s / (self.workers * until_s)


def simulated(method: str, workers: int, trials: int, epoch_s: float) -> dict[str, float]:
    """Busy share, and what the process itself needed for each trial."""
    scheduler = make_scheduler(
        method, TABLE1.space(), TABLE1.objectives, 1, MAX_BUDGET, 3, seed=0, known=TABLE1.known
    )
    executor = Sleeping(workers, epoch_s)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        run_study(scheduler, executor, journal, trials)
    until_s = executor.spans[-1][0]
    return {
        "busy": executor.busy(until_s),
        "simulated_s": until_s,
        "own_s_per_trial": (executor.now_s() - executor.slept_s) / trials,
    }


def trials_per_minute(workers: int, trials: int, model: str, folder: Path) -> float:
    """Throughput of a real search on digits, one thread a worker."""
    out = folder / str(workers)
    settings = {
        "workers": workers, "threads": 1, "trials": trials, "model": model, "scheduler": "random",
        "min-budget": 1, "max-budget": 3, "out": out,
    }  # fmt: skip
    flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    subprocess.run(
        [sys.executable, "-m", "jouleshift", "search", "digits", *flags],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    events, _, _ = read_events(out / JOURNAL)
    first, last = events[0].time, events[-1].time
    assert first is not None and last is not None
    return 60 * trials / (last - first).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("real", "simulated"))
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--epoch-s", type=float, default=30.0)
    parser.add_argument("--method", default="mo-hyperband")
    parser.add_argument("--model", default="resnet20")
    options = parser.parse_args()
    if options.what == "simulated":
        found = simulated(options.method, options.workers, options.trials or 2000, options.epoch_s)
        print(", ".join(f"{name} {value:.4g}" for name, value in found.items()))
        return
    with tempfile.TemporaryDirectory() as folder:
        one, two = (trials_per_minute(n, options.trials or 24, options.model, Path(folder)) for n in (1, 2))
    print(f"trials a minute: {one:.2f} with one worker, {two:.2f} with two: × {two / one:.2f}")


if __name__ == "__main__":
    main()
