"""DeepShift-PS: a shift and a sign behind each weight, both trained (equation 3.2 of the paper).

    weight = sign(round(S)) · 2^round(P)

Reference mode is DeepShift's: dL/dS = g and dL/dP = g · weight · ln 2, with g = dL/dweight. A weight of 2^−6
then moves its exponent by a 64th of what a weight of 1 does, so under SGD small weights never change. P
starts at random, half of the signs start at zero. Weight decay touches neither of the two (`undecayed`);
DeepShift's training script punishes `shift_norm`, Σ (2^P)², in its place.

Default mode starts at the float weights, w = S · 2^P exactly: |S| = 1, or, below the smallest level 2^l, P =
l and S = w / 2^l, so that |S| ≤ 1/2 just where the nearest level is zero. What is trained are p and s, the
same latents in the unit of the weights themselves, so that a step of any optimizer means for them about what
it means for a float weight:

    P = c + p / 2^c,    S = s / 2^c

The *centre* c lies two octaves below the channel's top at the start, where most weights are. Weight decay,
which pulls p to 0, so gathers the exponents of a channel there, while it would pull P to 0: every weight to
1. Gradients are those of w = S · 2^P, rescaled so that a step of SGD moves w about as far as it would move a
float weight: with m = |weight|, not below an 8th of the channel's top,

    dL/ds = g · 2^c / 2m,    dL/dp = g · sign(round(S)) · 2^c / (2m · ln 2)

At 2 bits a channel has one level and zero, so that there is no shift to train and the sign is all. P stays
at c, which is the top, and s is the weight as a real number, S · 2^P, trained like Q's: |S| ≤ 1/2 is zero.
The level follows the weights: the power of two nearest to 1.2 times their root mean square, which serves
normally distributed weights best (Li et al., 2016, Ternary Weight Networks).

At more bits the latents stay within what their levels can show: |S| ≤ 1, P at most three octaves above the
first top; further out, a gradient would need many steps to show any effect, and one wild step could not be
undone.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.nn.weights import Channels, LatentWeight
from jouleshift.quant import power_of_two as po2

_LN2 = math.log(2)
_VALUE_TO_LOG = 1 - math.log2(1.5)
"""floor(P + this) is the exponent whose value is nearest to 2^P."""
_CENTRE_BELOW_TOP = 2
_HEADROOM = 3
_SMALLEST_SCALE = 2.0**-3
_NOTHING = 2.0**-24
_SINGLE_LEVEL = 1.2
_ABOVE_ANY_EXPONENT = 1024.0


class PSWeight(LatentWeight):
    """The latents of one weight tensor: p and s with c as `centre`; in reference mode P and S themselves."""

    centre: Tensor | None

    def __init__(self, config: ShiftConfig, weight: Tensor, channels: Channels) -> None:
        super().__init__(config, channels)
        weight = weight.detach()
        if config.mode == "reference":
            shift, sign, centre = *self._random(weight), None
            self.undecayed = ("shift", "sign")
        else:
            shift, sign, centre = self._nearest(weight)
        self.shift, self.sign = nn.Parameter(shift), nn.Parameter(sign)
        self.register_buffer("centre", centre)

    @torch.no_grad()
    def fit_grid(self) -> None:
        """Start again at the same w = S · 2^P in default mode, as if w were a float weight."""
        if self.centre is None:
            return
        exponent, sign = self.exponent_and_sign()
        weight = (sign * torch.exp2(exponent)).to(self.shift.dtype)
        for latent, start in zip((self.shift, self.sign, self.centre), self._nearest(weight), strict=True):
            latent.copy_(start)

    def _random(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """DeepShift's start: a convolution's exponents in −10 … −1, a linear layer's over the whole grid."""
        lowest, highest = (self.grid.lowest, 0) if weight.dim() == 2 else (-10, -1)
        shift = torch.empty_like(weight).uniform_(lowest, highest)
        return shift, torch.empty_like(shift).uniform_(-1, 1)

    def _nearest(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shift, sign and centre with S · 2^P = weight, computed in float32.

        A channel without weights worth the name (below 2^−24) has no magnitude to start from; it gets the
        one of 1 / √fan_in.
        """
        exact = weight.to(torch.float32)
        if self._single_level:
            return torch.zeros_like(weight), weight.clone(), torch.log2(self._single(exact))
        top = po2.top_level(self.channels.largest(exact.abs()))
        usual = po2.top_level(torch.full_like(top, weight[0].numel() ** -0.5))
        empty = top < _NOTHING
        top = torch.where(empty, usual, top)
        smallest = torch.where(empty, top, po2.smallest_level(self.grid, top))
        centre = torch.log2(top) - _CENTRE_BELOW_TOP
        shift = torch.log2(torch.maximum(exact.abs(), smallest)) - centre
        sign = (exact / smallest).clamp_(-1.0, 1.0)
        unit = torch.exp2(centre)
        return (shift * unit).to(weight.dtype), (sign * unit).to(weight.dtype), centre

    @property
    def _single_level(self) -> bool:
        return self.config.mode == "default" and self.grid.lowest == 0

    def _single(self, weight: Tensor) -> Tensor:
        """The one level of each channel, float32."""
        return po2.top_level(_SINGLE_LEVEL * self.channels.mean(weight.square()).sqrt())

    def forward(self) -> Tensor:
        if self.centre is None:
            with torch.no_grad():
                self.shift.clamp_(self.grid.lowest, 0)
            return _DeepShiftPS.apply(self.shift, self.sign, self.stochastic)
        if self._single_level:
            return self._graded(self.sign, self.top())
        if self.training:
            with torch.no_grad():
                self._bound_in_place(torch.exp2(self.centre))
        with torch.no_grad():
            rounded = self._rounded(self.centre)
        return _RescaledPS.apply(self.shift, self.sign, rounded)

    def _rounded(self, centre: Tensor) -> "_Rounded":
        exponent, sign = self.exponent_and_sign()
        nearest, ternary = _nearest_exponent(exponent), _ternary(sign)
        highest = self._top_exponent(nearest, ternary, centre)
        lowest = (highest + self.grid.lowest).clamp_min_(po2.MIN_EXPONENT)
        if self.stochastic:
            exact = torch.clamp(exponent, lowest, highest)
            floor = torch.floor(exact)
            nearest = floor + (torch.rand_like(exact) < torch.exp2(exact - floor) - 1)
            ternary = _ternary(sign, stochastic=True)
        else:
            nearest.clamp_(lowest, highest)
        return _Rounded(nearest, ternary, 0.5 * torch.exp2(centre), po2.power(highest) * _SMALLEST_SCALE)

    def exponent_and_sign(self) -> tuple[Tensor, Tensor]:
        """P and S, float32, without gradient."""
        shift, sign = self.shift.detach().float(), self.sign.detach().float()
        if self.centre is None:
            return shift, sign
        per_unit = torch.exp2(-self.centre)
        return torch.addcmul(self.centre, shift, per_unit), sign * per_unit

    def _bound_in_place(self, unit: Tensor) -> None:
        lowest, highest = self._bounds
        self.shift.clamp_(lowest * unit, highest * unit)
        self.sign.clamp_(-unit, unit)

    @property
    def _bounds(self) -> tuple[int, int]:
        """The range of P − c in default mode."""
        return self.grid.lowest - _HEADROOM, _CENTRE_BELOW_TOP + _HEADROOM

    def shift_norm(self) -> Tensor:
        """Σ (2^P)², differentiable."""
        if self.centre is None:
            return torch.sum(torch.exp2(2 * self.shift))
        exponent = torch.addcmul(self.centre, self.shift, torch.exp2(-self.centre))
        return torch.sum(torch.exp2(2 * exponent))

    @torch.no_grad()
    def freeze(self) -> None:
        weight = self._evaluated()
        if self._single_level:
            used = self.channels.mean((weight != 0).float()).clamp_min_(_NOTHING)
            self.sign.copy_(weight * (1 / (_SINGLE_LEVEL * used.sqrt())).clamp_min_(1.0))  # keeps the level
        else:
            self._copy_levels(weight)
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def _copy_levels(self, weight: Tensor) -> None:
        exponent = weight.float().abs().log2()
        exponent = torch.where(weight == 0, torch.round(self.exponent_and_sign()[0]), exponent.round())
        sign = torch.sign(weight)
        if self.centre is not None:
            unit = torch.exp2(self.centre)
            exponent, sign = (exponent - self.centre) * unit, sign * unit
        self.shift.copy_(exponent)
        self.sign.copy_(sign)

    def top(self) -> Tensor:
        if self._single_level:
            return self._single(self.sign.detach().float())
        exponent, sign = self.exponent_and_sign()
        if self.centre is None:
            return torch.ones_like(self.channels.largest(exponent))
        return po2.power(self._top_exponent(_nearest_exponent(exponent), _ternary(sign), self.centre))

    def _top_exponent(self, nearest: Tensor, ternary: Tensor, centre: Tensor) -> Tensor:
        """The exponent of each channel's top, float32: that of its largest weight, zeros only if all are."""
        ranked = torch.addcmul(nearest, ternary, ternary, value=_ABOVE_ANY_EXPONENT)
        used = self.channels.largest(ranked)
        used = torch.where(used > _ABOVE_ANY_EXPONENT / 2, used - _ABOVE_ANY_EXPONENT, used)
        lowest, highest = self._bounds
        bounded = torch.clamp(used, centre + lowest, centre + highest).nan_to_num_(nan=0.0)
        return bounded.clamp_(po2.MIN_EXPONENT, po2.MAX_EXPONENT)


@dataclass(frozen=True)
class _Rounded:
    """One weight tensor rounded: exponents, signs; and what its gradient is scaled by, by channel."""

    exponent: Tensor
    ternary: Tensor
    half_unit: Tensor
    smallest_scale: Tensor


def _nearest_exponent(exponent: Tensor) -> Tensor:
    """The exponent whose value is nearest to 2^exponent."""
    return (exponent + _VALUE_TO_LOG).floor_()


def _ternary(sign: Tensor, stochastic: bool = False) -> Tensor:
    """sign(round(S)) as −1, 0, 1; NaN where S is NaN."""
    if not stochastic:
        return torch.round(sign).clamp_(-1.0, 1.0)
    floor = torch.floor(sign)
    return (floor + (torch.rand_like(sign) < sign - floor)).clamp_(-1.0, 1.0)


def _signed_power(exponent: Tensor, ternary: Tensor) -> tuple[Tensor, Tensor]:
    """2^exponent and ternary · 2^exponent, float32; the latter is NaN where either is NaN."""
    magnitude = po2.power(exponent)
    return magnitude, torch.add(ternary, exponent, alpha=0).mul_(magnitude)


class _DeepShiftPS(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shift: Tensor, sign: Tensor, stochastic: bool) -> Tensor:
        exponent = torch.round(shift.float())
        if stochastic:
            floor = torch.floor(shift.float())
            exponent = floor + (torch.rand_like(floor) < shift - floor)
        exponent = exponent.clamp_(min=po2.MIN_EXPONENT)
        weight = _signed_power(exponent, _ternary(sign.float(), stochastic))[1].to(shift.dtype)
        ctx.save_for_backward(weight)
        return weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return gradients[0] * weight * _LN2, gradients[0], None


class _RescaledPS(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shift: Tensor, _sign: Tensor, rounded: _Rounded) -> Tensor:
        magnitude, weight = _signed_power(rounded.exponent, rounded.ternary)
        rescaling = rounded.half_unit / torch.maximum(magnitude, rounded.smallest_scale)
        ctx.save_for_backward(rounded.ternary, rescaling)
        return weight.to(shift.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ternary, rescaling = ctx.saved_tensors
        gradient = gradients[0] * rescaling
        return gradient * ternary * (1 / _LN2), gradient, None
