"""What is trained behind a shift weight: the latent parameters, and how a gradient reaches them.

A weight on the grid ±2^e cannot be moved by small steps, so training moves *latent* real numbers and rounds
them anew in every forward pass. DeepShift (the paper's section 3.1) has two kinds:

    Q   (equation 3.1)  one latent w:          weight = sign(w) · 2^round(log2 |w|)
    PS  (equation 3.2)  latents P (shift), S:  weight = sign(round(S)) · 2^round(P),   zero where |S| < 1/2

Rounding has derivative zero almost everywhere, so gradients pass it *straight through*. For Q that is all:
dL/dw = g, with g = dL/dweight. For PS it leaves a choice.

Reference mode is DeepShift's: dL/dS = g and dL/dP = g · weight · ln 2. A weight of 2^−6 then moves its
exponent by a 64th of what a weight of 1 does, so under SGD small weights never change. P starts at random,
half of the signs start at zero, and the latents are clamped in place to the grid in every forward pass.

In default mode the latents are free and the exponents count from the power of two nearest to the largest
weight of the output channel. PS starts at the float weights: w = S · 2^P with |S| = 1, or, below the
smallest level 2^lowest, P = lowest and S = w / 2^lowest, so that |S| < 1/2 exactly where the nearest level
is zero. Its gradients are those of w = S · 2^P rescaled so that a step of SGD moves w about as far as it
would move a float weight: with m = |weight|, not below an 8th of the channel's top,

    dL/dS = g / 2m,    dL/dP = g · sign(round(S)) / (2m · ln 2)
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.quant import power_of_two as po2

_LN2 = math.log(2)
_VALUE_TO_LOG = 1 - math.log2(1.5)
"""floor(P + this) is the exponent whose value is nearest to 2^P."""
_SMALLEST_SCALE = 2.0**-3


@dataclass(frozen=True)
class Channels:
    """Which elements of a weight belong to the same output channel.

    A convolution's weight is (out, in / groups, …), a transposed one's (in, out / groups, …).
    """

    transposed: bool = False
    groups: int = 1

    def largest(self, magnitudes: Tensor) -> Tensor:
        """The largest of each channel, of a shape that broadcasts to the weight's."""
        if not self.transposed:
            return magnitudes.flatten(1).amax(1).view(-1, *(1,) * (magnitudes.dim() - 1))
        by_group = magnitudes.unflatten(0, (self.groups, -1))
        over = (1, *range(3, by_group.dim()))
        largest = by_group.amax(over, keepdim=True)
        return largest.expand(-1, by_group.shape[1], *largest.shape[2:]).flatten(0, 1)


class LatentWeight(nn.Module, ABC):
    """The trained parameters behind one weight tensor."""

    def __init__(self, config: ShiftConfig, channels: Channels) -> None:
        super().__init__()
        self.config = config
        self.channels = channels
        self.grid = po2.grid(config.kind, config.weight_bits)

    @abstractmethod
    def forward(self) -> Tensor:
        """The weight on the grid, float, differentiable with respect to the latent parameters."""

    @abstractmethod
    def top(self) -> Tensor:
        """The largest level of each channel, a power of two: float32, broadcasts to the weight's shape."""

    @abstractmethod
    def freeze(self) -> None:
        """Set the latent parameters to what they round to, without a gradient from now on."""

    @property
    def stochastic(self) -> bool:
        """Whether this pass rounds at random: in training only, except that DeepShift always does."""
        return self.config.rounding == "stochastic" and (self.training or self.config.mode == "reference")


class QWeight(LatentWeight):
    """DeepShift-Q: one real number a weight (equation 3.1)."""

    def __init__(self, config: ShiftConfig, weight: Tensor, channels: Channels) -> None:
        super().__init__(config, channels)
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self) -> Tensor:
        if self.config.mode == "default":
            return po2.quantise(self.weight, self.grid, self.top(), "value", self.stochastic)
        with torch.no_grad():
            self._clamp_in_place()
        weight = po2.quantise(self.weight, self.grid, 1.0, "log", self.stochastic)
        return weight.masked_fill(self.weight == 0, 0.0)

    def top(self) -> Tensor:
        largest = self.channels.largest(self.weight.detach().abs())
        return po2.top_level(largest) if self.config.mode == "default" else torch.ones_like(largest)

    @torch.no_grad()
    def freeze(self) -> None:
        self.weight.copy_(_evaluated(self))
        self.weight.requires_grad_(False)

    def _clamp_in_place(self) -> None:
        """DeepShift's: latents never leave the grid's range, except that zero stays and means zero."""
        zero = self.weight == 0
        magnitude = self.weight.abs().clamp_(2.0**self.grid.lowest, 1.0)
        self.weight.copy_(torch.copysign(magnitude, self.weight).masked_fill_(zero, 0.0))


class PSWeight(LatentWeight):
    """DeepShift-PS: a shift and a sign a weight, both trained (equation 3.2)."""

    def __init__(self, config: ShiftConfig, weight: Tensor, channels: Channels) -> None:
        super().__init__(config, channels)
        shift, sign = self._random(weight) if config.mode == "reference" else self._nearest(weight)
        self.shift, self.sign = nn.Parameter(shift), nn.Parameter(sign)

    def _random(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """DeepShift's start: a convolution's exponents in −10 … −1, a linear layer's over the whole grid."""
        lowest, highest = (self.grid.lowest, 0) if weight.dim() == 2 else (-10, -1)
        shift = torch.empty_like(weight.detach()).uniform_(lowest, highest)
        return shift, torch.empty_like(shift).uniform_(-1, 1)

    def _nearest(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The latents with S · 2^P = weight, computed in float32."""
        exact = weight.detach().to(torch.float32)
        top = po2.top_level(self.channels.largest(exact.abs()))
        smallest = po2.smallest_level(self.grid, top)
        shift = torch.log2(torch.maximum(exact.abs(), smallest))
        sign = (exact / smallest).clamp_(-1.0, 1.0)
        return shift.to(weight.dtype), sign.to(weight.dtype)

    def forward(self) -> Tensor:
        if self.config.mode == "default":
            return _NormalisedPS.apply(self.shift, self.sign, self.top(), self.grid.lowest, self.stochastic)
        with torch.no_grad():
            self.shift.clamp_(self.grid.lowest, 0)
        return _DeepShiftPS.apply(self.shift, self.sign, self.stochastic)

    @torch.no_grad()
    def freeze(self) -> None:
        weight = _evaluated(self)
        used = weight != 0
        self.shift.copy_(torch.where(used, weight.abs().log2().round(), self.shift.round()))
        self.sign.copy_(torch.sign(weight))
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def top(self) -> Tensor:
        shift, sign = self.shift.detach().float(), self.sign.detach()
        used = self.channels.largest(shift.masked_fill(sign.abs() <= 0.5, -math.inf))
        if self.config.mode == "reference":
            return torch.ones_like(used)
        exponent = torch.floor(used + _VALUE_TO_LOG).nan_to_num_(nan=0.0)
        return po2.power(exponent.clamp_(po2.MIN_EXPONENT, po2.MAX_EXPONENT))


def _evaluated(weight: LatentWeight) -> Tensor:
    """The weight as rounded in evaluation, whatever the mode the module is in."""
    training = weight.training
    rounded = weight.eval()().detach()
    weight.train(training)
    return rounded


def _ternary(sign: Tensor, stochastic: bool) -> Tensor:
    """sign(round(S)) as −1, 0, 1."""
    if not stochastic:
        return torch.sign(torch.round(sign))
    floor = torch.floor(sign)
    return torch.sign(floor + (torch.rand_like(sign) < sign - floor))


class _DeepShiftPS(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shift: Tensor, sign: Tensor, stochastic: bool) -> Tensor:
        exponent = torch.round(shift)
        if stochastic:
            floor = torch.floor(shift)
            exponent = floor + (torch.rand_like(shift) < shift - floor)
        weight = _signed_power(exponent, _ternary(sign, stochastic), shift, sign)
        ctx.save_for_backward(weight)
        return weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return gradients[0] * weight * _LN2, gradients[0], None


class _NormalisedPS(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shift: Tensor, sign: Tensor, top: Tensor, lowest: int, stochastic: bool) -> Tensor:
        highest = torch.log2(top)
        exact = torch.clamp(shift.float(), (highest + lowest).clamp_min_(po2.MIN_EXPONENT), highest)
        exponent = torch.floor(exact + _VALUE_TO_LOG)
        if stochastic:
            floor = torch.floor(exact)
            exponent = floor + (torch.rand_like(exact) < torch.exp2(exact - floor) - 1)
        ternary = _ternary(sign.float(), stochastic)
        weight = _signed_power(exponent, ternary, shift, sign)
        scale = torch.maximum(po2.power(exponent.nan_to_num(0.0)), top * _SMALLEST_SCALE)
        ctx.save_for_backward(ternary, sign, scale)
        return weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ternary, sign, scale = ctx.saved_tensors
        half = gradients[0] / (2 * scale)
        outward = (sign.abs() >= 1) & (half * sign < 0)
        return half * ternary / _LN2, half.masked_fill(outward, 0.0), None, None, None


def _signed_power(exponent: Tensor, ternary: Tensor, shift: Tensor, sign: Tensor) -> Tensor:
    """ternary · 2^exponent in the latents' dtype; NaN where a latent is NaN."""
    broken = shift.isnan() | sign.isnan()
    magnitude = po2.power(exponent.nan_to_num(0.0).clamp(min=po2.MIN_EXPONENT))
    return (magnitude * ternary.float()).masked_fill(broken, math.nan).to(shift.dtype)


def latent(config: ShiftConfig, weight: Tensor, channels: Channels) -> LatentWeight:
    """Latent parameters of the configured kind that start at `weight` (reference PS: at random)."""
    kind = QWeight if config.kind == "Q" else PSWeight
    return kind(config, weight, channels)
