"""What shift layers cost in training: forward + backward of a fully shifted network over the same network
unshifted.

    python benchmarks/shift_overhead.py --model resnet20 --rounds 15 --threads 2

Variants take turns within one process, so that whatever else the machine does meets all of them alike; the
ratio of each round to the float step of the same round is what is reported: median and quartiles. Prints
JSON.
"""

import argparse
import json
import platform
import statistics
import time

import torch
from torch import nn

from jouleshift import models
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert

VARIANTS = {
    "Q 4 bits, 3+5": ShiftConfig(kind="Q", weight_bits=4, act_integer_bits=3, act_fraction_bits=5),
    "PS 4 bits, 3+5": ShiftConfig(kind="PS", weight_bits=4, act_integer_bits=3, act_fraction_bits=5),
    "PS 5 bits, 16+16": ShiftConfig(),
    "reference PS 5 bits, 16+16": ShiftConfig(mode="reference"),
}


def step(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Seconds of one forward and backward pass."""
    network.zero_grad(set_to_none=True)
    start = time.perf_counter()
    nn.functional.cross_entropy(network(images), labels).backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    float_network = models.create(arguments.model, 10)
    networks = {"float": float_network} | {name: convert(float_network, c) for name, c in VARIANTS.items()}
    networks = {name: net.to(memory_format=torch.channels_last).train() for name, net in networks.items()}
    images = torch.randn(arguments.batch_size, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (arguments.batch_size,))
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for round_number in range(arguments.rounds + 2):
        for name, network in networks.items():
            duration = step(network, images, labels)
            if round_number >= 2:
                seconds[name].append(duration)
    ratios = {
        name: [own / base for own, base in zip(durations, seconds["float"], strict=True)]
        for name, durations in seconds.items()
    }
    result = {
        "model": arguments.model,
        "batch_size": arguments.batch_size,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "float_median_s": statistics.median(seconds["float"]),
        "ratio_quartiles": {
            name: [round(q, 3) for q in statistics.quantiles(values, n=4)]
            for name, values in ratios.items()
            if name != "float"
        },
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
