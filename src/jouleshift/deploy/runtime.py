"""One way to run a deployed network, whatever runs it.

    run = load("model.onnx", "openvino", threads=2)
    logits = run(images)                # float32 (N, C, H, W) → float32 (N, classes)

| runtime     | where it is good                         | what it needs              |
| ----------- | ---------------------------------------- | -------------------------- |
| openvino    | x86 with VNNI: mostly the fastest there  | pip install 'jouleshift[openvino]' |
| onnxruntime | everywhere                               | pip install 'jouleshift[onnx]' |
| torch       | always there; programs of any width      |                            |

`auto` takes the first of these that is installed and exact for the program. All give the same bits. Which is
fastest depends on network and machine, so `deploy.measured` can time them. Every runtime keeps its own pool
of threads, which fight if they share a process: measure each in one of its own.
"""

import os
import platform
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.program import IntegerProgram
from jouleshift.errors import BadInput, nearest

Run = Callable[[p.Float32Array], p.Float32Array]
Source = str | os.PathLike[str] | IntegerProgram
_PACKAGES = {
    "openvino": ("openvino", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "torch": (),
}
_EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}
RUNTIMES = tuple(_PACKAGES)


def load(source: Source, runtime: str = "auto", threads: int | None = None) -> Run:
    """Images (N, C, H, W) to logits (N, classes), both float32, on so many threads (None: the runtime's own
    choice; for torch it holds for the process).

    `source` is a program, or a file that `export` wrote: .safetensors, .onnx, .pt2 (torch only). An .onnx
    file from elsewhere runs as it is. Raises `BadInput` where a package is missing or the runtime could not
    be exact.
    """
    content = _content(source)
    chosen = _chosen(content, runtime)
    return _LOADERS[chosen](content, threads)


def choose(source: Source, runtime: str = "auto") -> str:
    """The runtime that `load` would take. Raises `BadInput` as it does."""
    return _chosen(_content(source), runtime)


def candidates(source: Source) -> list[str]:
    """Installed runtimes that run it exactly, best guess of the fastest first; torch only if alone.

    Raises `BadInput` where none is installed.
    """
    content = _content(source)
    installed = _installed(content)
    return [name for name in installed if name != "torch" and _exact(content, name)] or installed[-1:]


def _content(source: Source) -> IntegerProgram | Path:
    """The program in a source; the path of a file that holds none."""
    if isinstance(source, IntegerProgram):
        return source
    path = Path(source)
    match path.suffix:
        case ".safetensors":
            from jouleshift.deploy.storage import load_program

            return load_program(path)
        case ".onnx":
            require_for("onnxruntime", ("onnx",))
            from jouleshift.deploy.onnx_reader import read_onnx

            return read_onnx(path) or path
        case ".pt2":
            return path
        case other:
            raise BadInput(f"{path}: no runtime runs {other or 'this'}; give .onnx, .pt2 or .safetensors")


def _chosen(content: IntegerProgram | Path, runtime: str) -> str:
    possible = _possible(content)
    if runtime != "auto":
        if runtime not in RUNTIMES:
            raise BadInput(f"unknown runtime {runtime!r}: {', '.join(RUNTIMES)}{nearest(runtime, RUNTIMES)}")
        if runtime not in possible:
            raise BadInput(f"{runtime} does not run {content}; take {' or '.join(possible)}")
        require_for(runtime, _PACKAGES[runtime])
        return runtime
    return next(name for name in _installed(content) if _exact(content, name))


def _installed(content: IntegerProgram | Path) -> list[str]:
    possible = _possible(content)
    installed = [name for name in possible if not _missing(_PACKAGES[name])]
    if not installed:
        require_for(possible[0], _PACKAGES[possible[0]])
    return installed


def _exact(content: IntegerProgram | Path, runtime: str) -> bool:
    """Whether a runtime computes a program exactly."""
    if isinstance(content, Path) or runtime == "torch":
        return True
    try:
        _onnx_bytes(content, runtime)
    except BadInput:
        return False
    return True


def _possible(content: IntegerProgram | Path) -> list[str]:
    """Runtimes in order of preference."""
    by_speed = sorted(RUNTIMES, key=lambda name: name == "openvino" and platform.machine() not in _X86)
    if isinstance(content, Path):
        return ["torch"] if content.suffix == ".pt2" else [name for name in by_speed if name != "torch"]
    return by_speed


_X86 = {"x86_64", "AMD64", "amd64"}


def _missing(packages: tuple[str, ...]) -> list[str]:
    return [name for name in packages if find_spec(name) is None]


def require_for(runtime: str, packages: tuple[str, ...]) -> None:
    """`BadInput` with the remedy where a package that a runtime's files need is missing."""
    missing = _missing(packages)
    if missing:
        extra = _EXTRAS[runtime]
        raise BadInput(f"{' and '.join(missing)} not installed; pip install 'jouleshift[{extra}]'")


def _onnx_bytes(content: IntegerProgram | Path, runtime: Any) -> bytes:
    if isinstance(content, Path):
        return content.read_bytes()
    from jouleshift.deploy.onnx import to_onnx

    return to_onnx(content, runtime).SerializeToString()


def _unfit(content: IntegerProgram | Path, runtime: str, error: Exception) -> BadInput:
    what = content if isinstance(content, Path) else "this program"
    return BadInput(f"{runtime} does not take {what}: {error!s:.200}")


def _images(images: p.Float32Array) -> p.Float32Array:
    return np.ascontiguousarray(images, dtype=np.float32)


def _onnxruntime(content: IntegerProgram | Path, threads: int | None) -> Run:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads or 0
    model = _onnx_bytes(content, "onnxruntime")
    unfit = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf,
             errors.NotImplemented, errors.RuntimeException)  # fmt: skip
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except unfit as error:
        raise _unfit(content, "ONNX Runtime", error) from None
    (first,) = session.get_inputs()
    return lambda images: session.run(None, {first.name: _images(images)})[0]


def _openvino(content: IntegerProgram | Path, threads: int | None) -> Run:
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    model = _onnx_bytes(content, "openvino")
    try:
        compiled = core.compile_model(core.read_model(model), "CPU", settings)
    except RuntimeError as error:
        raise _unfit(content, "OpenVINO", error) from None
    request = compiled.create_infer_request()

    def run(images: p.Float32Array) -> p.Float32Array:
        return request.infer({0: _images(images)}, share_inputs=True, share_outputs=True)[0].copy()

    return run


def _torch(content: IntegerProgram | Path, threads: int | None) -> Run:
    import torch

    from jouleshift.deploy.torch_module import ProgramModule, executor, read_exported

    if threads is not None:
        torch.set_num_threads(threads)
    return executor(read_exported(content) if isinstance(content, Path) else ProgramModule(content))


_LOADERS: dict[str, Callable[[IntegerProgram | Path, int | None], Run]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "torch": _torch,
}
