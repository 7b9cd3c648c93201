"""Train every row of the accuracy table with every seed; append each result to a CSV, skip what is there.

    python -m benchmarks.accuracy.run TRAIN.parquet TEST.parquet --peer DeepShift/pytorch \
        --epochs 200 --images 49500 --batch 128 --rates 0.4 0.1 0.01 --device cuda

is the table in full length; without the length arguments it is what docs/training.md shows. Stopped and
started again, it goes on where it was. All rows of a seed run before the next seed, so that an early end
leaves whole rows. The seed decides the start weights, the order of the images and their augmentation; the
images are the same for all.

A network is judged once, after its last epoch, on test images that nothing else has seen.
"""

import argparse
import contextlib
import csv
import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from benchmarks.accuracy.rows import Rates, Row, Training, recipe_rows, rows
from jouleshift.config import TrainConfig
from jouleshift.data.batches import Prepared, Resident, evaluation_batches, prepare
from jouleshift.data.sources import load
from jouleshift.records import Failure
from jouleshift.train.loop import TrainResult, train, validate

RESULTS = Path(__file__).parent / "results" / "resnet20-cifar10.csv"
WATCHED = 64
"""Validation images during training; nothing depends on them."""
SETTINGS = ("row", "seed", "epochs", "images", "test_images", "batch", "precision", "learning_rate")
FIELDS = (*SETTINGS, "accuracy", "train_loss", "train_s", "device", "torch")


@dataclass(frozen=True)
class Length:
    """How much is trained and judged: the same for all rows."""

    epochs: int
    images: int
    test_images: int
    batch: int
    precision: str


def first(split: Resident, n: int) -> Resident:
    return replace(split, pixels=split.pixels[:n], labels=split.labels[:n])


def prepared(train_file: str, test_file: str, length: Length, device: torch.device) -> Prepared:
    """Training images of the one file, and as validation images some of the other, both stratified."""
    training = load(train_file, seed=0, val_fraction=0.01, limit_train=length.images, with_test=False)
    judging = load(test_file, seed=0, val_fraction=0.01, limit_train=length.test_images, with_test=False)
    data = prepare(training, device)
    judge = prepare(judging, device).train
    return replace(data, val=replace(judge, mean=data.train.mean, std=data.train.std))


@dataclass(frozen=True)
class Course:
    """What all rows have in common, and the row whose network teaches where one is to be taught."""

    length: Length
    data: Prepared
    device: torch.device
    teacher: Row

    def train(self, row: Row, seed: int) -> tuple[nn.Module, TrainResult | Failure]:
        """The row's network from start weights of the seed, and how its training went."""

        def taught() -> nn.Module:
            return self.train(self.teacher, seed)[0].eval()

        epochs = self.length.epochs
        torch.manual_seed(seed)
        network = row.build()
        recipe = row.recipe(Training(network, epochs, taught))
        return network, train(
            network,
            replace(self.data, val=first(self.data.val, WATCHED)),
            TrainConfig(batch_size=self.length.batch, **row.optimizer),
            epochs=epochs,
            horizon=epochs,
            seed=seed,
            device=self.device,
            recipe=replace(recipe, precision=self.length.precision),
        )

    def result(self, row: Row, seed: int) -> dict[str, object]:
        network, trained = self.train(row, seed)
        if isinstance(trained, Failure):
            chance = 1 / len(self.data.class_names)
            return {"accuracy": chance, "train_loss": trained.kind, "train_s": ""}
        _, error = validate(network, evaluation_batches(self.data.val))
        return {
            "accuracy": round(1 - error, 5),
            "train_loss": round(trained.curve[-1].train_loss, 4),
            "train_s": round(trained.train_s, 1),
        }


def done(path: Path) -> set[tuple[str, ...]]:
    """The settings of the results that are there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(FIELDS) + "\n")
    with path.open(newline="") as file:
        return {tuple(line[name] for name in SETTINGS) for line in csv.DictReader(file)}


def run(plan: Iterable[tuple[Row, int]], course: Course, out: Path) -> None:
    finished = done(out)
    for row, seed in plan:
        settings = {"row": row.name, "seed": seed, **vars(course.length)}
        settings["learning_rate"] = row.optimizer["learning_rate"]
        if tuple(str(settings[name]) for name in SETTINGS) in finished:
            continue
        found = {**settings, **course.result(row, seed)}
        found |= {"device": course.device.type, "torch": torch.__version__}
        with out.open("a", newline="") as file:
            csv.DictWriter(file, FIELDS).writerow(found)
        print(f"seed {seed}  {row.name:28} {100 * found['accuracy']:.2f} %  {found['train_s']} s", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("train", help="CIFAR-10's training images: a Parquet file")
    parser.add_argument("test", help="its test images")
    parser.add_argument("--peer", type=Path, help="folder pytorch of a checkout of DeepShift, for its rows")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=4000, help="training images")
    parser.add_argument("--test-images", type=int, default=9900)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--rates",
        nargs=3,
        type=float,
        default=(0.05, 0.02, 0.03),
        help="peaks: float and ours, DeepShift's Q, PS",
    )
    parser.add_argument("--precision", choices=["float32", "bf16", "auto"], default="bf16")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--rows", nargs="+", help="names of rows; default: all")
    parser.add_argument("--recipes", action="store_true", help="instead: what recipes are worth at 2 bits")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.peer:
        sys.path.insert(0, str(options.peer))
        with contextlib.redirect_stdout(io.StringIO()):
            import deepshift.convert  # noqa: F401 - prints when its CUDA kernels are missing
    table = (recipe_rows if options.recipes else rows)(Rates(*options.rates))
    wanted = [
        row
        for row in table
        if (options.peer or not row.name.startswith("DeepShift"))
        and (not options.rows or row.name in options.rows)
    ]
    length = Length(**{name: getattr(options, name) for name in Length.__dataclass_fields__})
    device = torch.device(options.device)
    data = prepared(options.train, options.test, length, device)
    plan = ((row, seed) for seed in range(options.seeds) for row in wanted)
    run(plan, Course(length, data, device, teacher=table[0]), options.out)


if __name__ == "__main__":
    main()
