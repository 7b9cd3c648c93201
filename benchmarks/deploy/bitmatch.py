"""Every executor on real images: how many logits differ from the oracle's, and accuracy before and after.

    python -m benchmarks.deploy.bitmatch --data 'folder/cifar10-*.parquet' [--images 1000] [--oracle 1000]

Each network is trained, lowered, and run by the NumPy oracle, as ONNX in ONNX Runtime and OpenVINO, as a
PyTorch module, from .pt2 and .safetensors files, and as compiled C, all on the first validation images (the
oracle on the first `--oracle`). Rows say how many logits differ from the PyTorch module's. "simulated" is the
accuracy before the export, in training's simulation. On all test images the two are compared image by image
(lowering.csv). MobileNetV2 and GoogLeNet see images of 16 pixels: with 32 training would take hours.

Goes on where it was stopped. Prints a row each; results in benchmarks/results/bitmatch.csv and lowering.csv.
"""

import argparse
import csv
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import nn

from benchmarks.measuring import RESULTS
from jouleshift.config import ShiftConfig, TrainConfig
from jouleshift.conversion import convert
from jouleshift.data.batches import Prepared, Resident, evaluation_batches, prepare
from jouleshift.data.sources import load
from jouleshift.deploy.artefact import export
from jouleshift.deploy.deployed import calibration_images
from jouleshift.deploy.lower import lower
from jouleshift.deploy.nodes import Float32Array
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.runtime import load as load_runtime
from jouleshift.models.registry import create
from jouleshift.train.loop import train
from jouleshift.train.recipe import Recipe


@dataclass(frozen=True)
class Case:
    """A network, its weights' format, and its training: pixels a side, images, epochs, peak of the rate."""

    network: str
    kind: str
    weight_bits: int
    side: int = 32
    train_images: int = 4000
    epochs: int = 6
    learning_rate: float = 0.1

    @property
    def checkpoint(self) -> Path:
        return FOLDER / f"{self.network}-{self.kind}-{self.weight_bits}.pt"

    def data(self, source: str, images: int) -> Prepared:
        limits = {"limit_train": self.train_images, "limit_val": images}
        return prepare(load(source, seed=0, image_size=self.side, **limits))

    def trained(self, data: Prepared) -> nn.Module:
        torch.manual_seed(0)
        config = ShiftConfig(
            kind=self.kind, weight_bits=self.weight_bits, act_integer_bits=3, act_fraction_bits=5
        )
        model = convert(create(self.network, len(data.class_names)), config)
        how = TrainConfig(learning_rate=self.learning_rate, schedule="one-cycle", batch_size=64)
        FOLDER.mkdir(parents=True, exist_ok=True)
        train(
            model, data, how, epochs=self.epochs, horizon=self.epochs, seed=0, checkpoint_out=self.checkpoint,
            recipe=Recipe(precision="auto"), on_epoch=lambda epoch: print(self, epoch, flush=True),
        )  # fmt: skip
        return model.eval()


FOLDER = Path("runs/bitmatch")
RESULT = RESULTS / "bitmatch.csv"
CASES = [
    *(Case("resnet20", "PS", bits) for bits in (4, 3, 2, 5)), Case("resnet20", "Q", 4),
    *(Case("mobilenetv2", "PS", bits, side=16, epochs=8, learning_rate=0.05) for bits in (4, 3)),
    *(Case("googlenet", "PS", bits, side=16, epochs=4) for bits in (4, 3)),
]  # fmt: skip
LOWERING = RESULTS / "lowering.csv"
FIELDS = ("network", "kind", "weight_bits", "side", "epochs", "executor", "images", "logits_that_differ",
          "images_that_differ", "accuracy", "simulated_accuracy")  # fmt: skip
PAIRED = ("network", "kind", "weight_bits", "side", "epochs", "test_images", "accuracy", "simulated_accuracy",
          "right_only_as_integers", "right_only_simulated", "sign_test_p")  # fmt: skip


def in_c(program: IntegerProgram, images: Float32Array) -> Float32Array:
    """Write, compile with the Makefile, run."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        export(program, folder / "network.c", torch.from_numpy(images[:2]))
        subprocess.run(["make", "network"], cwd=folder, check=True, capture_output=True)
        images.tofile(folder / "images.f32")
        done = subprocess.run(["./network", "-b", "images.f32"], cwd=folder, check=True, capture_output=True)
        return np.frombuffer(done.stdout, np.float32).reshape(len(images), -1)


def batched(run: Callable[[Float32Array], Float32Array], images: Float32Array) -> Float32Array:
    return np.concatenate([run(part) for part in np.array_split(images, max(1, len(images) // 50))])


def from_file(program: IntegerProgram, suffix: str, images: Float32Array) -> Float32Array:
    with TemporaryDirectory() as name:
        path = Path(name) / f"network{suffix}"
        export(program, path, torch.from_numpy(images[:2]))
        return batched(load_runtime(path, "torch"), images)


def executors(program: IntegerProgram, images: Float32Array, oracle: int) -> dict[str, Float32Array]:
    """Logits by executor; the oracle's on the first images only."""
    logits = {"torch": batched(load_runtime(program, "torch"), images)}
    logits["reference"] = program.run(images[:oracle])
    for runtime in ("onnxruntime", "openvino"):
        logits[runtime] = batched(load_runtime(program, runtime, 2), images)
    logits["torch.export"] = from_file(program, ".pt2", images)
    logits["safetensors"] = from_file(program, ".safetensors", images)
    logits["c"] = in_c(program, images)
    return logits


class Judged:
    """Images, their labels, and which of them the simulation gets right."""

    def __init__(self, model: nn.Module, split: Resident) -> None:
        batches = list(evaluation_batches(split))
        self.images: Float32Array = torch.cat([batch for batch, _ in batches]).contiguous().numpy()
        self._labels = torch.cat([label for _, label in batches]).numpy()
        with torch.inference_mode():
            self.simulated = self.right(torch.cat([model(batch) for batch, _ in batches]).numpy())

    def right(self, logits: Float32Array) -> NDArray[np.bool_]:
        return np.asarray(logits.argmax(1) == self._labels[: len(logits)])


def rows(judged: Judged, program: IntegerProgram, oracle: int) -> Iterator[tuple[object, ...]]:
    """One for each executor."""
    before = f"{judged.simulated.mean():.4f}"
    found = executors(program, judged.images, oracle)
    for name, logits in found.items():
        other = logits != found["torch"][: len(logits)]
        after = f"{judged.right(logits).mean():.4f}"
        yield name, len(logits), int(other.sum()), int(other.any(1).sum()), after, before


def paired(judged: Judged, program: IntegerProgram) -> tuple[object, ...]:
    """What lowering costs: accuracies, images right in one form alone, and how likely so uneven by chance."""
    before, after = judged.simulated, judged.right(batched(load_runtime(program, "torch"), judged.images))
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p = binomtest(gained, max(1, gained + lost)).pvalue
    return len(before), f"{after.mean():.4f}", f"{before.mean():.4f}", gained, lost, f"{p:.2g}"


def add(file: Path, fields: tuple[str, ...], found: list[tuple[object, ...]]) -> None:
    print(*found, sep="\n", flush=True)
    with file.open("a", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows(found if opened.tell() else [fields, *found])


def done(file: Path) -> set[tuple[str, ...]]:
    if not file.exists():
        return set()
    with file.open(newline="", encoding="utf-8") as opened:
        return {tuple(row[:5]) for row in csv.reader(opened)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--oracle", type=int, default=1000)
    parser.add_argument("--networks", nargs="*", default=sorted({case.network for case in CASES}))
    given = parser.parse_args()
    torch.set_num_threads(1)
    for case in CASES:
        about = (case.network, case.kind, case.weight_bits, case.side, case.epochs)
        if case.network not in given.networks or tuple(map(str, about)) in done(RESULT) & done(LOWERING):
            continue
        data = case.data(given.data, given.images)
        model = case.trained(data)
        program = lower(model, calibration_images(data))
        if tuple(map(str, about)) not in done(LOWERING):
            assert data.test is not None, "give the test images, too"
            add(LOWERING, PAIRED, [(*about, *paired(Judged(model, data.test), program))])
        found = rows(Judged(model, data.val), program, given.oracle)
        add(RESULT, FIELDS, [(*about, *row) for row in found])


if __name__ == "__main__":
    main()
