"""The integer program back from an ONNX file that `deploy.onnx` wrote.

The file's metadata holds the program without its numbers; those are the graph's initializers. So one file
serves runtimes that want it in different forms. Distances of weights are counted from the largest shift of
each channel here: the same integers, though perhaps not the same codes as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from jouleshift.deploy import program as p
from jouleshift.deploy.onnx import PROGRAM
from jouleshift.deploy.onnx_wide import part_name
from jouleshift.deploy.storage import restore, weight_form
from jouleshift.errors import BadInput

_EXPONENTS = range(63)


def read_onnx(path: Path) -> p.IntegerProgram | None:
    """The program in a file, or None for an ONNX file from elsewhere. `BadInput` where it is none at all."""
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise BadInput(f"no model at {path}") from None
    except (OSError, DecodeError) as error:
        raise BadInput(f"{path} is no ONNX file: {error}") from None
    described = {entry.key: entry.value for entry in model.metadata_props}.get(PROGRAM)
    if described is None:
        return None
    try:
        arrays = {constant.name: _array(constant) for constant in model.graph.initializer}
        return restore(described, _Initializers(arrays))
    except (BadInput, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path}: {error}") from None


def _array(constant: onnx.TensorProto) -> NDArray[Any]:
    """A tensor that lies in the file itself: another file is not opened on its word."""
    if constant.data_location == onnx.TensorProto.EXTERNAL:
        raise BadInput(f"{constant.name} lies in another file; export it again")
    return numpy_helper.to_array(constant)


@dataclass(frozen=True)
class _Initializers:
    arrays: Mapping[str, NDArray[Any]]
    """Whole numbers: what `_whole_layer` named; else what `_fused_layer` did."""

    def _parts(self, name: str) -> list[tuple[int, str]]:
        named = ((exponent, part_name(name, exponent)) for exponent in _EXPONENTS)
        return [(exponent, part) for exponent, part in named if f"{part}/weight" in self.arrays]

    def weights(self, node: Mapping[str, Any]) -> p.ShiftWeights:
        name = node["output"]["name"]
        kind, bits, shape = weight_form(node)
        split = self._parts(name) or [(0, name)]
        integers = sum(self.arrays[f"{part}/weight"].astype(np.int64) << e for e, part in split)
        integers = np.asarray(integers).reshape(shape)
        signs, magnitudes = np.sign(integers), np.abs(integers)
        shifts = np.log2(np.maximum(magnitudes, 1)).astype(np.int64)
        if not np.array_equal(np.where(signs == 0, 0, 1 << shifts), magnitudes):
            raise ValueError(f"{name} has weights that are no powers of two")
        furthest = shifts.reshape(len(shifts), -1).max(1)
        distances = np.where(signs == 0, 0, furthest.reshape(-1, *(1,) * (len(shape) - 1)) - shifts)
        return p.ShiftWeights(
            kind, bits, signs.astype(np.int8), distances.astype(np.int8), furthest.astype(np.int8)
        )

    def array(self, node: Mapping[str, Any], field: str) -> NDArray[Any]:
        name = node["output"]["name"]
        split = self._parts(name)
        if field == "bias" and split and f"{name}/bias" not in self.arrays:
            whole = sum(self.arrays[f"{part}/bias"].astype(np.int64) << e for e, part in split)
            return np.asarray(whole).reshape(-1)
        if field == "bias":
            return self.arrays[f"{name}/bias"].reshape(-1)
        if field != "multiplier":
            return self.arrays[f"{name}/{field}"]
        if split:
            return self.arrays[f"{name}/multiplier"].reshape(-1)
        fraction_bits = int(node["output"]["format"]["fraction_bits"])
        return np.ldexp(self.arrays[f"{name}/bias/scale"], fraction_bits).astype(np.float32)
