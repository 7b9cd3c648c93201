"""Problems made of recorded trainings (`trainings.py`): tables as functions of any configuration.

A forest on the recorded configurations predicts the validation error at the rungs 1, 3, 9 and 27; a training
that diverged counts as guessing from there on. Energy needs no surrogate, it is computed exactly. How far the
forests can be trusted is what this prints, by cross-validation in ten parts:

    python -m benchmarks.search.recorded
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold

from benchmarks.search.table import DEPTH, EPOCHS, Row, read
from jouleshift.hpo.encoding import Encoding
from jouleshift.records import Value
from jouleshift.space import build_space

Array = NDArray[np.float64]

RESULTS = Path(__file__).parent / "results"
RUNGS = (1, 3, 9, 27)
CHANCE = 0.9


def curves(rows: list[Row]) -> Array:
    """(n, 4) errors at the rungs."""
    full = [(*row.errors, *[CHANCE] * (EPOCHS - len(row.errors))) for row in rows]
    return np.array(full)[:, [rung - 1 for rung in RUNGS]]


def forest() -> ExtraTreesRegressor:
    return ExtraTreesRegressor(100, min_samples_leaf=1, max_features=0.7, random_state=0)


@dataclass(frozen=True)
class Recorded:
    """A table of trainings of ResNet20 as a problem."""

    name: str
    channels: int
    pixels: int
    reference_j: float
    """Upper bound of the energy in the hypervolume: about a third of the float network's, three times what
    the default configuration takes."""

    @property
    def table(self) -> Path:
        return RESULTS / f"{self.name}.csv"

    @cached_property
    def _fitted(self) -> tuple[Encoding, ExtraTreesRegressor]:
        rows = read(self.table)
        encoding = Encoding(build_space(DEPTH))
        return encoding, forest().fit(_features(encoding, rows), curves(rows))

    @cached_property
    def _energy(self) -> Callable[[Mapping[str, Value]], float]:
        import torch

        from jouleshift import conversion, models
        from jouleshift.energy.foreknown import ForeknownEnergy
        from jouleshift.energy.hardware import load_profile
        from jouleshift.energy.workload import trace

        model = models.create("resnet20", num_classes=10, in_channels=self.channels)
        workload = trace(model, torch.zeros(1, self.channels, self.pixels, self.pixels))
        return ForeknownEnergy(workload, conversion.depths(model), load_profile("asic-45nm"))

    def energy(self, config: Mapping[str, Value]) -> float:
        """Share of `reference_j`."""
        return self._energy(config) / self.reference_j

    def evaluate(self, config: Mapping[str, Value], budget: int, seed: int) -> dict[str, float]:
        encoding, model = self._fitted
        features = encoding.features(encoding.vector(config)[None]).astype(np.float32)
        predicted = np.mean([tree.tree_.predict(features) for tree in model.estimators_], axis=0).ravel()
        return {"error": float(np.interp(budget, RUNGS, predicted)), "energy_j": self.energy(config)}


DIGITS = Recorded("digits", channels=1, pixels=8, reference_j=1e-5)
CIFAR10 = Recorded("cifar10", channels=3, pixels=16, reference_j=4e-5)


def _features(encoding: Encoding, rows: list[Row]) -> Array:
    return encoding.features(np.stack([encoding.vector(row.config) for row in rows]))


def state_error(problem: Recorded) -> None:
    rows = read(problem.table)
    features, errors = _features(Encoding(build_space(DEPTH)), rows), curves(rows)
    predicted = np.empty_like(errors)
    for train, test in KFold(10, shuffle=True, random_state=0).split(features):
        predicted[test] = forest().fit(features[train], errors[train]).predict(features[test])
    print(f"{problem.name}: {len(rows)} trainings, {sum(row.failed for row in rows)} of them diverged")
    for k, rung in enumerate(RUNGS):
        off = np.abs(predicted[:, k] - errors[:, k])
        rank = spearmanr(predicted[:, k], errors[:, k]).statistic
        explained = 1 - np.mean(off**2) / errors[:, k].var()
        print(
            f"epoch {rung}: mean absolute error {off.mean():.3f}, median {np.median(off):.3f}, "
            f"R² {explained:.2f}, rank correlation {rank:.2f}"
        )


if __name__ == "__main__":
    for each in (DIGITS, CIFAR10):
        state_error(each)
