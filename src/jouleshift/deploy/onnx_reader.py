"""The integer program back from an ONNX file that `deploy.onnx` wrote.

The file's metadata holds the program without its numbers; those are the graph's initializers. So one file
serves runtimes that want it in different forms.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from jouleshift.deploy import nodes as p
from jouleshift.deploy.onnx import PROGRAM
from jouleshift.deploy.onnx_wide import part_name
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.storage import restore, weights_of_codes
from jouleshift.errors import BadInput
from jouleshift.quant.packing import packed_size

_LARGEST_SPAN = 63


def read_onnx(path: Path) -> IntegerProgram | None:
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

    def weights(self, node: Mapping[str, Any]) -> p.ShiftWeights:
        name = node["output"]["name"]
        mantissas, exponents = np.frexp(self.arrays[f"{name}/furthest"].reshape(-1))
        if not ((mantissas == 0.5) & (exponents >= 1) & (exponents <= _LARGEST_SPAN)).all():
            raise ValueError(f"{name} has weights that are no powers of two")
        codes = self.arrays[f"{name}/codes"].reshape(-1)
        size = packed_size(math.prod(node["weights"]["shape"]), node["weights"]["weight_bits"])
        return weights_of_codes(node, codes[:size], (exponents - 1).astype(np.int8))

    def array(self, node: Mapping[str, Any], field: str) -> NDArray[Any]:
        name = node["output"]["name"]
        if field == "multiplier" and f"{name}/multiplier" not in self.arrays:
            fraction_bits = int(node["output"]["format"]["fraction_bits"])
            return np.ldexp(self.arrays[f"{name}/bias/scale"], fraction_bits).astype(np.float32)
        if field == "bias" and f"{name}/bias" not in self.arrays:
            return self._bias_in_parts(name)
        found = self.arrays[f"{name}/{field}"]
        return found if field == "weight" else found.reshape(-1)

    def _bias_in_parts(self, name: str) -> NDArray[Any]:
        named = {exponent: f"{part_name(name, exponent)}/bias" for exponent in range(_LARGEST_SPAN)}
        found = {exponent: self.arrays[part] for exponent, part in named.items() if part in self.arrays}
        return np.asarray(sum(part.astype(np.int64) << e for e, part in found.items())).reshape(-1)
