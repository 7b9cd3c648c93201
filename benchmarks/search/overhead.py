"""Time of a proposal, by the number of trials already told.

    python -m benchmarks.search.overhead --told 200 1000 5000 --out FILE.csv
    python -m benchmarks.search.overhead --told 200 5000 20000 50000 --energy toy

A scheduler on the paper's space is told so many results of the analytic problem table1, then its next
proposals are timed one by one, each told before the next is asked for. Up to `--searched` trials are the
scheduler's own; those beyond are random configurations at the lowest budget, put into its state through the
same calls, because 50,000 proposals of its own would take an hour. `exact` energy is priced for ResNet20 as
in a search (`energy.foreknown`); `toy` energy costs nothing, and leaves the scheduler's own time.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.search.problems import MAX_BUDGET, PROBLEMS, table1
from benchmarks.search.recorded import DIGITS
from jouleshift.hpo import make_scheduler
from jouleshift.hpo.scheduler import Proposal, Scheduler
from jouleshift.records import Trial, Value
from jouleshift.space import build_space

FIELDS = ("method", "energy", "told", "proposals", "median_ms", "p90_ms", "largest_ms")
Energy = Callable[[Mapping[str, Value]], float]


def make(method: str, energy: Energy) -> Scheduler:
    objectives = ("error", "energy_j")
    known = {"energy_j": energy}
    return make_scheduler(method, build_space(20), objectives, 1, MAX_BUDGET, 3, 0, known)


def tell(scheduler: Scheduler, trial: Trial, energy: Energy) -> None:
    error = table1(trial.config, trial.budget, 0)["error"]
    scheduler.tell(trial, {"error": error, "energy_j": energy(trial.config)})


def tell_random(scheduler: Scheduler, count: int, energy: Energy) -> None:
    """Results of random configurations, as if the scheduler had proposed them."""
    space = build_space(20)
    space.seed(1)
    given = iter(space.sample_configuration(count)) if count > 1 else iter([])
    propose = scheduler._propose
    scheduler._propose = lambda: Proposal(dict(next(given)), 1)  # type: ignore[method-assign]
    for _ in range(count if count > 1 else 0):
        trial = scheduler.ask()
        assert trial is not None
        tell(scheduler, trial, energy)
    scheduler._propose = propose  # type: ignore[method-assign]


def timed(scheduler: Scheduler, proposals: int, energy: Energy) -> list[float]:
    """Milliseconds of each proposal."""
    found = []
    for _ in range(proposals):
        start = time.perf_counter()
        trial = scheduler.ask()
        found.append(1e3 * (time.perf_counter() - start))
        assert trial is not None
        tell(scheduler, trial, energy)
    return found


def row(method: str, energy_name: str, told: int, searched: int, proposals: int) -> dict[str, object]:
    energy = DIGITS.energy if energy_name == "exact" else PROBLEMS["table1"].known["energy_j"]
    scheduler = make(method, energy)
    timed(scheduler, min(told, searched), energy)
    tell_random(scheduler, told - min(told, searched), energy)
    milliseconds = timed(scheduler, proposals, energy)
    return {
        "method": method,
        "energy": energy_name,
        "told": told,
        "proposals": proposals,
        "median_ms": f"{statistics.median(milliseconds):.1f}",
        "p90_ms": f"{np.quantile(milliseconds, 0.9):.1f}",
        "largest_ms": f"{max(milliseconds):.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", default="mo-hyperband")
    parser.add_argument("--told", nargs="+", type=int, default=[200, 1000, 5000, 20000, 50000])
    parser.add_argument("--searched", type=int, default=1000)
    parser.add_argument("--proposals", type=int, default=30)
    parser.add_argument("--energy", choices=("exact", "toy"), default="exact")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for told in options.told:
        rows.append(row(options.method, options.energy, told, options.searched, options.proposals))
        print(rows[-1], flush=True)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
