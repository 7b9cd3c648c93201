"""What is trained behind a shift weight: latent real numbers that are rounded anew in every forward pass.

A weight on the grid ±2^e cannot be moved by small steps; its latent can. DeepShift (the paper's section 3.1)
has two kinds of latents:

    Q   (equation 3.1)  one latent w:          weight = sign(w) · 2^round(log2 |w|)
    PS  (equation 3.2)  latents P (shift), S:  weight = sign(round(S)) · 2^round(P),   zero where |S| ≤ 1/2

Rounding has derivative zero almost everywhere, so gradients pass it *straight through*: for Q, in this
module, dL/dw = dL/dweight. PS is in `nn.shift_sign`.

In default mode the gradient of a latent that is a real number is *graded* on its way, by the size of the
weight it is for: with m = |weight| and t the channel's top,

    dL/dw = dL/dweight · t / 4m,    m not below t / 8
    dL/dw = dL/dweight · t / 2m,    m not below t / 2, at 2 bits

Levels are far apart where they are large, and each leap from one to the next disturbs the layer by as much.
Graded, a large weight stays until its gradients agree for longer, while small ones find their sign and place
sooner. SGD gains by it (docs/training.md); optimizers that divide by the gradient's own size undo it.

In default mode the latents are free and exponents count from the top of each output channel, the power of
two nearest to its largest latent, so that the levels follow the weights. At 2 bits the largest of many
weights, three times the usual one, would leave no level for the others: Q's top lies an octave lower, and
PS, which has a single level, puts it at 1.2 times the root mean square. In reference mode the top is 1 and
the latents are clamped in place to the grid's range in every forward pass, as in DeepShift.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.quant import power_of_two as po2

_VANISHING = 2.0**-100
"""So far above the smallest normal number that quotients stay exact."""


@dataclass(frozen=True)
class Channels:
    """Which elements of a weight belong to the same output channel.

    A convolution's weight is (out, in / groups, …), a transposed one's (in, out / groups, …).
    """

    transposed: bool = False
    groups: int = 1

    def largest(self, magnitudes: Tensor) -> Tensor:
        """The largest of each channel, of a shape that broadcasts to the weight's."""
        return self._over_each(torch.amax, magnitudes)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of each channel, of a shape that broadcasts to the weight's."""
        return self._over_each(torch.mean, values)

    def _over_each(self, reduced: Callable[..., Tensor], values: Tensor) -> Tensor:
        if not self.transposed:
            return reduced(values, tuple(range(1, values.dim())), keepdim=True)
        by_group = values.unflatten(0, (self.groups, -1))
        found = reduced(by_group, (1, *range(3, by_group.dim())), keepdim=True)
        return found.expand(-1, by_group.shape[1], *found.shape[2:]).flatten(0, 1)


class LatentWeight(nn.Module, ABC):
    """The trained parameters behind one weight tensor."""

    def __init__(self, config: ShiftConfig, channels: Channels) -> None:
        super().__init__()
        self.config = config
        self.channels = channels

    @property
    def grid(self) -> po2.Grid:
        return po2.grid(self.config.kind, self.config.weight_bits)

    @abstractmethod
    def forward(self) -> Tensor:
        """The weight on the grid, float, differentiable with respect to the latent parameters."""

    @abstractmethod
    def top(self) -> Tensor:
        """The largest level of each channel, a power of two: float32, broadcasts to the weight's shape."""

    @abstractmethod
    def freeze(self) -> None:
        """Set the latent parameters to what they round to, without a gradient from now on."""

    def declare_bits(self, weight_bits: int) -> None:
        """Round to the grid of this many bits from now on; the latents are what they are."""
        self.config = self.config.model_copy(update={"weight_bits": weight_bits})

    @abstractmethod
    def fit_grid(self) -> None:
        """Restate the latents, which were trained for another grid, for the one declared."""

    def _graded(self, latent: Tensor, top: Tensor) -> Tensor:
        """A latent in the unit of weights, on the grid of values, with a graded gradient."""
        rounded = po2.round_to_powers(latent, self.grid, top, "value", self.stochastic)
        neutral, least = (0.5, 0.5) if self.config.weight_bits == 2 else (0.25, 0.125)
        unit = top.clamp_min(_VANISHING)
        return _Graded.apply(latent, rounded, unit * neutral, unit * least)

    def _evaluated(self) -> Tensor:
        """The weight as rounded in evaluation, whatever the mode the module is in."""
        training = self.training
        rounded = self.eval()().detach()
        self.train(training)
        return rounded

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
            return self._graded(self.weight, self.top())
        with torch.no_grad():
            self._clamp_in_place()
        return po2.quantise(self.weight, self.grid, 1.0, "log", self.stochastic)

    @property
    def octaves_clipped(self) -> int:
        """How far the top lies below the power of two nearest to the channel's largest latent."""
        return int(self.config.weight_bits == 2 and self.config.mode == "default")

    def top(self) -> Tensor:
        largest = self.channels.largest(self.weight.detach().abs())
        if self.config.mode == "reference":
            return torch.ones_like(largest)
        return po2.top_level(largest * 2.0**-self.octaves_clipped)

    def fit_grid(self) -> None:
        """A real number means the same on any grid."""

    @torch.no_grad()
    def freeze(self) -> None:
        weight, top = self._evaluated(), self.top()
        at_top = weight.abs() == top  # these stand for what was clipped, or the next top would lie lower
        self.weight.copy_(torch.where(at_top, weight * 2.0**self.octaves_clipped, weight))
        self.weight.requires_grad_(False)

    def _clamp_in_place(self) -> None:
        """DeepShift's: latents never leave the grid's range, except that zero stays and means zero."""
        zero = self.weight == 0
        magnitude = self.weight.abs().clamp_(2.0**self.grid.lowest, 1.0)
        self.weight.copy_(torch.copysign(magnitude, self.weight).masked_fill_(zero, 0.0))


class _Graded(torch.autograd.Function):
    """Forward `rounded`, backward the gradient times neutral / |rounded|, the latter not below `least`."""

    @staticmethod
    def forward(ctx: Any, _latent: Tensor, rounded: Tensor, neutral: Tensor, least: Tensor) -> Tensor:
        ctx.save_for_backward(rounded, neutral, least)
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rounded, neutral, least = ctx.saved_tensors
        return gradients[0] * (neutral / torch.maximum(rounded.abs(), least)), None, None, None
