"""The picture of docs/search.md: median regret against epochs, one panel a problem.

python -m benchmarks.search.picture docs/search.png benchmarks/search/results/{runs,peers}.csv
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.search.best import read
from benchmarks.search.compare import BEST, FEWEST, load

STYLES = {
    "mo-hyperband": ("tab:red", "-", 2.2),
    "parego-hyperband": ("tab:blue", "-", 1.4),
    "random": ("black", ":", 1.2),
    "optuna-nsga2": ("tab:green", "--", 1.2),
    "optuna-tpe": ("tab:olive", "--", 1.2),
    "syne-tune-moasha": ("tab:purple", "-.", 1.2),
    "neps-mo-hyperband": ("tab:brown", "-.", 1.2),
    "botorch-qlognehvi": ("tab:cyan", "--", 1.2),
}


def main() -> None:
    target, *files = map(Path, sys.argv[1:])
    runs, best = load(files), read(BEST)
    figure, grid = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
    axes = grid.ravel()
    for axis, problem in zip(axes, best, strict=True):
        for method, (colour, line, width) in STYLES.items():
            epochs = sorted(
                e for p, m, e in runs if (p, m) == (problem, method) and len(runs[p, m, e]) >= FEWEST
            )
            regret = [best[problem] - np.median(list(runs[problem, method, e].values())) for e in epochs]
            axis.plot(epochs, regret, line, color=colour, linewidth=width, label=method)
        axis.set(title=problem, xscale="log", yscale="log", xlabel="epochs")
        axis.set_xticks([54, 135, 270, 540, 1080], ["54", "135", "270", "540", "1080"], fontsize=7)
        axis.minorticks_off()
        axis.tick_params(axis="y", labelsize=7)
    figure.supylabel("hypervolume regret, median over seeds", fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main()
