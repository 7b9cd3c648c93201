"""Every executor on real images: how many logits differ from the oracle's, and what each network gets right.

    python -m benchmarks.deploy.bitmatch --data 'folder/cifar10-*.parquet' [--images 1000] [--epochs 1]

Each network is trained for a little (so that weights and batch norms are those of a trained one), lowered,
and run as ONNX in ONNX Runtime and OpenVINO, as a PyTorch module, as a .pt2 file and as compiled C. The
reference is the NumPy oracle on the first `--oracle` images and the PyTorch executor on all of them; the two
must agree on the first. Prints a row each; results in benchmarks/results/bitmatch.csv.
"""

import argparse
import csv
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.measuring import RESULTS
from jouleshift.config import ShiftConfig, TrainConfig
from jouleshift.conversion import convert
from jouleshift.data.batches import Prepared, evaluation_batches, prepare
from jouleshift.data.sources import load
from jouleshift.deploy.artefact import export
from jouleshift.deploy.deployed import calibration_images
from jouleshift.deploy.lower import lower
from jouleshift.deploy.program import Float32Array, IntegerProgram
from jouleshift.deploy.runtime import load as load_runtime
from jouleshift.models.registry import create
from jouleshift.train.loop import train

CASES = [
    ("resnet20", "PS", 2), ("resnet20", "PS", 3), ("resnet20", "PS", 4), ("resnet20", "PS", 5),
    ("resnet20", "Q", 4), ("mobilenetv2", "PS", 4), ("mobilenetv2", "PS", 3), ("googlenet", "PS", 4),
]  # fmt: skip
FIELDS = ("network", "kind", "weight_bits", "executor", "images", "logits_that_differ", "images_that_differ",
          "accuracy", "simulated_accuracy")  # fmt: skip


def trained(network: str, kind: str, bits: int, data: Prepared, epochs: int) -> nn.Module:
    torch.manual_seed(0)
    config = ShiftConfig(kind=kind, weight_bits=bits, act_integer_bits=3, act_fraction_bits=5)
    model = convert(create(network, len(data.class_names)), config)
    how = TrainConfig(learning_rate=0.1, schedule="one-cycle")
    train(model, data, how, epochs=epochs, horizon=epochs, seed=0)
    return model.eval()


def in_c(program: IntegerProgram, images: Float32Array) -> Float32Array:
    """Write, compile with the Makefile, run."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        export(program, folder / "network.c", torch.from_numpy(images[:2]))
        subprocess.run(["make", "network"], cwd=folder, check=True, capture_output=True)
        images.tofile(folder / "images.f32")
        done = subprocess.run(
            ["./network", "-b", "images.f32"], cwd=folder, check=True, capture_output=True
        )
        return np.frombuffer(done.stdout, np.float32).reshape(len(images), -1)


def batched(run: Callable[[Float32Array], Float32Array], images: Float32Array) -> Float32Array:
    return np.concatenate([run(part) for part in np.array_split(images, max(1, len(images) // 50))])


def exported(program: IntegerProgram, images: Float32Array) -> Float32Array:
    with TemporaryDirectory() as name:
        path = Path(name) / "network.pt2"
        export(program, path, torch.from_numpy(images[:2]))
        return batched(load_runtime(path), images)


def executors(program: IntegerProgram, images: Float32Array, oracle: int) -> dict[str, Float32Array]:
    """Logits by executor; the oracle's on the first images only."""
    logits = {"torch": batched(load_runtime(program, "torch"), images)}
    logits["reference"] = program.run(images[:oracle])
    for runtime in ("onnxruntime", "openvino"):
        logits[runtime] = batched(load_runtime(program, runtime, 2), images)
    logits["torch.export"] = exported(program, images)
    logits["c"] = in_c(program, images)
    return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--oracle", type=int, default=16)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    data = prepare(load(arguments.data, seed=0, limit_train=arguments.train, limit_val=arguments.images))
    batches = list(evaluation_batches(data.val))
    images = torch.cat([batch for batch, _ in batches]).contiguous()
    labels = torch.cat([label for _, label in batches]).numpy()
    rows = []
    for network, kind, bits in CASES:
        model = trained(network, kind, bits, data, arguments.epochs)
        with torch.inference_mode():
            simulated = torch.cat([model(batch) for batch, _ in batches]).argmax(1).numpy()
        program = lower(model, calibration_images(data))
        found = executors(program, images.numpy(), arguments.oracle)
        for name, logits in found.items():
            other = logits != found["torch"][: len(logits)]
            accuracy = (logits.argmax(1) == labels[: len(logits)]).mean()
            row = (network, kind, bits, name, len(logits), int(other.sum()), int(other.any(1).sum()),
                   round(float(accuracy), 4), round(float((simulated == labels).mean()), 4))  # fmt: skip
            print(*row, flush=True)
            rows.append(row)
    with (RESULTS / "bitmatch.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([FIELDS, *rows])


if __name__ == "__main__":
    main()
