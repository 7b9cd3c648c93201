"""A network as files to ship; the suffix of the path chooses the form.

    model.onnx          ONNX, for ONNX Runtime and OpenVINO
    model.c             C99: model.c and model.h, with main.c, Makefile and README.md in the same folder
    model.pt2           torch.export, for those who stay in PyTorch
    model.safetensors   the integer program itself, its weights packed at weight_bits

All give the same logits, bit for bit, as `lower(model).run(images)`. Beside each lies NAME.check.safetensors:
a few images and their logits by the oracle, with which `jouleshift measure` checks the file again. Where
layers were left float, runtimes may differ in a float's last bit, so now and then in an integer: the file
says so.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from jouleshift.deploy import nodes as p
from jouleshift.deploy.images import example_images
from jouleshift.deploy.lower import lower
from jouleshift.deploy.program import IntegerProgram
from jouleshift.errors import BadInput, nearest

CHECK_IMAGES = 16
FORMS = {".onnx": "onnx", ".c": "c", ".pt2": "torch", ".safetensors": "safetensors"}
"""The form that each suffix stands for."""


def export(
    model: nn.Module | IntegerProgram, path: str | os.PathLike[str], example_input: Tensor
) -> tuple[Path, ...]:
    """Write a network with shift layers, or its program, in the form of the path's suffix.

    `example_input` (N, C, H, W) are real images as the network is trained on: 64 of them decide number
    formats (see `lower`), 16 are kept for checking. Returns the files written, the network first; a refusal
    leaves none. Raises `BadInput` for an unknown suffix, a network that cannot be done exactly, a folder that
    cannot be written or where other files would be overwritten.
    """
    target = Path(path)
    form = form_of(target)
    program = model if isinstance(model, IntegerProgram) else lower(model, example_input)
    images = example_images(example_input, CHECK_IMAGES, program.input.shape).numpy().copy(order="C")
    with TemporaryDirectory(prefix="jouleshift-") as folder:
        draft = Path(folder) / target.name
        main = target.parent / _WRITERS[form](program, draft, images).name
        _write_check(program, draft.with_name(main.name), images)
        files = sorted(target.parent / path.name for path in Path(folder).iterdir())
        _refuse_overwriting(main, files)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for file in files:  # contents alone: a temporary folder and what is in it are for nobody else
                shutil.copyfile(Path(folder) / file.name, file)
        except OSError as error:
            raise BadInput(f"cannot write {target}: {error.strerror or error}") from None
    return (main, *(path for path in files if path != main))


def _refuse_overwriting(main: Path, files: Sequence[Path]) -> None:
    """Raise `BadInput` where files that are not named after the network are there already and the network is
    not: they are someone's own or another network's."""
    there = [path for path in files if not path.name.startswith(f"{main.stem}.") and path.exists()]
    if there and not main.exists():
        raise BadInput(f"{there[0]} is there already; export into a folder of its own")


def form_of(path: Path) -> str:
    """The form that a path's suffix names. Raises `BadInput` for others."""
    if path.suffix not in FORMS:
        known = ", ".join(FORMS)
        raise BadInput(f"{path}: the suffix says the form; give {known}{nearest(path.suffix, FORMS)}")
    return FORMS[path.suffix]


def check_path(path: Path) -> Path:
    """Where the images to check a file with lie."""
    return path.with_suffix(".check.safetensors")


def _write_check(program: IntegerProgram, path: Path, images: p.Float32Array) -> None:
    from safetensors.numpy import save_file

    integers = {"integers": "throughout" if program.all_integer else "between floats"}
    save_file({"images": images, "logits": program.run(images)}, check_path(path), metadata=integers)


def _onnx(program: IntegerProgram, path: Path, images: p.Float32Array) -> Path:
    from jouleshift.deploy.runtime import require_for

    require_for("onnxruntime", ("onnx",))
    from jouleshift.deploy.onnx import write_onnx

    write_onnx(program, path)
    return path


def _c(program: IntegerProgram, path: Path, images: p.Float32Array) -> Path:
    from jouleshift.deploy.c.writer import write_c

    return write_c(program, path.parent, path.stem, images).source


def _torch(program: IntegerProgram, path: Path, images: p.Float32Array) -> Path:
    from jouleshift.deploy.torch_module import write_exported

    write_exported(program, path)
    return path


def _safetensors(program: IntegerProgram, path: Path, images: p.Float32Array) -> Path:
    from jouleshift.deploy.storage import save_program

    save_program(program, path)
    return path


_WRITERS: dict[str, Callable[[IntegerProgram, Path, p.Float32Array], Path]] = {
    "onnx": _onnx,
    "c": _c,
    "torch": _torch,
    "safetensors": _safetensors,
}
