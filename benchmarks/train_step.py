"""A training step of shifted networks against the same networks unshifted, in the same loop.

    python benchmarks/train_step.py --rounds 20 --peer ~/DeepShift/pytorch

Forward, backward and SGD on one batch that is in memory; layers all converted, 4 bits, 8-bit activations
(3 + 5); once more in bfloat16 where the processor has it. `--peer` names the folder `pytorch` of a checkout
of DeepShift, whose own layers are then timed in its own style (NCHW, float32, 16 + 16 bits as it defaults to,
eager). `--compile` adds torch.compile.

Beside time: what a step keeps for its backward pass (bytes of saved tensors, exact), and the share of input
handling (order, crop, flip, normalisation) of the float network's step.

`benchmarks/training_speed.sh` runs this and the other timings of docs/training.md.
"""

import argparse
import contextlib
import io
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measuring import Times, interleaved, line, write
from torch import Tensor, nn

from jouleshift import conversion, models
from jouleshift.config import ShiftConfig
from jouleshift.data.batches import Augmentation, Resident, training_batches
from jouleshift.train.memory import keep_freed_memory
from jouleshift.train.recipe import computes_in_bf16

BATCHES = {"googlenet": 64}
"""Images a batch; 128 where none are named."""
OURS = ("float", "ours Q", "ours PS")
PEERS = ("DeepShift Q", "DeepShift PS")
FORMAT = {"weight_bits": 4, "act_integer_bits": 3, "act_fraction_bits": 5}


def float_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return models.create(name, num_classes=10)


def ours(name: str, kind: str) -> nn.Module:
    return conversion.convert(float_network(name), ShiftConfig(kind=kind, **FORMAT))


def peers(name: str, kind: str) -> nn.Module:
    from deepshift.convert import convert_to_shift

    return convert_to_shift(float_network(name), 1000, kind, weight_bits=4, use_kernel=False)[0]


def stepper(model: nn.Module, images: Tensor, labels: Tensor, *, bf16: bool = False, compiled: bool = False):
    """A function that does one training step."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = forward(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


@dataclass(frozen=True)
class Setting:
    """What is timed: a network by name, images a batch, pixels a side, and which variants beside ours."""

    name: str
    batch: int
    side: int
    peer: bool
    compiled: bool

    def network(self, variant: str) -> nn.Module:
        """float, ours Q, ours PS, DeepShift Q or DeepShift PS."""
        if variant == "float":
            return float_network(self.name)
        whose, kind = variant.split()
        return peers(self.name, kind) if whose == "DeepShift" else ours(self.name, kind)

    @property
    def variants(self) -> tuple[str, ...]:
        return (*OURS, *PEERS) if self.peer else OURS

    def images(self) -> Tensor:
        return torch.randn(self.batch, 3, self.side, self.side)


def all_steps(setting: Setting) -> dict[str, Callable[[], None]]:
    images, labels = setting.images(), torch.randint(0, 10, (setting.batch,))
    last = images.to(memory_format=torch.channels_last)

    def our_step(variant: str, **how: bool) -> Callable[[], None]:
        model = setting.network(variant).to(memory_format=torch.channels_last)
        return stepper(model, last, labels, **how)

    steps = {variant: our_step(variant) for variant in OURS}
    native = computes_in_bf16(torch.device("cpu"))
    if native:
        steps |= {f"{variant}, bf16": our_step(variant, bf16=True) for variant in OURS}
    if setting.compiled:
        steps |= {f"{variant}, compiled": our_step(variant, compiled=True) for variant in OURS}
    if setting.compiled and native:
        both = {"bf16": True, "compiled": True}
        steps |= {f"{variant}, bf16, compiled": our_step(variant, **both) for variant in OURS}
    if setting.peer:
        steps |= {variant: stepper(setting.network(variant), images, labels) for variant in PEERS}
    return steps


def saved_bytes(model: nn.Module, images: Tensor) -> int:
    """Bytes of the distinct storages that a forward pass keeps for the backward pass, parameters left out."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            seen[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train()(images)
    return sum(seen.values())


def input_share(setting: Setting, step_s: float) -> dict[str, float]:
    """Processor seconds a batch takes to be made, and their share of a step's."""
    batch, side = setting.batch, setting.side
    pixels = torch.randint(0, 256, (20 * batch, side, side, 3), dtype=torch.uint8)
    data = Resident(pixels, torch.zeros(len(pixels), dtype=torch.int64), torch.zeros(3), torch.ones(3))
    times = []
    for epoch in range(5):
        batches = training_batches(data, batch, Augmentation(side // 8, True), seed=0, epoch=epoch)
        started = time.process_time()
        n = sum(1 for _ in batches)
        times.append((time.process_time() - started) / n)
    return {"batch_cpu_s": statistics.median(times), "share": statistics.median(times) / step_s}


def measure(setting: Setting, rounds: int, limit_s: float) -> dict[str, Any]:
    times = interleaved(all_steps(setting), rounds, limit_s=limit_s)
    base = times["float"]
    result: dict[str, Any] = {
        "batch": setting.batch,
        "steps": {
            variant: {**values.summaries(), "ratio_to_float": values.relative(base)}
            for variant, values in times.items()
        },
        "saved_bytes": {
            variant: saved_bytes(setting.network(variant), setting.images()) for variant in setting.variants
        },
        "input": input_share(setting, statistics.median(base.cpu_s)),
        "deepshift_to": {
            variant: times[f"DeepShift {kind}"].relative(values)
            for variant, values in times.items()
            for kind in ("Q", "PS")
            if setting.peer and variant.split(",")[0] == f"ours {kind}"
        },
    }
    show(setting, times, result)
    return result


def show(setting: Setting, times: dict[str, Times], result: dict[str, Any]) -> None:
    print(f"\n{setting.name}: one step of {setting.batch} images, median over n rounds (quartiles)")
    for variant, values in times.items():
        print(line(variant, values, times["float"]))
    for variant, faster in result["deepshift_to"].items():
        print(f"  {variant} is {faster['wall']['median']:.2f} times as fast as DeepShift's")
    base = result["saved_bytes"]["float"]
    for variant, size in result["saved_bytes"].items():
        print(f"  {variant} keeps {size / 2**20:.1f} MiB for the backward pass, × {size / base:.3f}")
    print(f"  input handling is {100 * result['input']['share']:.2f} % of a step", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet20", "mobilenetv2", "googlenet"])
    parser.add_argument("--rounds", type=int, default=20, help="at most")
    parser.add_argument(
        "--limit-s", type=float, default=math.inf, help="seconds a network; 3 rounds at least"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=32, help="pixels")
    parser.add_argument("--batch", type=int, help="images; default: 64 for GoogLeNet, else 128")
    parser.add_argument("--peer", type=Path, help="folder pytorch of a checkout of DeepShift")
    parser.add_argument("--compile", action="store_true", help="also torch.compile")
    parser.add_argument("--default-malloc", action="store_true", help="as glibc is, for comparison")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.default_malloc:
        keep_freed_memory()
    if options.peer:
        sys.path.insert(0, str(options.peer))
        with contextlib.redirect_stdout(io.StringIO()):
            import deepshift.convert  # noqa: F401 - prints when its CUDA kernels are missing
    malloc = "_default_malloc" if options.default_malloc else ""
    for name in options.models:
        batch = options.batch or BATCHES.get(name, 128)
        setting = Setting(name, batch, options.side, bool(options.peer), options.compile)
        result = measure(setting, options.rounds, options.limit_s)
        write(f"train_step_{name}{malloc}", {"model": name, "side": options.side, **result})


if __name__ == "__main__":
    main()
