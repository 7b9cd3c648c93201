"""How long inference takes: a shift network as integers against floats, uniform int8, and simulations of it.

    python -m benchmarks.deploy.latency [--networks resnet20 …] [--batches 1 64] [--peer DeepShift/pytorch]

Fully shifted networks, 4-bit PS weights, 8-bit activations; uniform int8 is ONNX Runtime's own static
quantisation (QDQ) of the float network. Every variant runs in a process of its own, on two threads, nothing
else running. Medians and quartiles of 25 calls, of the median process with `--processes`; ratios to float32
in ONNX Runtime. Results in benchmarks/results/latency.json.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.deploy.untrained import NETWORKS, images, plain, seen, shifted
from benchmarks.measuring import RESULTS, environment
from jouleshift.config import ShiftConfig
from jouleshift.deploy.lower import lower
from jouleshift.deploy.measured import Conditions, Latency, observe, run_alone
from jouleshift.deploy.nodes import Float32Array
from jouleshift.deploy.storage import save_program
from jouleshift.models.registry import create
from jouleshift.shown import latency_in_words

FORMAT = ShiftConfig(weight_bits=4, act_integer_bits=3, act_fraction_bits=5)
Build = Callable[[], nn.Module]


def deepshift(network: str, peer: str) -> nn.Module:
    """The peer's layers in place of ours, in the same formats."""
    sys.path.insert(0, peer)
    from deepshift.convert import convert_to_shift

    torch.manual_seed(0)
    formats = {"weight_bits": 4, "act_integer_bits": 3, "act_fraction_bits": 5}
    model, _ = convert_to_shift(create(network, 10), 1000, "PS", use_kernel=False, use_cuda=False, **formats)
    return seen(model)


def eager(build: Build, batch: int, threads: int) -> Latency:
    torch.set_num_threads(threads)
    model = build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    data = images(batch).contiguous(memory_format=torch.channels_last)

    def call() -> Float32Array:
        with torch.inference_mode():
            return np.asarray(model(data))

    return observe("torch", call, batch, conditions(batch, threads)).latency


def conditions(batch: int, threads: int, runtime: str = "auto") -> Conditions:
    return Conditions(runtime, batch, threads, power_w=15.0, windows=2, window_s=0.05)


def eager_alone(build: Build, batch: int, threads: int) -> Latency:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(eager, build, batch, threads).result()


def write_files(network: str, folder: Path) -> dict[str, Path]:
    """The network as float32 ONNX, as uniform int8 ONNX, and as our integer program."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Calibration(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([{"images": images(8).numpy()}])

        def get_next(self) -> dict[str, Float32Array] | None:
            return next(self.batches, None)

    paths = {name: folder / f"{name}.onnx" for name in ("float32", "prepared", "int8")}
    torch.onnx.export(
        plain(network), (images(2),), paths["float32"], dynamo=False, input_names=["images"],
        dynamic_axes={"images": {0: "N"}},
    )  # fmt: skip
    quant_pre_process(str(paths["float32"]), str(paths["prepared"]))
    quantize_static(
        str(paths["prepared"]), str(paths["int8"]), Calibration(), quant_format=QuantFormat.QDQ,
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    paths["shift"] = folder / "shift.safetensors"
    save_program(lower(shifted(network, FORMAT), images(16)), paths["shift"])
    return paths


def variants(
    network: str, paths: dict[str, Path], peer: str | None
) -> Iterator[tuple[str, Callable[..., Latency]]]:
    for runtime in ("onnxruntime", "openvino"):
        for kind in ("float32", "int8", "shift"):
            yield f"{kind}, {runtime}", partial(in_runtime, paths[kind], runtime)
    yield "float32, PyTorch eager", partial(eager_alone, partial(plain, network))
    yield "shift, our simulation", partial(eager_alone, partial(shifted, network, FORMAT))
    if peer is not None:
        yield "shift, DeepShift's simulation", partial(eager_alone, partial(deepshift, network, peer))


def in_runtime(path: Path, runtime: str, batch: int, threads: int) -> Latency:
    return run_alone(path, images(batch).numpy(), conditions(batch, threads, runtime)).latency


def typical(latencies: list[Latency]) -> Latency:
    """The median process, with the calls of all; processes of one network differ more than their calls."""
    middle = sorted(latencies, key=lambda latency: latency.median_s)[len(latencies) // 2]
    return replace(middle, runs=sum(latency.runs for latency in latencies))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--processes", type=int, default=1, help="time each runtime in so many, in turn, and nothing else"
    )
    parser.add_argument("--peer", help="folder pytorch of a checkout of DeepShift, for its simulation")
    arguments = parser.parse_args()
    path = RESULTS / "latency.json"
    result = json.loads(path.read_text()) if path.exists() else {"rows": []}
    result["environment"] = environment()
    when = {name: result["environment"][name] for name in ("date", "revision")}
    for network in arguments.networks:
        with TemporaryDirectory() as folder:
            paths = write_files(network, Path(folder))
            for batch in arguments.batches:
                measured: dict[str, list[Latency]] = {}
                for _ in range(arguments.processes):
                    for name, measure in variants(network, paths, arguments.peer):
                        if arguments.processes == 1 or "runtime" in name or "openvino" in name:
                            measured.setdefault(name, []).append(measure(batch, arguments.threads))
                base = None
                for name, latencies in measured.items():
                    latency = typical(latencies)
                    base = base or latency.median_s
                    row = {"network": network, "batch": batch, "variant": name, "median_s": latency.median_s,
                           "low_s": latency.low_s, "high_s": latency.high_s, "n": latency.runs,
                           "medians_s": [each.median_s for each in latencies],
                           "speed_up": round(base / latency.median_s, 3), **when}  # fmt: skip
                    print(network, batch, name, latency_in_words(latency), f"× {row['speed_up']}", flush=True)
                    result["rows"] = [
                        r for r in result["rows"]
                        if (r["network"], r["batch"], r["variant"]) != (network, batch, name)
                    ] + [row]  # fmt: skip
                    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
