"""Does the learning rate change the energy of the trained network? Figure 4 of the paper, under each source.

    python -m benchmarks.energy.learning_rate train       # 200 networks; goes on where it was stopped
    python -m benchmarks.energy.learning_rate count       # instructions of their C programs, by callgrind
    python -m benchmarks.energy.learning_rate measure     # 8 minutes, nothing else running; also goes on
    python -m benchmarks.energy.learning_rate report      # the table and docs/learning-rate-NETWORK.png

The paper samples 100 learning rates for the default configuration of ResNet20 and sees the emissions of
inference spread by more than their mean, but by a thirteenth of that when the default is repeated 100 times.
Here: 100 rates (log scale, 0.001 to 0.1, Table 1) and 100 repeats of the default (0.1), each with its own
seed, trained on scikit-learn's digits: `tiny` for 9 epochs, or ResNet20 for 3 as in the paper's code. A rate
can only act through the weights that it leaves: exponents that are used or not, weights that are zero, sums
that fit 53 bits or do not.

`measure` goes through all networks in an order that mixes both groups, once forwards and once backwards, so
that drift of the machine is in both alike, and what two passes agree on is the network's own.
"""

import argparse
import csv
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.deploy.instructions import native
from benchmarks.energy.spreads import Sample, draw, summarise
from benchmarks.measuring import RESULTS, environment
from jouleshift.config import ShiftConfig, TrainConfig
from jouleshift.conversion import convert
from jouleshift.data.batches import Prepared, evaluation_batches, prepare
from jouleshift.data.sources import load
from jouleshift.deploy.artefact import export
from jouleshift.deploy.deployed import calibration_images
from jouleshift.deploy.lower import lower
from jouleshift.deploy.runtime import load as load_runtime
from jouleshift.deploy.storage import load_program, save_program
from jouleshift.energy.codecarbon import simulated
from jouleshift.energy.counters import detect
from jouleshift.energy.hardware import load_profile, model_energy
from jouleshift.energy.meter import ESTIMATE, EnergyMeter
from jouleshift.energy.quiet import measuring
from jouleshift.energy.workload import trace
from jouleshift.models.registry import create
from jouleshift.records import Failure
from jouleshift.train.loop import train

COUNT, BATCH, POWER_W = 100, 64, 15.0
EPOCHS = {"tiny": 9, "resnet20": 3}
"""By network: how long it is trained."""
WINDOWS = replace(ESTIMATE, window_s=0.25, warm_up_s=0.0, warm_up_calls=1)
FOLDER = Path("runs/learning-rate")
RESULT = RESULTS / "learning_rate.csv"
PICTURES = Path(__file__).parents[2] / "docs"
FIELDS = ("network", "group", "seed", "learning_rate", "source", "pass", "value", "unit", "error")
UNITS = {"modelled": "J", "modelled, used span": "J", "instructions": "1", "deployed": "J", "simulated": "J"}


@dataclass(frozen=True)
class Case:
    """One network: a sampled rate, or the default once more."""

    network: str
    group: str
    seed: int
    learning_rate: float

    @property
    def weights(self) -> Path:
        return FOLDER / self.network / f"{self.group}-{self.seed}.safetensors"

    @property
    def program(self) -> Path:
        return FOLDER / self.network / f"{self.group}-{self.seed}.program.safetensors"

    @property
    def error(self) -> str:
        with safe_open(self.weights, "torch") as file:
            return str(file.metadata()["error"])

    def build(self) -> nn.Module:
        torch.manual_seed(self.seed)
        return convert(create(self.network, 10, 1), ShiftConfig())

    def trained(self) -> nn.Module:
        model = self.build()
        model.load_state_dict(load_file(self.weights))
        return model.eval().to(memory_format=torch.channels_last)


def cases(network: str) -> list[Case]:
    rates = np.exp(np.random.default_rng(0).uniform(np.log(0.001), np.log(0.1), COUNT))
    sampled = [Case(network, "rates", seed, float(rate)) for seed, rate in enumerate(rates)]
    return sampled + [
        Case(network, "repeats", COUNT + seed, TrainConfig().learning_rate) for seed in range(COUNT)
    ]


def mixed(network: str) -> list[Case]:
    """All cases that are trained, both groups through one another."""
    found = [case for case in cases(network) if case.program.exists()]
    random.Random(0).shuffle(found)
    return found


def images(data: Prepared) -> Tensor:
    return next(evaluation_batches(data.val))[0][:BATCH].contiguous()


def train_all(data: Prepared, order: list[Case]) -> None:
    for case in order:
        if case.program.exists():
            continue
        case.weights.parent.mkdir(parents=True, exist_ok=True)
        model, epochs = case.build(), EPOCHS[case.network]
        how = TrainConfig(learning_rate=case.learning_rate)
        result = train(model, data, how, epochs=epochs, horizon=epochs, seed=case.seed)
        if isinstance(result, Failure):
            print(case, result, flush=True)
            continue
        weights = {name: value.contiguous() for name, value in model.state_dict().items()}
        save_file(weights, case.weights, {"error": f"{result.error:.4f}"})
        save_program(lower(model, calibration_images(data)), case.program)
        print(case, f"error {result.error:.3f}", flush=True)


def instructions(case: Case, data: Prepared) -> float:
    """Of the C program, one image; the same image for all networks."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        export(load_program(case.program), folder / "network.c", images(data)[:1])
        return native(folder, [])["instructions"]


def modelled(case: Case, used_span: bool) -> float:
    profile = load_profile("asic-45nm")
    return model_energy(trace(case.trained(), torch.zeros(1, 1, 8, 8), used_span=used_span), profile).energy_j


def deployed(case: Case, batch: Tensor, meter: EnergyMeter) -> float:
    run = load_runtime(load_program(case.program), "torch", 1)
    pixels = batch.numpy()
    with measuring():
        meter.warm_up(lambda: run(pixels))
        window, calls = meter.window(lambda: run(pixels))
    return float("nan") if window.energy_j is None else window.energy_j / (calls * BATCH)


def in_simulation(case: Case, batch: Tensor) -> float:
    model = case.trained()

    def infer() -> None:
        with torch.inference_mode():
            model(batch)

    reading = simulated(infer, BATCH, "DEU", min_window_s=WINDOWS.window_s)
    return float("nan") if reading.energy_j is None else reading.energy_j


def record(network: str, sources: dict[str, Callable[[Case], float]], passes: int) -> None:
    """Values of all cases, `passes` times, there and back; what the file has is left as it is."""
    rows = read()
    done = {(row["network"], row["group"], row["seed"], row["source"], row["pass"]) for row in rows}
    for number in range(passes):
        order = mixed(network)[:: 1 - 2 * (number % 2)]
        for case in order:
            for source, value in sources.items():
                key = (network, case.group, str(case.seed), source, str(number))
                if key in done:
                    continue
                about = (network, case.group, case.seed, f"{case.learning_rate:.6g}", source, number)
                row = (*about, f"{value(case):.8g}", UNITS[source], case.error)
                _append(row)
                print(*row, flush=True)


def _append(row: tuple[object, ...]) -> None:
    new = not RESULT.exists()
    with RESULT.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([FIELDS, row] if new else [row])


def read() -> list[dict[str, str]]:
    if not RESULT.exists():
        return []
    with RESULT.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def samples(network: str, source: str) -> Iterator[Sample]:
    """One a network: its rate, its energy in each pass."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in read():
        if (row["network"], row["source"]) == (network, source) and row["value"] != "nan":
            found.setdefault((row["group"], row["seed"]), []).append(row)
    for (group, _), rows in found.items():
        values = tuple(float(row["value"]) for row in sorted(rows, key=lambda row: row["pass"]))
        yield Sample(group, float(rows[0]["learning_rate"]), values, float(rows[0]["error"]))


def report(network: str) -> None:
    found = {source: list(samples(network, source)) for source in UNITS}
    tables = {source: summarise(some) for source, some in found.items() if some}
    columns = ["source", "spread over rates", "over repeats", "ratio", "passes", "with rate", "with error"]
    print(f"| {' | '.join(columns)} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for source, table in tables.items():
        print(f"| {source} | {table} |")
    content = {"environment": environment(), "sources": {s: t.as_dict() for s, t in tables.items()}}
    text = json.dumps(content, indent=1, allow_nan=False)
    RESULT.with_name(f"learning_rate-{network}.json").write_text(text + "\n")
    draw({source: some for source, some in found.items() if some}, PICTURES / f"learning-rate-{network}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("train", "count", "measure", "report"))
    parser.add_argument("--network", choices=list(EPOCHS), default="tiny")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument(
        "--backwards", action="store_true", help="train from the last one on, in a second process"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.step == "report":
        return report(given.network)
    data = prepare(load("digits", seed=0))
    batch = images(data)
    if given.step == "train":
        train_all(data, cases(given.network)[:: -1 if given.backwards else 1])
    elif given.step == "count":
        models = {
            "modelled": lambda case: modelled(case, False),
            "modelled, used span": lambda case: modelled(case, True),
        }
        record(given.network, models, passes=1)
        record(given.network, {"instructions": lambda case: instructions(case, data)}, passes=1)
    else:
        meter = EnergyMeter(detect(), power_w=POWER_W, protocol=WINDOWS)
        both = {
            "deployed": lambda case: deployed(case, batch, meter),
            "simulated": lambda case: in_simulation(case, batch),
        }
        record(given.network, both, given.passes)
    return None


if __name__ == "__main__":
    main()
