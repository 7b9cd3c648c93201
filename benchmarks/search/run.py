"""Run schedulers on the analytic problems and record the hypervolume against the epochs spent.

    python -m benchmarks.search.run --methods random mo-hyperband --problems table1 --seeds 0 20 --out
    FILE.csv [--workers 8]

With several workers a trial takes as long as the epochs it trains, and a method is called NAME x8: what it
loses for not having the results of what is running.

Only results at full budget count, the default configuration's included. Epochs are counted twice:
`retrained`, where each trial pays its whole budget (as SMAC3 does), and `continued`, where a promoted trial
pays what its parent has not trained yet (as ours does from checkpoints). Rows of runs already in the file
are kept and not run again.
"""

import argparse
import csv
import heapq
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import moocore
import numpy as np

from benchmarks.search.peers import PEERS
from benchmarks.search.problems import MAX_BUDGET, PROBLEMS, Benchmark
from benchmarks.search.variants import VARIANTS
from jouleshift.hpo import make_scheduler
from jouleshift.hpo.scheduler import Scheduler
from jouleshift.records import Trial

NAMED = {**PEERS, **VARIANTS}
CHECKPOINTS = (54, 81, 108, 135, 180, 270, 540, 810, 1080)
FIELDS = ("problem", "method", "seed", "counted", "epochs", "hypervolume", "seconds_per_proposal")


def evaluated(
    problem: Benchmark, scheduler: Scheduler, seed: int, workers: int = 1
) -> Iterator[tuple[Trial, dict[str, float]]]:
    """Trials as they end, for ever; a worker takes the time of an epoch for one."""
    running: list[tuple[int, int, Trial]] = []
    budgets: dict[int, int] = {}
    now = 0
    while True:
        while len(running) < workers and (trial := scheduler.ask()) is not None:
            budgets[trial.id] = trial.budget
            ends = now + trial.budget - budgets.get(trial.parent or 0, 0)
            heapq.heappush(running, (ends, trial.id, trial))
        now, _, trial = heapq.heappop(running)
        values = problem.evaluate(trial.config, trial.budget, seed)
        yield trial, values
        scheduler.tell(trial, values)


def trace(
    problem: Benchmark, scheduler: Scheduler, seed: int, epochs: int, workers: int
) -> dict[str, list[tuple[int, float]]]:
    """For each way of counting, the hypervolume after each trial at full budget, until `epochs` are spent."""
    spent = {"continued": 0, "retrained": 0}
    budgets: dict[int, int] = {}
    points: list[list[float]] = []
    result: dict[str, list[tuple[int, float]]] = {"continued": [], "retrained": []}
    for trial, values in evaluated(problem, scheduler, seed, workers):
        budgets[trial.id] = trial.budget
        spent["retrained"] += trial.budget
        spent["continued"] += trial.budget - budgets.get(trial.parent or 0, 0)
        if trial.budget == MAX_BUDGET:
            points.append([values[name] for name in problem.objectives])
            volume = float(moocore.hypervolume(np.array(points), ref=np.array(problem.reference)))
            for way in result:
                result[way].append((spent[way], volume))
        if spent["continued"] >= epochs:
            break
    return result


def rows(problem: Benchmark, method: str, seed: int, epochs: int, workers: int) -> list[dict[str, object]]:
    scheduler = make_scheduler(
        NAMED.get(method, method),
        problem.space(),
        objectives=problem.objectives,
        min_budget=1,
        max_budget=MAX_BUDGET,
        eta=3,
        seed=seed,
        known=problem.known,
    )
    start = time.perf_counter()
    traces = trace(problem, scheduler, seed, epochs, workers)
    seconds = (time.perf_counter() - start) / max(1, scheduler._asked)
    return [
        {
            "problem": problem.name,
            "method": named(method, workers),
            "seed": seed,
            "counted": way,
            "epochs": checkpoint,
            "hypervolume": f"{max((v for at, v in points if at <= checkpoint), default=0.0):.6f}",
            "seconds_per_proposal": f"{seconds:.4f}",
        }
        for way, points in traces.items()
        for checkpoint in CHECKPOINTS
        if checkpoint <= epochs
    ]


def named(method: str, workers: int) -> str:
    return method if workers == 1 else f"{method} x{workers}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 20), metavar=("FIRST", "END"))
    parser.add_argument("--epochs", type=int, default=1080)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    done = set()
    if options.out.exists():
        with options.out.open() as file:
            done = {(row["problem"], row["method"], int(row["seed"])) for row in csv.DictReader(file)}
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(",".join(FIELDS) + "\n")
    for seed in range(*options.seeds):
        for name in options.problems:
            for method in options.methods:
                if (name, named(method, options.workers), seed) in done:
                    continue
                found = rows(PROBLEMS[name], method, seed, options.epochs, options.workers)
                with options.out.open("a", newline="") as file:
                    csv.DictWriter(file, FIELDS).writerows(found)
                print(
                    name,
                    method,
                    seed,
                    found[-1]["hypervolume"],
                    found[-1]["seconds_per_proposal"],
                    file=sys.stderr,
                )


if __name__ == "__main__":
    main()
