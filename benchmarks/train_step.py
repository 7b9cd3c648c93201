"""A training step of shifted networks against the same networks unshifted, in the same loop.

    python benchmarks/train_step.py --rounds 20 --peer ~/DeepShift/pytorch

Forward, backward and SGD on one batch that is in memory; layers all converted, 4 bits, 8-bit activations
(3 + 5). `--peer` names the folder `pytorch` of a checkout of DeepShift, whose own layers are then timed in
its own style (NCHW, 16 + 16 bits as it defaults to, eager). `--fast` adds torch.compile, and bfloat16 where
the processor has it.

Beside time: what a step keeps for its backward pass (bytes of saved tensors, exact), and the share of input
handling (order, crop, flip, normalisation) of an epoch's step.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
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

BATCH = 128
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


def variants(name: str, side: int, peer: bool, fast: bool) -> dict[str, Callable[[], None]]:
    images, labels = torch.randn(BATCH, 3, side, side), torch.randint(0, 10, (BATCH,))
    last = images.to(memory_format=torch.channels_last)

    def fitted(model: nn.Module) -> nn.Module:
        return model.to(memory_format=torch.channels_last)

    steps = {"float": stepper(fitted(float_network(name)), last, labels)}
    for kind in ("Q", "PS"):
        steps[f"ours {kind}"] = stepper(fitted(ours(name, kind)), last, labels)
        if peer:
            steps[f"DeepShift {kind}"] = stepper(peers(name, kind), images, labels)
    for bf16 in (False, True)[: 1 + computes_in_bf16(torch.device("cpu"))] if fast else ():
        for what in ("float", "ours Q", "ours PS"):
            model = float_network(name) if what == "float" else ours(name, what.split()[1])
            label = f"{what} compiled{' bf16' if bf16 else ''}"
            steps[label] = stepper(fitted(model), last, labels, bf16=bf16, compiled=True)
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


def input_share(step_s: float, side: int) -> dict[str, float]:
    """Processor seconds a batch takes to be made, and their share of a step's."""
    pixels = torch.randint(0, 256, (20 * BATCH, side, side, 3), dtype=torch.uint8)
    data = Resident(pixels, torch.zeros(len(pixels), dtype=torch.int64), torch.zeros(3), torch.ones(3))
    times = []
    for epoch in range(5):
        batches = training_batches(data, BATCH, Augmentation(side // 8, True), seed=0, epoch=epoch)
        started = time.process_time()
        n = sum(1 for _ in batches)
        times.append((time.process_time() - started) / n)
    return {"batch_cpu_s": statistics.median(times), "share": statistics.median(times) / step_s}


def measure(name: str, side: int, rounds: int, peer: bool, fast: bool) -> dict[str, Any]:
    steps = variants(name, side, peer, fast)
    times = interleaved(steps, rounds)
    last = torch.randn(BATCH, 3, side, side).to(memory_format=torch.channels_last)
    float_bytes = saved_bytes(float_network(name), last)
    base = times["float"]
    result: dict[str, Any] = {
        "steps": {
            variant: {**values.summaries(), "ratio_to_float": values.relative(base)}
            for variant, values in times.items()
        },
        "saved_bytes": {"float": float_bytes}
        | {f"ours {kind}": saved_bytes(ours(name, kind), last) for kind in ("Q", "PS")},
        "input": input_share(statistics.median(base.cpu_s), side),
    }
    if peer:
        result["deepshift_to_ours"] = {
            kind: times[f"DeepShift {kind}"].relative(times[f"ours {kind}"]) for kind in ("Q", "PS")
        }
    show(name, times, result)
    return result


def show(name: str, times: dict[str, Times], result: dict[str, Any]) -> None:
    print(f"\n{name}: one step of {BATCH} images, median over n rounds (quartiles)")
    for variant, values in times.items():
        print(line(variant, values, times["float"]))
    base = result["saved_bytes"]["float"]
    for variant, size in result["saved_bytes"].items():
        print(f"  {variant} keeps {size / 2**20:.1f} MiB for the backward pass, × {size / base:.3f}")
    print(f"  input handling is {100 * result['input']['share']:.2f} % of a step", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet20", "mobilenetv2", "googlenet"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=32, help="pixels")
    parser.add_argument("--peer", type=Path, help="folder pytorch of a checkout of DeepShift")
    parser.add_argument("--fast", action="store_true", help="also bfloat16 and torch.compile")
    parser.add_argument("--default-malloc", action="store_true", help="as glibc is, for comparison")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.default_malloc:
        keep_freed_memory()
    if options.peer:
        sys.path.insert(0, str(options.peer))
        with contextlib.redirect_stdout(io.StringIO()):
            import deepshift.convert  # noqa: F401 - prints when its CUDA kernels are missing
    results = {}
    which = f"train_step_{options.side}" + ("_default_malloc" if options.default_malloc else "")
    for name in options.models:
        results[name] = measure(name, options.side, options.rounds, bool(options.peer), options.fast)
        write(which, {"batch": BATCH, "side": options.side, "models": results})


if __name__ == "__main__":
    main()
