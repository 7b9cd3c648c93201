"""Medians and paired tests of recorded runs.

python -m benchmarks.search.compare benchmarks/search/results/runs.csv
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

OURS, BASELINE, RANDOM = "mo-hyperband", "parego-hyperband", "random"
Runs = dict[tuple[str, str, str, int], dict[int, float]]


def load(path: Path) -> Runs:
    """(problem, method, counted, epochs) → seed → hypervolume."""
    runs: Runs = defaultdict(dict)
    with path.open() as file:
        for row in csv.DictReader(file):
            key = (row["problem"], row["method"], row["counted"], int(row["epochs"]))
            runs[key][int(row["seed"])] = float(row["hypervolume"])
    return runs


def paired(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Wins over common seeds and the two-sided p-value of Wilcoxon's signed-rank test."""
    seeds = sorted(ours.keys() & theirs.keys())
    a, b = (np.array([runs[seed] for seed in seeds]) for runs in (ours, theirs))
    medians = f"{np.median(a):.3f} against {np.median(b):.3f}"
    return f"{medians}, better on {np.sum(a > b)} of {len(a)}, p = {wilcoxon(a, b).pvalue:.1g}"


def main() -> None:
    runs = load(Path(sys.argv[1]))
    for problem in sorted({key[0] for key in runs}):
        print(problem)
        for epochs in (135, 270):
            ours = runs[problem, OURS, "continued", epochs]
            for method, counted, spent in (
                (RANDOM, "continued", epochs),
                (BASELINE, "continued", epochs),
                (BASELINE, "continued", 540),
                (BASELINE, "retrained", 1080),
                (BASELINE, "continued", 1080),
            ):
                theirs = runs[problem, method, counted, spent]
                if theirs:
                    print(f"  ours at {epochs}, {method} at {spent} ({counted}): {paired(ours, theirs)}")


if __name__ == "__main__":
    main()
