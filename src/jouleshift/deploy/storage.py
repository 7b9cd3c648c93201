"""Integer programs in safetensors files: weights packed at `weight_bits` bits, everything else beside them.

A file has tensors, named after the value that a layer makes, and the rest of the program as JSON in its
metadata:

    conv1.weights      uint8   the packed codes (quant.packing)
    conv1.furthest     int8    the largest distance of each channel
    conv1.bias         int32 or int64
    conv1.multiplier   float32

Nothing in a file can run, and nothing in it is believed: types are checked as it is read, and shapes, names
and bounds by `deploy.checks` before a program is handed out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jouleshift.deploy import nodes as p
from jouleshift.deploy.checks import check
from jouleshift.deploy.program import IntegerProgram
from jouleshift.errors import BadInput
from jouleshift.quant import packing
from jouleshift.quant.power_of_two import grid

FORMAT = "jouleshift-program-1"
_KINDS: dict[str, type[p.Node]] = {
    kind.__name__: kind
    for kind in (
        p.Quantise, p.Requantise, p.ShiftLayer, p.FloatLayer, p.Add, p.Clamp, p.Concat, p.MaxPool,
        p.AveragePool, p.Subsample, p.Pad, p.Flatten,
    )
}  # fmt: skip
_ARRAYS: dict[Any, type[Any]] = {p.Int64Array: np.int64, p.Float32Array: np.float32}
Arrays = dict[str, NDArray[Any]]


def save_program(program: IntegerProgram, path: Path) -> None:
    """Write the program. `BadInput` where the file cannot be written."""
    arrays: Arrays = {}
    for node in program.nodes:
        arrays |= _arrays(node)
    try:
        save_file(arrays, path, {"format": FORMAT, "program": describe(program)})
    except (OSError, SafetensorError) as error:
        raise BadInput(f"cannot write {path}: {error}") from None


def load_program(path: Path) -> IntegerProgram:
    """Read a program, the same as was saved. `BadInput` says what is wrong with the file."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except FileNotFoundError:
        raise BadInput(f"no program at {path}") from None
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise BadInput(f"{path} is no safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise BadInput(f"{path} is not a program of this version; export it again")
    try:
        return restore(metadata.get("program", ""), _Tensors(arrays))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def describe(program: IntegerProgram) -> str:
    """The program without its arrays, as JSON."""
    nodes = [{"kind": type(node).__name__, **_plain(node)} for node in program.nodes]
    whole = {
        "input": _plain(program.input),
        "nodes": nodes,
        "output_name": program.output_name,
        "notes": program.notes,
    }
    return json.dumps(whole, separators=(",", ":"))


class Source(Protocol):
    """Where a program's arrays come from. KeyError where one is missing, ValueError where it is wrong."""

    def weights(self, node: Mapping[str, Any]) -> p.ShiftWeights:
        """Of a shift layer, given as JSON."""

    def array(self, node: Mapping[str, Any], field: str) -> NDArray[Any]:
        """Of any layer's other fields."""


def restore(description: str, source: Source) -> IntegerProgram:
    """The inverse of `describe`, checked. `BadInput` where something is missing or wrong."""
    try:
        whole = json.loads(description)
        program = IntegerProgram(
            _typed(p.Value, whole["input"]),
            tuple(_node(node, source) for node in whole["nodes"]),
            _typed(str, whole["output_name"]),
            _typed(tuple[str, ...], whole["notes"]),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"not a valid program: {first['msg']} ({first['input']!r:.60})") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BadInput(f"not a valid program: {type(error).__name__} {error!s:.120}") from None
    check(program)
    return program


def _plain(thing: Any) -> Any:
    """Dataclasses as mappings, arrays left out."""
    if isinstance(thing, p.ShiftWeights):
        return {"kind": thing.kind, "weight_bits": thing.weight_bits, "shape": thing.signs.shape}
    if is_dataclass(thing):
        named = ((field.name, getattr(thing, field.name)) for field in fields(thing))
        return {name: _plain(value) for name, value in named if not isinstance(value, np.ndarray)}
    return thing


def _arrays(node: p.Node) -> Arrays:
    """A node's tensors by name."""
    name = node.output.name
    found: Arrays = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, p.ShiftWeights):
            found |= {f"{name}.weights": packed_codes(value), f"{name}.furthest": value.furthest}
        elif isinstance(value, np.ndarray):
            found[f"{name}.{field.name}"] = _narrow(value)
    return found


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """int64 as int32 where that holds it."""
    fits = values.dtype == np.int64 and np.abs(values).max(initial=0) < 1 << 31
    return np.ascontiguousarray(values.astype(np.int32) if fits else values)


def packed_codes(weights: p.ShiftWeights) -> NDArray[np.uint8]:
    """Weights at `weight_bits` bits each, as `quant.packing` has them."""
    levels = grid(weights.kind, weights.weight_bits)  # type: ignore[arg-type]
    signs, distances = torch.from_numpy(weights.signs), torch.from_numpy(weights.distances)
    codes = packing.encode(signs, distances, levels)
    return np.frombuffer(packing.pack(codes, weights.weight_bits), np.uint8)


def weights_of_codes(node: Mapping[str, Any], packed: NDArray[Any], furthest: p.Int8Array) -> p.ShiftWeights:
    """The inverse, for a shift layer given as JSON. ValueError where something is wrong."""
    kind, bits, shape = _weight_form(node)
    codes = packing.unpack(_array(packed, np.uint8).tobytes(), bits, shape)
    signs, distances = packing.decode(codes, grid(kind, bits))
    return p.ShiftWeights(kind, bits, signs.numpy(), distances.numpy(), furthest)


def _typed(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


def _node(plain: Mapping[str, Any], source: Source) -> p.Node:
    kind = _KINDS[plain["kind"]]
    content: dict[str, Any] = {}
    for field, hint in get_type_hints(kind).items():
        if hint is p.ShiftWeights:
            content[field] = source.weights(plain)
        elif hint in _ARRAYS:
            content[field] = _array(source.array(plain, field), _ARRAYS[hint])
        else:
            content[field] = _typed(hint, plain[field])
    return kind(**content)


def _weight_form(plain: Mapping[str, Any]) -> tuple[Any, int, p.Shape]:
    """Kind, bits and shape of a layer's weights, from its JSON. ValueError where they are wrong."""
    about = plain["weights"]
    kind, bits, shape = about["kind"], _typed(int, about["weight_bits"]), _typed(p.Shape, about["shape"])
    if kind not in ("Q", "PS") or not 2 <= bits <= 8 or len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"no weights of {bits} bits, kind {kind!r:.20} and shape {shape}")
    return kind, bits, shape


@dataclass(frozen=True)
class _Tensors:
    """The tensors of a safetensors file."""

    arrays: Arrays

    def array(self, node: Mapping[str, Any], field: str) -> NDArray[Any]:
        return self.arrays[f"{node['output']['name']}.{field}"]

    def weights(self, node: Mapping[str, Any]) -> p.ShiftWeights:
        furthest = _array(self.array(node, "furthest"), np.int8)
        return weights_of_codes(node, self.array(node, "weights"), furthest)


def _array(stored: NDArray[Any], wanted: type[Any]) -> NDArray[Any]:
    allowed = (np.int32, np.int64) if wanted is np.int64 else (wanted,)
    if stored.dtype not in allowed:
        raise ValueError(f"a tensor of {stored.dtype} in place of {np.dtype(wanted)}")
    return stored.astype(wanted)
