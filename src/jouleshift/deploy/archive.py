"""What a .pt2 file may hold before PyTorch reads it.

`torch.export.load` is not made for files from strangers (its own documentation says so): entries may be
pickles, which run code when they are read; libraries in the archive are loaded; expressions of sizes are
evaluated as Python; an operator may be any function that can be reached from `torch`. What `export` writes
needs none of that, so a file is read only if it is as narrow as ours are:

- entries have the names that ours have, each once, and are not compressed (nothing is larger than the file);
- no weight and no constant is a pickle, and the example images hold nothing but tensors;
- operators are ATen's, and sizes are numbers and symbols.

Archives are those of torch 2.14; versions of PyTorch that write others (pickled weights, before about 2.9)
have their files refused here, though PyTorch itself reads them.

What was looked at is handed to PyTorch as a new archive in memory, so that no second reading of the same
bytes can find something else in them.
"""

import io
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

_NAME = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|\.format_version|\.storage_alignment"
    r"|\.data/(serialization_id|version)|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/(weights|constants)/(model_(weights|constants)_config\.json|(weight|tensor)_\d+))"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.(getitem|add|sub|mul|floordiv|eq|ge|le)")
_SIZE = re.compile(
    r"((Symbol|Integer|Add|Mul|FloorDiv|Mod)\(|\)|, |'[a-z]\d+'|-?\d+|(positive|nonnegative|integer)=True)+"
)


class ForeignError(ValueError):
    """What an archive holds that ours do not."""


def checked(path: Path) -> io.BytesIO:
    """The archive in a file, written anew. Raises `ForeignError`, OSError or zipfile.BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _require(len({entry.filename for entry in entries}) == len(entries), "the same entry twice")
        for entry in entries:
            _require(_NAME.fullmatch(entry.filename) is not None, f"an entry {entry.filename!r:.80}")
            _require(entry.compress_type == zipfile.ZIP_STORED, f"{entry.filename} compressed")
        contents = {entry.filename: archive.read(entry) for entry in entries}
    for name, content in contents.items():
        if name.endswith(".json"):
            _check_json(json.loads(content))
        elif name.endswith(".pt"):
            _check_tensors(content)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    made.seek(0)
    return made


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ForeignError(f"it holds {otherwise}, which no export of ours does")


def _check_json(content: Any) -> None:
    for key, value in _fields(content):
        if key == "use_pickle":
            _require(value is False, "a pickle")
        if key == "target":
            _require(_OPERATOR.fullmatch(str(value)) is not None, f"the operator {value!r:.80}")
        if key == "expr_str":
            _require(_SIZE.fullmatch(str(value)) is not None, f"the size {value!r:.80}")


def _fields(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value at any depth."""
    waiting = [content]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, dict):
            yield from thing.items()
        waiting += thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ()


def _check_tensors(content: bytes) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ForeignError(f"its example images are no tensors: {error!s:.80}") from None
