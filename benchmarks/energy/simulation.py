"""What float simulation of shift layers costs against the unshifted network: the figures of docs/energy.md.

    python benchmarks/energy/simulation.py [--batch 64] [--threads 1]

On a machine with a sensor the ratios are of joules, else of time. About three minutes.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.energy.compare import compare
from jouleshift.energy.counters import detect
from jouleshift.energy.meter import EnergyMeter
from jouleshift.models.registry import create


def inference(network: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    network = network.eval()

    def run() -> object:
        with torch.inference_mode():
            return network(images)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = torch.rand(arguments.batch, 3, 32, 32)
    meter = EnergyMeter(detect(), power_w=15)
    if meter.sensor is None:
        meter.protocol = replace(meter.protocol, window_s=0.5)
    plain = inference(create("resnet20", 10), images)
    print(f"ResNet20, batch {arguments.batch}, {arguments.threads} threads, {meter.origin}")
    settings = [{"kind": kind, "depth": depth} for kind in ("Q", "PS") for depth in (1, 10, 20)]
    for setting in settings:
        shifted = inference(convert(create("resnet20", 10), ShiftConfig(**setting)), images)
        print(setting, compare(meter, plain, shifted, items=(arguments.batch,) * 2), flush=True)


if __name__ == "__main__":
    main()
