"""Bytes of exported networks against float32: the table of sizes in docs/deploy.md.

    python -m benchmarks.deploy.sizes [--networks resnet20 mobilenetv2 googlenet]

Of each form: the whole file (safetensors, ONNX) or the tables of the C source, as a share of the weights of
the float network at 4 bytes each, and how far that is above weight_bits / 32. Weights are untrained, which
changes no size but that of ONNX, where the used span decides about bytes. Results: results/sizes.csv.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.deploy.untrained import NETWORKS, images, shifted
from benchmarks.measuring import RESULTS
from jouleshift.config import ShiftConfig
from jouleshift.deploy.c import write_c
from jouleshift.deploy.lower import lower
from jouleshift.deploy.onnx import write_onnx
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.storage import save_program

BITS = (2, 3, 4, 5)
FIELDS = ("network", "weight_bits", "form", "weights", "bytes", "share_of_float", "above_weight_bits")


def program_of(network: str, weight_bits: int) -> IntegerProgram:
    config = ShiftConfig(weight_bits=weight_bits, act_integer_bits=3, act_fraction_bits=5)
    return lower(shifted(network, config), images(8))


def sizes(program: IntegerProgram) -> Iterator[tuple[str, int]]:
    """Bytes by form; "packed weights" is what weight_bits alone come to."""
    yield "packed weights", program.weight_bytes
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_program(program, folder / "network.safetensors")
        yield "safetensors, whole file", (folder / "network.safetensors").stat().st_size
        written = write_c(program, folder, "network")
        yield "C, all tables", written.weight_bytes + written.other_bytes
        write_onnx(program, folder / "network.onnx")
        yield "ONNX, whole file", (folder / "network.onnx").stat().st_size


def rows(networks: list[str]) -> Iterator[tuple[object, ...]]:
    for network in networks:
        for bits in BITS:
            program = program_of(network, bits)
            for form, n_bytes in sizes(program):
                share = n_bytes / (4 * program.n_weights)
                above = share / (bits / 32) - 1
                yield network, bits, form, program.n_weights, n_bytes, f"{share:.4f}", f"{above:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    with (RESULTS / "sizes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in rows(parser.parse_args().networks):
            writer.writerow(row)
            print(*row, flush=True)


if __name__ == "__main__":
    main()
