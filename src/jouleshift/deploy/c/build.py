"""Compile what `write_c` wrote and run it: the C program as an executor."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.reference import Executor
from jouleshift.errors import BadInput

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
FAST = ("-O3",)


def compiler() -> str:
    """The C compiler of this machine, `CC` if set. Raises `BadInput` where there is none."""
    wanted = os.environ.get("CC")
    found = next((name for name in (wanted, "cc", "gcc", "clang") if name and shutil.which(name)), None)
    if found is None:
        raise BadInput("there is no C compiler here (cc, gcc, clang); install one or set CC")
    return found


def build(source: Path, flags: Sequence[str] = FAST, cc: str | None = None) -> Path:
    """Compile NAME.c with the main.c beside it to an executable in the same folder.

    Raises `BadInput` with the compiler's first line where it refuses.
    """
    binary = source.with_suffix("")
    command = [
        cc or compiler(),
        *STRICT,
        *flags,
        "-o",
        str(binary),
        str(source),
        str(source.parent / "main.c"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise BadInput(f"{source} does not compile: {said[0]}")
    return binary


def executor(binary: Path, program: IntegerProgram) -> Executor:
    """Images (N, C, H, W) to the program's output (N, …), both float32, by the executable."""
    shape = program.output.shape

    def run(images: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(images, np.float32).tobytes()
        done = subprocess.run([binary.absolute(), "-b"], input=given, capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.float32).reshape(-1, *shape)

    return run
