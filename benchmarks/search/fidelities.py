"""Which fidelity finds a better front with as many epochs: real searches, not surrogates.

    python -m benchmarks.search.fidelities [--seeds 10] [--epochs 120]

The network `tiny` on scikit-learn's digits, budgets 1, 3 and 9, `mo-hyperband`, modelled energy: small enough
for whole searches, so that each trial is really trained as its fidelity says. Epochs are epoch-equivalents;
the default configuration, 9 of them, is in all. Hypervolume is a share of the box between the origin, an
error of 0.3 and the default's energy, so the default itself has none. Stopped, it goes on where it was;
results in benchmarks/search/results/fidelities.csv.
"""

import argparse
import csv
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

import jouleshift as js
from jouleshift.analysis.attainment import progress
from jouleshift.records import Evaluation, Run

RESULTS = Path(__file__).parent / "results" / "fidelities.csv"
OURS: dict[str, Any] = {"scheduler": "mo-hyperband", "fidelity": "epochs"}
VARIANTS = {
    "epochs": OURS,
    "train_fraction": OURS | {"fidelity": "train_fraction"},
    "epochs+train_fraction": OURS | {"fidelity": "epochs+train_fraction"},
    "epochs+weight_bits": OURS | {"fidelity": "epochs+weight_bits"},
    "weight_bits": OURS | {"fidelity": "weight_bits"},
    "prior paper": OURS | {"prior": "paper"},
    "random": {"scheduler": "random"},
}
WORST_ERROR = 0.3


def searched(variant: str, seed: int, epochs: int, out: Path) -> Run:
    """A search of so many epoch-equivalents, or up to one trial more."""
    return js.search(
        "digits", model="tiny", trials=10 * epochs, min_budget=1, max_budget=9, energy="modelled", threads=1,
        stop_epochs=epochs, seed=seed, out=out / "run", **VARIANTS[variant],
    ).run  # fmt: skip


def result(variant: str, seed: int, epochs: int) -> dict[str, object]:
    with TemporaryDirectory() as folder:
        run = searched(variant, seed, epochs, Path(folder))
    default = run.trials[0].result
    assert isinstance(default, Evaluation)
    assert default.energy.energy_j is not None
    volumes = progress(run, (WORST_ERROR, default.energy.energy_j)).at(np.array([epochs / 2, epochs]))
    found = {"variant": variant, "seed": seed, "epochs": epochs, "trials": len(run.trials)}
    seconds = sum(record.duration_s or 0.0 for record in run.trials)
    return {**found, "half_way": volumes[0], "at_the_end": volumes[1], "seconds": round(seconds, 1)}


def recorded() -> list[dict[str, str]]:
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(file))


def print_table(epochs: int) -> None:
    """Medians over seeds, in brackets the p-value of the signed-rank test, paired, against `epochs`."""
    table = [row for row in recorded() if int(row["epochs"]) == epochs]
    volumes = {name: {row["seed"]: row for row in table if row["variant"] == name} for name in VARIANTS}
    print(f"| variant | n | after {epochs // 2} | after {epochs} | trials | s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, rows in volumes.items():
        if not rows:
            continue
        cells = []
        for column in ("half_way", "at_the_end"):
            cell = f"{median(float(row[column]) for row in rows.values()):.3f}"
            seeds = rows.keys() & volumes["epochs"].keys()
            lost = np.array(
                [float(volumes["epochs"][seed][column]) - float(rows[seed][column]) for seed in seeds]
            )
            cells.append(f"{cell} ({wilcoxon(lost).pvalue:.1g})" if len(lost) > 1 and lost.any() else cell)
        trials, seconds = (
            median(float(row[name]) for row in rows.values()) for name in ("trials", "seconds")
        )
        print(f"| {name} | {len(rows)} | {' | '.join(cells)} | {trials:.0f} | {seconds:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=120)
    given = parser.parse_args()
    done = {(row["variant"], row["seed"], row["epochs"]) for row in recorded()}
    for seed in range(given.seeds):
        for variant in VARIANTS:
            if (variant, str(seed), str(given.epochs)) in done:
                continue
            row = result(variant, seed, given.epochs)
            print(row, flush=True)
            with RESULTS.open("a", newline="") as file:
                writer = csv.DictWriter(file, row.keys())
                if not file.tell():
                    writer.writeheader()
                writer.writerow(row)
    print_table(given.epochs)


if __name__ == "__main__":
    main()
