"""Activations as fixed-point numbers: integers times 2^−f.

A signed format of i integer bits (the sign among them) and f fraction bits holds −2^(i−1) … 2^(i−1) − 2^−f in
steps of 2^−f: i + f bits in all. An unsigned one, for what comes out of a ReLU, spends the sign bit on range:
0 … 2^i − 2^−f. The paper's default is 16 + 16 (its Table 1).

Rounding: half to even, as IEEE arithmetic and integer runtimes have it (default), or `floor` (DeepShift's).
DeepShift ends the range at 2^(i−1) − 1, which loses the top fraction, and returns nonsense for i = 1; both
are corrected here in either mode.

float32 has 24 significant bits, so a number of large magnitude cannot show a small fraction: there the
format is finer than the float and rounding leaves the value as it is. The largest value is the largest
*representable* one within the range. NaN stays NaN, ±infinity saturates.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

_FLOAT32_MANTISSA = 23
_SIGNIFICANT_BITS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format: 1 … 32 integer bits (sign included if `signed`), 1 … 32 fraction bits."""

    integer_bits: int
    fraction_bits: int
    signed: bool = True

    @property
    def step(self) -> float:
        return 2.0**-self.fraction_bits

    @property
    def _magnitude_bits(self) -> int:
        return self.integer_bits - 1 if self.signed else self.integer_bits

    @property
    def fits_addition(self) -> bool:
        """Whether float32's own addition can round to this format.

        Near 1.5 · 2^(23 − f) neighbouring floats lie 2^−f apart, so adding that number and taking it away
        again rounds to multiples of 2^−f, half to even, in two passes over memory instead of three.
        """
        return self._magnitude_bits + self.fraction_bits <= _FLOAT32_MANTISSA - 1

    @property
    def lowest(self) -> float:
        return -(2.0**self._magnitude_bits) if self.signed else 0.0

    @property
    def highest(self) -> float:
        """2^m − 2^−f, exactly (a double holds it for every format of up to 53 bits, else the next below)."""
        return self.highest_in(torch.float64)

    def highest_in(self, dtype: torch.dtype) -> float:
        """The largest number of the format that `dtype` represents."""
        finest = _highest(self._magnitude_bits, self.fraction_bits, _SIGNIFICANT_BITS[dtype])
        return min(finest, torch.finfo(dtype).max)


@lru_cache(maxsize=1024)
def _highest(magnitude_bits: int, fraction_bits: int, significant_bits: int) -> float:
    return 2.0**magnitude_bits - 2.0 ** max(-fraction_bits, magnitude_bits - significant_bits)


def round_to_fixed(values: Tensor, fmt: FixedPoint, floor: bool = False) -> Tensor:
    """`values` in the format: same shape and dtype, no gradient."""
    values = values.detach()
    dtype = values.dtype
    lowest = max(fmt.lowest, torch.finfo(dtype).min)
    if dtype == torch.float16:  # values · 2^f would overflow
        values = values.float()
    result = values.clamp(lowest, fmt.highest_in(dtype))
    if dtype == torch.float32 and fmt.fits_addition and not floor:
        align = 1.5 * 2.0 ** (_FLOAT32_MANTISSA - fmt.fraction_bits)
        return result.add_(align).sub_(align)
    result = result.mul_(1 / fmt.step)
    result = result.floor_() if floor else result.round_()
    return result.mul_(fmt.step).to(dtype)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, values: Tensor, fmt: FixedPoint, floor: bool) -> Tensor:
        return round_to_fixed(values, fmt, floor)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None, None


def quantise(values: Tensor, fmt: FixedPoint, floor: bool = False) -> Tensor:
    """`round_to_fixed` with a straight-through gradient: 1 everywhere, outside the range too."""
    return _StraightThrough.apply(values, fmt, floor)
