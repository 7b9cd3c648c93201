"""Instructions and cycles of a program on an emulated Cortex-M, from QEMU's own record of what it ran.

QEMU translates code block by block and can log each block's disassembly and each time it runs a block.
Counting both gives exact instruction counts, and with the published table of a processor without caches its
cycles: Arm, *Cortex-M0 Technical Reference Manual* (DDI 0432C), table 3-1. Loads and stores take 2 cycles, a
taken branch 3, BL 4, n registers pushed or popped 1 + n (popping the program counter 3 more), MULS 1 or 32
as the maker of the chip chose, all else 1. Memory is assumed to answer at once.
"""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_INSTRUCTION = re.compile(r"0x([0-9a-f]+):\s+((?:[0-9a-f]{4} ?)+)\s+(\S+)\s*(.*)")
_RUN = re.compile(r"Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")


@dataclass
class Block:
    """Straight code: mnemonic and operands of each instruction; how often it ran, and led where."""

    code: list[tuple[str, str]] = field(default_factory=list)
    next_to: Counter[int] = field(default_factory=Counter)
    end: int = 0


@dataclass(frozen=True)
class Count:
    """What one run took. `cycles_slow` has the 32-cycle multiplier. Cycles are of a Cortex-M0."""

    instructions: int
    multiplications: int
    loads_and_stores: int
    cycles: int
    cycles_slow: int


def count(elf: Path, cpu: str) -> Count:
    """Run an ELF file on an MPS2 board and count. RuntimeError where it does not end with success."""
    command = ["qemu-system-arm", "-M", "mps2-an385" if cpu != "cortex-m4" else "mps2-an386", "-nographic"]
    command += ["-semihosting", "-kernel", str(elf), "-d", "in_asm,exec,nochain", "-D", "/dev/stdout"]
    blocks: dict[int, Block] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as qemu:
        assert qemu.stdout
        current: Block | None = None
        last: Block | None = None
        for line in qemu.stdout:
            ran = _RUN.match(line)
            if ran:
                at = int(ran[1], 16)
                if last is not None:
                    last.next_to[at] += 1
                last = blocks[at]
            elif line.startswith("IN:"):
                current = None
            elif found := _INSTRUCTION.match(line):
                at = int(found[1], 16)
                if current is None:
                    current = blocks[at] = Block()
                current.code.append((found[3], found[4]))
                current.end = at + len(found[2].replace(" ", "")) // 2
        if last is not None:
            last.next_to[-1] += 1
    if qemu.returncode:
        raise RuntimeError(f"{elf}: QEMU ended with {qemu.returncode}; the logits are wrong")
    return _summed(blocks)


def _summed(blocks: dict[int, Block]) -> Count:
    instructions = multiplications = memory = cycles = 0
    for block in blocks.values():
        times = block.next_to.total()
        taken = times - block.next_to[block.end]
        instructions += times * len(block.code)
        for mnemonic, operands in block.code:
            name = mnemonic.split(".")[0]
            multiplications += times * ("mul" in name or name.startswith(("mla", "smla", "mls", "umla")))
            memory += times * name.startswith(("ldr", "str", "ldm", "stm", "push", "pop"))
            cycles += times * _cycles(name, operands)
        if block.code[-1][0].split(".")[0] in _CONDITIONAL:
            cycles += 2 * taken
    return Count(instructions, multiplications, memory, cycles, cycles + 31 * multiplications)


_CONDITIONAL = {
    f"b{c}"
    for c in ["eq", "ne", "hs", "lo", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"]
}


def _cycles(name: str, operands: str) -> int:
    """Cortex-M0 cycles of one instruction, a conditional branch not taken."""
    if name.startswith(("push", "pop", "ldm", "stm")):
        registers = operands[operands.index("{") + 1 : operands.index("}")].split(",")
        return 1 + len(registers) + 3 * ("pc" in registers[-1])
    if name.startswith(("ldr", "str")):
        return 2
    if name in ("b", "bx", "blx"):
        return 3
    return 4 if name == "bl" else 1
