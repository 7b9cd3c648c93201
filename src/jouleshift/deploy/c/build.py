"""Compile what `write_c` wrote and run it: the C program as an executor.

`executor` runs the program that `make` builds, through pipes. `loaded` makes a library of the network alone
and calls it in this process, so that a call can be timed: a few lines of C (`_CALLS`) pass it image after
image and turn logits into numbers, as main.c does. Either way code of the folder runs with all your rights.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

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
    _compile([source, source.parent / "main.c"], binary, flags, cc)
    return binary


def _compile(sources: Sequence[Path], made: Path, flags: Sequence[str], cc: str | None = None) -> None:
    command = [cc or compiler(), *STRICT, *flags, "-o", str(made), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise BadInput(f"{sources[0]} does not compile: {said[0]}")


_CALLS = """\
#include "@name@.h"
const int64_t input_size = @NAME@_INPUT_SIZE, output_size = @NAME@_OUTPUT_SIZE;
void run_all(const float *images, float *results, int64_t n);
void run_all(const float *images, float *results, int64_t n)
{
    static @name@_logit logits[@NAME@_OUTPUT_SIZE];
    for (int64_t i = 0; i < n; i++) {
        @name@_run(images + i * input_size, logits);
        for (int64_t k = 0; k < output_size; k++)
            *results++ = (float)logits[k] * @NAME@_OUTPUT_STEP;
    }
}
"""


def loaded(source: Path) -> Executor:
    """Images (N, C, H, W) to logits (N, classes), both float32, by NAME.c compiled into this process.

    Raises `BadInput` where there is no compiler, where that refuses, or for images of another size.
    """
    name, header = source.stem, source.with_suffix(".h")
    if not (name.isidentifier() and name.isascii() and source.is_file() and header.is_file()):
        raise BadInput(f"{source} and {header.name} beside it are not what export wrote")
    with TemporaryDirectory(prefix="jouleshift-") as folder:
        calls, library = Path(folder) / "calls.c", Path(folder) / "network.so"
        calls.write_text(_CALLS.replace("@name@", name).replace("@NAME@", name.upper()))
        _compile([source, calls], library, (*FAST, "-shared", "-fPIC", "-iquote", str(source.parent)))
        code = ctypes.CDLL(str(library))
    n_inputs, n_outputs = (ctypes.c_int64.in_dll(code, of).value for of in ("input_size", "output_size"))

    def run(images: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(images, np.float32)
        if given.size != len(given) * n_inputs:
            raise BadInput(f"{source} takes {n_inputs} numbers an image, not {given[0].size}")
        results = np.empty((len(given), n_outputs), np.float32)
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in (given, results))
        code.run_all(*pointers, ctypes.c_int64(len(given)))
        return results

    return run


def executor(binary: Path, program: IntegerProgram) -> Executor:
    """Images (N, C, H, W) to the program's output (N, …), both float32, by the executable."""
    shape = program.output.shape

    def run(images: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(images, np.float32).tobytes()
        done = subprocess.run([binary.absolute(), "-b"], input=given, capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.float32).reshape(-1, *shape)

    return run
