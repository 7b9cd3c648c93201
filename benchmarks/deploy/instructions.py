"""Instructions per image of the C program, against the same program with int8 multiplications.

    python -m benchmarks.deploy.instructions [--networks tiny resnet20] [--weight-bits 4]

Natively by callgrind (needs valgrind), on emulated microcontrollers by QEMU (needs gcc-arm-none-eabi and
qemu-system-arm). Counts do not depend on what else the machine does. Weights are untrained, but norms have
seen data; results go to benchmarks/results/instructions.json. "none": as if there were no multiplier,
products by the shift-and-add routine that a compiler's library would supply.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.deploy.dense import dense
from benchmarks.deploy.trace import count
from benchmarks.measuring import RESULTS
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.deploy.c import nodes, tables
from jouleshift.deploy.c.writer import _write
from jouleshift.deploy.lower import lower
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.reference import execute
from jouleshift.models.registry import create

BOARD = Path(__file__).parent / "board"
SIZES = {"tiny": 8, "resnet20": 32}
VARIANTS = {
    "shift": (nodes.piece, []),
    "shift, multiplier for rescaling": (nodes.piece, ["-DJS_HAVE_MULTIPLIER"]),
    "multiply": (dense, []),
    "multiply, none": (dense, ["-DJS_NO_MULTIPLIER"]),
}
"""By name: what makes C of nodes, and the compiler's flags."""


def network(name: str, weight_bits: int) -> tuple[IntegerProgram, np.ndarray]:
    """A lowered zoo network and one image."""
    torch.manual_seed(0)
    size = SIZES[name]
    config = ShiftConfig(weight_bits=weight_bits, act_integer_bits=3, act_fraction_bits=5)
    model = convert(create(name, 10), config).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(32, 3, size, size))
    images = torch.randn(16, 3, size, size)
    return lower(model.eval(), images), images[:1].numpy()


def native(folder: Path, flags: list[str]) -> dict[str, int]:
    """Instructions of one image on this machine, those of an empty run taken away."""
    binary = folder / "run"
    subprocess.run(["gcc", "-O3", *flags, "-o", binary, folder / "network.c", folder / "main.c"], check=True)
    counts = []
    for images in (folder / "examples.f32", "/dev/null"):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary, images]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counts.append(int(re.search(r"Collected : (\d+)", done.stderr)[1]))
    return {"instructions": counts[0] - counts[1]}


def emulated(
    folder: Path, flags: list[str], cpu: str, example: tuple[np.ndarray, np.ndarray]
) -> dict[str, int]:
    """Instructions and cycles of one image on a Cortex-M."""
    pixels, logits = example
    text = "static const network_pixel image[] = {%s};\nstatic const network_logit expected[] = {%s};\n"
    literals = (", ".join(tables.integers(array)) for array in (pixels, logits))
    (folder / "image.h").write_text(text % tuple(literals))
    elf = folder / "board.elf"
    command = [
        "arm-none-eabi-gcc",
        f"-mcpu={cpu}",
        "-mthumb",
        "-O3",
        "-ffreestanding",
        "-nostartfiles",
        "-nostdlib",
    ]
    command += ["-fno-tree-loop-distribute-patterns", *flags, f"-I{folder}", "-T", str(BOARD / "board.ld")]
    command += ["-o", str(elf), str(BOARD / "start.c"), str(folder / "network.c"), "-lgcc"]
    subprocess.run(command, check=True)
    size = subprocess.run(["arm-none-eabi-size", elf], capture_output=True, text=True, check=True)
    text_bytes, _, bss_bytes = (int(word) for word in size.stdout.splitlines()[1].split()[:3])
    found = asdict(count(elf, cpu)) | {"flash_bytes": text_bytes, "ram_bytes": bss_bytes}
    if cpu != "cortex-m0":  # whose table of cycles it is
        del found["cycles"], found["cycles_slow"]
    return found


def measure(name: str, weight_bits: int) -> dict[str, dict[str, dict[str, int]]]:
    """By target, by variant."""
    program, image = network(name, weight_bits)
    values = list(execute(program, image))
    targets = ["native"] * bool(shutil.which("valgrind"))
    if shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc"):
        targets += ["cortex-m0", "cortex-m4"]
    found: dict[str, dict[str, dict[str, int]]] = {target: {} for target in targets}
    for variant, (rule, flags) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            _write(program, Path(folder), "network", image, rule)
            for target in targets:
                if target == "native":
                    result = native(Path(folder), flags)
                elif name == "resnet20" and variant == "multiply, none":
                    continue  # thousands of millions of instructions, one by one
                else:
                    result = emulated(Path(folder), flags, target, (values[0][1], values[-1][1]))
                found[target][variant] = result
                print(name, target, variant, result, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--weight-bits", type=int, default=4)
    given = parser.parse_args()
    tools = {
        tool: subprocess.run([tool, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        for tool in ("gcc", "arm-none-eabi-gcc", "valgrind", "qemu-system-arm")
        if shutil.which(tool)
    }
    results = {name: measure(name, given.weight_bits) for name in given.networks}
    report = {"weight_bits": given.weight_bits, "tools": tools, "results": results}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "instructions.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
