"""Numbers as C text: arrays, literals, and weights packed as `quant.packing` packs them."""

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jouleshift.deploy.nodes import Float32Array, ShiftWeights
from jouleshift.quant.fixed_point import FixedPoint

if TYPE_CHECKING:
    from jouleshift.quant.power_of_two import Grid


def c_type(fmt: FixedPoint | None, bits: int) -> str:
    """What holds a format of `bits` bits, without its _t: "uint8" … "int64", "float32"."""
    if fmt is None:
        return "float32"
    return f"{'' if fmt.signed else 'u'}int{bits}"


def array(c_type: str, name: str, literals: Iterable[str]) -> str:
    """A constant table."""
    lines = textwrap.fill(", ".join(literals), 110, initial_indent="    ", subsequent_indent="    ")
    return f"static const {c_type} {name}[] = {{\n{lines}\n}};\n"


def integer(value: int) -> str:
    """An integer literal of the width it needs."""
    return str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


def floating(value: float | None, missing: str = "") -> str:
    """An exact float literal; `missing` for None."""
    return missing if value is None else f"{float(np.float32(value)).hex()}f"


def patterns(values: Float32Array) -> list[str]:
    """The bits of float32 numbers, as literals."""
    return [f"0x{pattern:08X}" for pattern in values.astype(np.float32).view(np.uint32).ravel()]


def integers(values: NDArray[np.integer]) -> list[str]:
    """Integer literals."""
    return [integer(int(value)) for value in values.ravel()]


def grid(weights: ShiftWeights) -> "Grid":
    """The levels that a layer's weights are packed by."""
    from jouleshift.quant.power_of_two import grid

    return grid("Q" if weights.kind == "Q" else "PS", weights.weight_bits)


def packed(weights: ShiftWeights) -> bytes:
    """All weights of a layer, `weight_bits` bits each."""
    import torch

    from jouleshift.quant import packing

    signs, distances = torch.from_numpy(weights.signs), torch.from_numpy(weights.distances)
    codes = packing.encode(signs, distances, grid(weights))
    return packing.pack(codes, weights.weight_bits)


def zero_code(weights: ShiftWeights) -> int:
    """The first code that stands for no weight."""
    return 2 * grid(weights).n_exponents
