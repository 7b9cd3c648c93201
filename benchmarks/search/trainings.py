"""Real trainings of the whole deep shift space, every epoch recorded: the tables of `recorded.py`.

    python -m benchmarks.search.trainings --rows 280 --out benchmarks/search/results/digits.csv
    python -m benchmarks.search.trainings --cifar10 cifar10-train.parquet --rows 90 --out …/cifar10.csv

ResNet20, 27 epochs, the eleven hyperparameters of Table 1, on 700 of scikit-learn's digits (8×8, 287
validation images) or on 1,000 images of CIFAR-10 at 16×16 pixels (500 validation images). The learning rate
does not depend on the number of epochs, so the error after epoch k is what a trial of budget k gives, and one
training records all rungs. The first rows are drawn from the space; the others are mutations of the best two
layers of fronts of the rows before them, so that the table is dense where a search ends. A row that diverged
has no errors from there on. Rows already in the file are kept, and row k depends on the rows before it only,
so an interrupted run goes on where it stopped.
"""

import argparse
import csv
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.search.table import EPOCHS, FIELDS, Row, read
from jouleshift.config import StudyConfig
from jouleshift.evaluate import Evaluator
from jouleshift.hpo.acquisition.ehvi import pareto_mask
from jouleshift.hpo.encoding import Encoding
from jouleshift.records import Epoch, Failure, Trial, Value
from jouleshift.space import build_space

DIGITS = StudyConfig(
    data="digits", model="resnet20", limit_train=700, max_budget=EPOCHS, device="cpu", threads=1
)
CIFAR10 = StudyConfig(
    data="cifar10",
    model="resnet20",
    image_size=16,
    limit_train=1000,
    limit_val=500,
    max_budget=EPOCHS,
    device="cpu",
    threads=1,
)
SEED = 0
RANDOM_ROWS = 150
LAYERS = 2


def next_config(encoding: Encoding, rows: list[Row]) -> dict[str, Value]:
    """The configuration of row len(rows)."""
    rng = np.random.default_rng([SEED, len(rows)])
    while True:
        if len(rows) < RANDOM_ROWS:
            vector = encoding.sample(1, rng)[0]
        else:
            parents = best(rows)
            parent = encoding.vector(parents[rng.integers(len(parents))].config)
            vector = encoding.mutate(parent[None], rng)[0]
        config = encoding.configuration(vector)
        if config is not None and all(row.config != config for row in rows):
            return config


def best(rows: list[Row]) -> list[Row]:
    """The first layers of fronts at full budget, front by front."""
    left = [row for row in rows if not row.failed]
    found: list[Row] = []
    for _ in range(LAYERS):
        if left:
            points = np.array([(row.errors[-1], row.energy_j) for row in left])
            mask = pareto_mask(points)
            found += [row for row, chosen in zip(left, mask, strict=True) if chosen]
            left = [row for row, chosen in zip(left, mask, strict=True) if not chosen]
    return found


def train(config: dict[str, Value], evaluator: Evaluator) -> Row:
    curve: list[Epoch] = []
    result = evaluator(Trial(1, config, EPOCHS, SEED), on_epoch=curve.append)
    (evaluator.checkpoints / "1.pt").unlink(missing_ok=True)
    errors = tuple(round(epoch.val_error, 6) for epoch in curve)
    if isinstance(result, Failure):
        return Row(config, math.nan, 0, errors)
    assert result.energy.energy_j is not None
    return Row(config, result.energy.energy_j, result.weight_bytes, errors)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cifar10", help="CIFAR-10's training images: a Parquet file; without: digits")
    options = parser.parse_args()
    study = CIFAR10.model_copy(update={"data": options.cifar10}) if options.cifar10 else DIGITS
    if not options.out.exists():
        options.out.write_text(",".join(FIELDS) + "\n")
    rows = read(options.out)
    with TemporaryDirectory() as folder:
        evaluator = Evaluator(study, Path(folder))
        encoding = Encoding(build_space(evaluator.max_depth))
        while len(rows) < options.rows:
            start = time.perf_counter()
            rows.append(train(next_config(encoding, rows), evaluator))
            with options.out.open("a", newline="") as file:
                csv.DictWriter(file, FIELDS).writerow(rows[-1].cells())
            error = rows[-1].errors[-1] if not rows[-1].failed else "failed"
            print(len(rows), error, f"{time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
