"""Weights as signed powers of two: w = ±2^(e + o).

A weight of b bits is a sign and a small exponent e, so multiplying by it is a shift. DeepShift (Elhoushi et
al., 2021; the paper's section 3.1) has two grids:

    Q   (equation 3.1): sign −1, +1;     e = −(2^(b−1) − 1) … 0     2^b levels, none of them zero
    PS  (equation 3.2): sign −1, 0, +1;  e = −(2^(b−1) − 2) … 0     2^b − 1 levels, zero among them

The largest level, the *top*, is 2^o: 1 in DeepShift, in our default mode the power of two nearest to the
largest weight of each output channel. Exponents stay small numbers relative to the channel's offset o, so
arithmetic stays shifts, and no channel wastes levels that its weights never reach.

Rounding needs no logarithm. The bits of a float32 are  sign | exponent + 127 (8 bits) | mantissa (23 bits),
so adding to the mantissa what makes it carry from a threshold on, and then clearing it, rounds to a power of
two:

    threshold 1.5 · 2^e   the nearest *value*               (default; a tie goes to the larger magnitude)
    threshold √2 · 2^e    the nearest *exponent*            (reference: round(log2 |w|))
    a random threshold    stochastic, unbiased in the value: E[q(w)] = w for w within the levels

DeepShift's stochastic rounding is unbiased in the exponent instead, E[log2 q(w)] = log2 |w|.

NaN stays NaN, ±infinity saturates at ±top. Zero becomes zero where the grid has it, else the smallest level
with zero's sign bit (so that the mapping is odd); in the log domain it always stays zero, as 2^log2(0) is.
No level lies below 2^−126, the smallest normal float32: of the 8-bit grids the levels below do not exist.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from jouleshift.config import ShiftType

Domain = Literal["value", "log"]
"""Where "nearest" and "unbiased" are meant: among the values, or among the exponents."""

MIN_EXPONENT, MAX_EXPONENT = -126, 126
_MANTISSA_BITS = 23
_MANTISSA = 1 << _MANTISSA_BITS
_BIAS = 127
_EXPONENT_MASK = 0x7F800000
_SQRT2_MANTISSA = 0x3504F4  # the first mantissa above that of √2
_CARRY = {"value": _MANTISSA // 2, "log": _MANTISSA - _SQRT2_MANTISSA}


@dataclass(frozen=True)
class Grid:
    """The levels of one format: ±2^e for e = `lowest` … 0 relative to the top, and zero if `has_zero`."""

    lowest: int
    has_zero: bool

    @property
    def n_exponents(self) -> int:
        return 1 - self.lowest


def grid(kind: ShiftType, weight_bits: int) -> Grid:
    """The grid of a shift type at 2 … 8 bits."""
    if kind == "Q":
        return Grid(lowest=1 - 2 ** (weight_bits - 1), has_zero=False)
    return Grid(lowest=2 - 2 ** (weight_bits - 1), has_zero=True)


def power(exponent: Tensor) -> Tensor:
    """2^exponent as float32, exactly, for integer exponents in −126 … 127 (any shape)."""
    return ((exponent.to(torch.int32) + _BIAS) << _MANTISSA_BITS).view(torch.float32)


def top_level(largest: Tensor) -> Tensor:
    """The power of two nearest to each largest |weight|: float32 of the same shape.

    Within 2^−126 … 2^126, whatever the weights are.
    """
    bits = largest.detach().to(torch.float32).view(torch.int32)
    nearest = bits.add(_CARRY["value"]).bitwise_and_(_EXPONENT_MASK).view(torch.float32)
    return nearest.clamp_(2.0**MIN_EXPONENT, 2.0**MAX_EXPONENT)


def smallest_level(levels: Grid, top: Tensor) -> Tensor:
    """The smallest level above zero under each top, float32: 2^lowest below it, but at least 2^−126."""
    half = levels.lowest // 2  # in two steps: 2^lowest itself may be no normal float32
    return (top * 2.0**half).mul_(2.0 ** (levels.lowest - half)).clamp_min_(2.0**MIN_EXPONENT)


def round_to_powers(
    weight: Tensor,
    levels: Grid,
    top: Tensor | float = 1.0,
    domain: Domain = "value",
    stochastic: bool = False,
) -> Tensor:
    """`weight` on the grid under `top` (a power of two; a tensor broadcasts). Same shape and dtype, no
    gradient.

    Computed in float32. Stochastic rounding draws from torch's global generator of the weight's device.
    """
    original = weight.detach()
    exact = original.to(torch.float32)
    magnitude = exact.abs()
    top = torch.as_tensor(top, dtype=torch.float32, device=weight.device)
    smallest = smallest_level(levels, top)
    inside = torch.clamp(magnitude, smallest, top)
    rounded = _round_magnitude(inside, domain, stochastic)
    if levels.has_zero:
        cut = torch.rand_like(magnitude) if stochastic else 0.5
        rounded = rounded * (magnitude >= smallest * cut)
    elif domain == "log":
        rounded = rounded * (magnitude > 0)
    rounded = torch.add(rounded, inside, alpha=0)  # NaN again where it was
    return rounded.copysign_(exact).to(original.dtype)


def _round_magnitude(magnitude: Tensor, domain: Domain, stochastic: bool) -> Tensor:
    """Positive normal float32 to powers of two, by a carry from the mantissa into the exponent."""
    bits = magnitude.view(torch.int32)
    if not stochastic:
        return bits.add(_CARRY[domain]).bitwise_and_(_EXPONENT_MASK).view(torch.float32)
    if domain == "value":
        carry = torch.randint_like(bits, _MANTISSA)
        return bits.add(carry).bitwise_and_(_EXPONENT_MASK).view(torch.float32)
    floor = bits.bitwise_and(_EXPONENT_MASK)
    above = torch.log2(magnitude / floor.view(torch.float32))
    up = (torch.rand_like(above) < above).to(torch.int32)
    return floor.add_(up, alpha=_MANTISSA).view(torch.float32)


class _StraightThrough(torch.autograd.Function):
    """Forward on the grid, backward as if nothing had happened."""

    @staticmethod
    def forward(
        _ctx: Any, weight: Tensor, levels: Grid, top: Tensor | float, domain: Domain, stochastic: bool
    ) -> Tensor:
        return round_to_powers(weight, levels, top, domain, stochastic)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None, None, None, None


def quantise(
    weight: Tensor,
    levels: Grid,
    top: Tensor | float = 1.0,
    domain: Domain = "value",
    stochastic: bool = False,
) -> Tensor:
    """`round_to_powers` with a straight-through gradient: d quantise / d weight = 1 everywhere."""
    return _StraightThrough.apply(weight, levels, top, domain, stochastic)


def decompose(quantised: Tensor) -> tuple[Tensor, Tensor]:
    """Signs (−1, 0, 1) and exponents (−126 … 126), both int8, of a tensor of ±2^e and zeros.

    sign · 2^exponent equals the input exactly; the exponent of a zero is 0. Raises ValueError where an
    element is NaN, infinite or not a power of two.
    """
    mantissa, exponent = torch.frexp(quantised.detach().to(torch.float32))
    zero = mantissa == 0
    if not bool(((mantissa.abs() == 0.5) | zero).all()):
        raise ValueError("weights that are NaN, infinite or no powers of two have no signs and exponents")
    signs = torch.sign(mantissa).to(torch.int8)
    return signs, (exponent - 1).masked_fill(zero, 0).to(torch.int8)


def compose(signs: Tensor, exponents: Tensor) -> Tensor:
    """The inverse of `decompose`: sign · 2^exponent as float32."""
    return signs * power(exponents)
