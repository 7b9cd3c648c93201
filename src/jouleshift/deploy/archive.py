"""What a .pt2 file may hold before PyTorch reads it.

`torch.export.load` is not made for files from strangers (its own documentation says so): entries may be
pickles, which run code when they are read; libraries in the archive are loaded; expressions of sizes and
guards are evaluated as Python, and names become part of Python; an operator may be any function that can be
reached from `torch`, and among ATen's own is one that opens files. What `export` writes needs none of that,
so a file is read only if it is as narrow as ours are:

- entries have the names that ours have, each once, and are not compressed (nothing is larger than the file);
- no weight and no constant is a pickle, and the example images hold nothing but tensors;
- operators are the two dozen that our programs use (`OPERATORS`): they compute a new tensor of tensors;
- sizes are numbers and symbols, there are no guards, and all other text is names.

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
OPERATORS = frozenset(
    f"torch.ops.aten.{name}"
    for name in (
        *("__and__.Scalar", "__rshift__.Scalar", "_assert_tensor_metadata.default", "add.Tensor"),
        *("alias.default", "cat.default", "clamp.default", "conv2d.default", "einsum.default"),
        *("flatten.using_ints", "linear.default", "matmul.default", "max_pool2d.default", "mul.Tensor"),
        *("numpy_T.default", "pad.default", "reshape.default", "round.default", "slice.Tensor"),
        *("sum.dim_IntList", "to.dtype", "unflatten.int", "unfold.default"),
    )
)
"""What `torch_module` is made of. None writes into what it reads or makes a tensor of anything else; so must
be what is added here."""

_TUPLE = r'\{"type": "builtins\.tuple", "context": "null", "children_spec": \[%s\]\}'
_LEAF = r'\{"type": null, "context": null, "children_spec": \[\]\}'
_NO_NAMES = r'\{"type": "builtins\.dict", "context": "\[\]", "children_spec": \[\]\}'
_TEXT = {
    "target": "|".join(map(re.escape, OPERATORS)),
    "expr_str": (
        r"((Symbol|Integer|Add|Mul|FloorDiv|Mod)\(|\)|, |'[a-z]\d+'|-?\d+(?!\d)"
        r"|(positive|nonnegative|integer)=True)+"
    ),
    "guards_code": r"(?!)",
    "in_spec": r"\[1, " + _TUPLE % (_TUPLE % _LEAF + ", " + _NO_NAMES) + r"\]",
    "out_spec": rf"\[1, {_LEAF}\]",
    "nn_module_stack": r"[\w.,;]*",
    "torch_fn": r"[\w.;-]*",
    "as_string": r"[\w,>-]*",
    "as_float": r"-?\w*",
    "torch_version": r"[\w.+]*",
}
"""What the text of some fields looks like, by key; that of all others is `_PLAIN`."""
_PLAIN = r"[\w.]*"


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
        if isinstance(value, str):
            known = re.fullmatch(_TEXT.get(key, _PLAIN), value, re.ASCII) is not None
            _require(known, f"the {key} {value!r:.80}")
        if key == "use_pickle":
            _require(value is False, "a pickle")


def _fields(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value at any depth, what lists hold under the list's key, and keys as text too."""
    waiting = [("entry", content)]
    while waiting:
        key, thing = waiting.pop()
        yield key, thing
        if isinstance(thing, dict):
            waiting += [("key", inner) for inner in thing] + list(thing.items())
        elif isinstance(thing, list):
            waiting += [(key, inner) for inner in thing]


def _check_tensors(content: bytes) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ForeignError(f"its example images are no tensors: {error!s:.80}") from None
