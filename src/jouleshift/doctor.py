"""What works on this machine: devices, power sensors, runtimes, versions, with what each is good for.

Each check tries the thing itself rather than its package's presence; a failing check is a row, not an end.
"""

import importlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from jouleshift import environment
from jouleshift.energy.sensors import probe
from jouleshift.words import count

Row = tuple[str, bool, str]


def checks() -> Iterator[Row]:
    """Rows of (what, works, detail)."""
    found = environment.describe()
    yield "machine", True, f"{found['cpu']}, {found['cores']} cores, {found['platform']}"
    yield "python", True, found["versions"]["python"]
    yield from _devices()
    yield from probe()
    for package, use in (("onnxruntime", "runs exported networks"), ("openvino", "fast on x86")):
        yield package, *_importable(package, use)
    yield "C compiler", *_program(("cc", "gcc", "clang"), "builds exported C")
    yield "browser", *_program(("chromium", "chromium-browser", "google-chrome", "firefox"), "shows reports")
    yield "working directory", *_writable(Path.cwd())
    for name, version in found["versions"].items():
        if name != "python":
            yield name, version is not None, version or "not installed"


def diagnose() -> Table:
    """The checks as a table for the terminal."""
    table = Table(title="jouleshift doctor")
    for heading in ("what", "works", "detail"):
        table.add_column(heading, overflow="fold")
    for what, works, detail in checks():
        table.add_row(what, "[green]yes[/]" if works else "[yellow]no[/]", escape(detail))
    return table


def _devices() -> Iterator[Row]:
    import torch

    yield "CPU", _multiplies("cpu"), count(torch.get_num_threads(), "thread")
    cuda = torch.cuda.is_available()
    detail = torch.cuda.get_device_name() if cuda else "no CUDA device"
    yield "CUDA", cuda and _multiplies("cuda"), detail
    mps = torch.backends.mps.is_available()
    yield "MPS", mps and _multiplies("mps"), "Apple GPU" if mps else "not an Apple GPU"


def _multiplies(device: str) -> bool:
    import torch

    ones = torch.ones(4, 4, device=device)
    return bool(torch.equal((ones @ ones).cpu(), torch.full((4, 4), 4.0)))


def _importable(package: str, use: str) -> tuple[bool, str]:
    try:
        importlib.import_module(package)
    except ImportError as error:
        return False, f"{use}: {error}"
    return True, use


def _program(names: tuple[str, ...], use: str) -> tuple[bool, str]:
    found = next(filter(None, map(shutil.which, names)), None)
    return found is not None, f"{use}: {found or 'none of ' + ', '.join(names)}"


def _writable(folder: Path) -> tuple[bool, str]:
    try:
        with tempfile.TemporaryFile(dir=folder):
            free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return False, f"{folder}: {error.strerror}"
    return True, f"{folder}: {free_gb:.1f} GB free"
