"""Hypervolume regret of recorded runs, as tables, against ours by paired tests.

    python -m benchmarks.search.compare benchmarks/search/results/runs.csv benchmarks/search/results/peers.csv
    python -m benchmarks.search.compare … --ours mo-hyperband --at 135 270

Regret is what is missing to the best known hypervolume (`best.py`). A cell has the median over seeds and the
two-sided p-value of Wilcoxon's signed-rank test against ours over the seeds both have run, starred where the
method is the better one.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from benchmarks.search.best import read

BEST = Path(__file__).parent / "results" / "best.csv"
BASELINE, FINAL, EIGHTH = "parego-hyperband", 1080, 135
Runs = dict[tuple[str, str, int], dict[int, float]]


def load(paths: Sequence[Path], counted: str = "continued") -> Runs:
    """(problem, method, epochs) → seed → hypervolume."""
    runs: Runs = defaultdict(dict)
    for path in paths:
        with path.open() as file:
            for row in csv.DictReader(file):
                if row["counted"] == counted:
                    key = row["problem"], row["method"], int(row["epochs"])
                    runs[key][int(row["seed"])] = float(row["hypervolume"])
    return runs


def cell(best: float, theirs: dict[int, float], ours: dict[int, float]) -> str:
    """Median regret, and how sure it is that it differs from ours."""
    if not theirs:
        return "–"
    text = f"{best - np.median(list(theirs.values())):.3f}"
    seeds = sorted(theirs.keys() & ours.keys())
    differences = np.array([ours[seed] - theirs[seed] for seed in seeds])
    if len(seeds) < 5 or not differences.any():
        return text
    p = wilcoxon(differences).pvalue
    return f"{text} ({'<1e-4' if p < 1e-4 else f'{p:.1g}'}{'*' if np.median(differences) < 0 else ''})"


def print_regrets(runs: Runs, ours: str, at: Sequence[int]) -> None:
    best = read(BEST)
    print(f"| problem | method | n | {' | '.join(map(str, at))} |\n|{' --- |' * (3 + len(at))}")
    for problem in best:
        methods = {key[1] for key in runs if key[0] == problem}
        for method in sorted(methods, key=lambda name: (name != ours, name)):
            found = [runs.get((problem, method, epochs), {}) for epochs in at]
            cells = [
                cell(best[problem], theirs, runs.get((problem, ours, epochs), {}))
                for theirs, epochs in zip(found, at, strict=True)
            ]
            print(f"| {problem} | {method} | {max(map(len, found))} | {' | '.join(cells)} |")


def print_epochs_needed(runs: Runs, ours: str) -> None:
    """When ours has, in the median, what the baseline has at the end; and the test at an eighth."""
    for problem in read(BEST):
        final = runs.get((problem, BASELINE, FINAL))
        eighth = runs.get((problem, ours, EIGHTH), {})
        if not final:
            continue
        median = float(np.median(list(final.values())))
        epochs = [e for (p, m, e), v in runs.items() if p == problem and m == ours and np.median(list(v.values())) >= median]
        seeds = sorted(final.keys() & eighth.keys())
        differences = [eighth[seed] - final[seed] for seed in seeds]
        print(
            f"{problem}: {BASELINE} has {median:.3f} after {FINAL}; {ours} passes it by "
            f"{min(epochs, default='–')}; at {EIGHTH} it has {np.median(list(eighth.values())):.3f}, better on "
            f"{np.sum(np.array(differences) > 0)} of {len(seeds)}, p = {wilcoxon(differences).pvalue:.1g}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--ours", default="mo-hyperband")
    parser.add_argument("--at", type=int, nargs="+", default=[135, 270, 540])
    options = parser.parse_args()
    runs = load(options.files)
    print_regrets(runs, options.ours, options.at)
    print_epochs_needed(runs, options.ours)


if __name__ == "__main__":
    main()
