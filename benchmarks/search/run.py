"""Run schedulers on the analytic problems and record the hypervolume against the epochs spent.

    python -m benchmarks.search.run --methods random mo-hyperband --problems table1 --seeds 0 20 --out
    FILE.csv

Only results at full budget count, the default configuration's included. Epochs are counted twice:
`retrained`, where each trial pays its whole budget (as SMAC3 does), and `continued`, where a promoted trial
pays what its parent has not trained yet (as ours does from checkpoints). Rows of runs already in the file
are kept and not run again.
"""

import argparse
import csv
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
    problem: Benchmark, scheduler: Scheduler, seed: int
) -> Iterator[tuple[Trial, dict[str, float]]]:
    """Trials one after the other, for ever."""
    while (trial := scheduler.ask()) is not None:
        values = problem.evaluate(trial.config, trial.budget, seed)
        yield trial, values
        scheduler.tell(trial, values)


def trace(
    problem: Benchmark, scheduler: Scheduler, seed: int, epochs: int
) -> dict[str, list[tuple[int, float]]]:
    """For each way of counting, the hypervolume after each trial at full budget, until `epochs` are spent."""
    spent = {"continued": 0, "retrained": 0}
    budgets: dict[int, int] = {}
    points: list[list[float]] = []
    result: dict[str, list[tuple[int, float]]] = {"continued": [], "retrained": []}
    for trial, values in evaluated(problem, scheduler, seed):
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


def rows(problem: Benchmark, method: str, seed: int, epochs: int) -> list[dict[str, object]]:
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
    traces = trace(problem, scheduler, seed, epochs)
    seconds = (time.perf_counter() - start) / max(1, scheduler._asked)
    return [
        {
            "problem": problem.name,
            "method": method,
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 20), metavar=("FIRST", "END"))
    parser.add_argument("--epochs", type=int, default=1080)
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
                if (name, method, seed) in done:
                    continue
                found = rows(PROBLEMS[name], method, seed, options.epochs)
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
