"""The paper's finding re-examined: "few shift layers are best". Energy against shift depth, weight bits and
activation bits, of three networks, from each of the three sources of energy.

    python -m benchmarks.deploy.finding --sources modelled              # seconds, the same everywhere
    python -m benchmarks.deploy.finding --sources simulated deployed    # an hour, nothing else running
    python -m benchmarks.deploy.finding --plot

The networks are untrained but have seen data (their batch norms are filled); energy does not ask for more.
Each point is measured in a process of its own, the list once forwards and once backwards, so that drift
shows as a difference between the two. The same command continues. Results: benchmarks/results/finding.csv,
finding.json (on what machine) and docs/finding.png.
"""

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.deploy.untrained import NETWORKS, images, shifted
from benchmarks.measuring import RESULTS
from benchmarks.measuring import write as write_json
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convertible_layers
from jouleshift.data.batches import Resident, evaluation_batches
from jouleshift.deploy.lower import lower
from jouleshift.deploy.measured import Conditions, run_alone
from jouleshift.deploy.storage import save_program
from jouleshift.energy.codecarbon import simulated
from jouleshift.energy.hardware import load_profile, model_energy
from jouleshift.energy.workload import trace
from jouleshift.errors import BadInput
from jouleshift.models.registry import create
from jouleshift.train.loop import validate

SOURCES = ("modelled", "deployed", "simulated")
WEIGHT_BITS = (2, 3, 4, 5, 6)
ACTIVATION_BITS = (4, 6, 8, 12, 16, 32)
WIDEST_FAST = 8
"""Activation bits; programs of wider ones run ten to a hundred times slower, so few images are enough."""
POWER_W = 15.0
RESULT = RESULTS / "finding.csv"
PICTURE = Path(__file__).parents[2] / "docs" / "finding.png"
FIELDS = ("network", "source", "varied", "value", "energy_j", "kind", "origin", "pass")


@dataclass(frozen=True)
class Point:
    """One network in one format: 4-bit PS weights, 8-bit activations, all layers, but for what is varied."""

    network: str
    varied: str
    value: int

    def config(self) -> ShiftConfig:
        bits = self.value if self.varied == "activation_bits" else 8
        return ShiftConfig(
            weight_bits=self.value if self.varied == "weight_bits" else 4,
            act_integer_bits=min(3, bits - 1) if bits <= 8 else bits // 2,
            act_fraction_bits=bits - min(3, bits - 1) if bits <= 8 else bits - bits // 2,
            depth=self.value if self.varied == "depth" else None,
        )

    def build(self) -> nn.Module:
        return shifted(self.network, self.config())


def points() -> Iterator[Point]:
    for network in NETWORKS:
        deepest = convertible_layers(create(network, 10))
        depths = sorted({0, 1, *(round(share * deepest) for share in (0.1, 0.25, 0.5, 0.75, 1.0))})
        yield from (Point(network, "depth", depth) for depth in depths)
        yield from (Point(network, "weight_bits", bits) for bits in WEIGHT_BITS)
        yield from (Point(network, "activation_bits", bits) for bits in ACTIVATION_BITS)


def modelled(point: Point, batch: int) -> tuple[float, str, str]:
    workload = trace(point.build(), images(1))
    reading = model_energy(workload, load_profile("asic-45nm")).reading()
    return reading.energy_j or float("nan"), reading.kind, reading.origin


def in_simulation(point: Point, batch: int) -> tuple[float, str, str]:
    """A validation pass of a search, over twice as many images as a batch of `deployed` has."""
    torch.set_num_threads(2)
    model = point.build()
    pixels = torch.randint(0, 256, (2 * batch, 32, 32, 3), dtype=torch.uint8)
    split = Resident(pixels, torch.arange(2 * batch) % 10, torch.full((3,), 127.5), torch.full((3,), 74.0))

    def validation() -> None:
        validate(model, evaluation_batches(split))

    reading = simulated(validation, n_items=len(split), region="DEU")
    return reading.energy_j or float("nan"), reading.kind, reading.origin


def deployed(point: Point, batch: int) -> tuple[float, str, str]:
    """In its fastest runtime; a network without shift layers (depth 0) in the same, as float32 ONNX."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        model = point.build()
        if point.value == 0 and point.varied == "depth":
            path = path.with_suffix(".onnx")
            torch.onnx.export(model, (images(batch),), path, dynamo=False, input_names=["images"])
        else:
            save_program(lower(model, images(16)), path)
        conditions = Conditions("auto", batch, threads=2, power_w=POWER_W, windows=3, window_s=0.4)
        ran = run_alone(path, images(batch).numpy(), conditions)
    energy = ran.energy
    return energy.energy_j or float("nan"), energy.kind, f"{energy.origin}, {ran.runtime}"


MEASURES = {"modelled": modelled, "deployed": deployed, "simulated": in_simulation}


def measured(source: str, point: Point) -> tuple[float, str, str]:
    batch = 16 if point.network == "googlenet" else 64
    if source != "simulated":
        wide = point.varied == "activation_bits" and point.value > WIDEST_FAST
        return MEASURES[source](point, 4 if wide else batch)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(in_simulation, point, batch).result()


def run(sources: list[str]) -> None:
    """Measure what the file does not have yet; every point is written as it comes."""
    write_json("finding", {"sources": sources, "power_w": POWER_W})
    todo = list(points())
    rows = read()
    done = {(row["network"], row["source"], row["varied"], row["value"], row["pass"]) for row in rows}
    for number, order in enumerate((todo, todo[::-1])):
        for source in sources if number == 0 else [each for each in sources if each != "modelled"]:
            for point in order:
                key = (point.network, source, point.varied, str(point.value), str(number))
                if key not in done:
                    rows.append(dict(zip(FIELDS, (*key[:4], *observed(source, point), key[4]), strict=True)))
                    print(*rows[-1].values(), flush=True)
                    write(rows)


def observed(source: str, point: Point) -> tuple[str, str, str]:
    try:
        energy_j, kind, origin = measured(source, point)
    except BadInput as refusal:
        return "nan", "refused", str(refusal)
    return str(energy_j), kind, origin


def write(rows: list[dict[str, str]]) -> None:
    with RESULT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def read() -> list[dict[str, str]]:
    if not RESULT.exists():
        return []
    with RESULT.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curve(
    rows: list[dict[str, str]], network: str, source: str, varied: str
) -> tuple[list[int], list[float]]:
    """Values in rising order and the mean energy of the passes, relative to that of the full network."""
    energies: dict[int, list[float]] = {}
    for row in rows:
        if (row["network"], row["source"], row["varied"]) == (network, source, varied):
            energies.setdefault(int(row["value"]), []).append(float(row["energy_j"]))
    values = sorted(energies)
    means = [fmean(energies[value]) for value in values]
    finite = [mean for mean in means if np.isfinite(mean)]
    return values, [mean / finite[0] for mean in means] if finite else []


def plot() -> None:
    import matplotlib.pyplot as plt

    rows = read()
    figure, axes = plt.subplots(3, 3, figsize=(11, 9), layout="constrained")
    titles = {
        "depth": "shift depth (layers)",
        "weight_bits": "weight bits",
        "activation_bits": "activation bits",
    }
    for line, network in zip(axes, NETWORKS, strict=True):
        for axis, varied in zip(line, titles, strict=True):
            for source, mark in zip(SOURCES, "os^", strict=True):
                values, ratios = curve(rows, network, source, varied)
                axis.plot(values, ratios, marker=mark, label=source)
            axis.set(xlabel=titles[varied], ylabel=f"{network}: energy, leftmost = 1", yscale="log")
            axis.grid(alpha=0.3, which="both")
    axes[0][0].legend()
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", nargs="*", choices=SOURCES, default=[])
    parser.add_argument("--plot", action="store_true")
    arguments = parser.parse_args()
    if arguments.sources:
        run(arguments.sources)
    if arguments.plot:
        plot()


if __name__ == "__main__":
    main()
