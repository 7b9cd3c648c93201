"""A convolution of a rounded input that keeps the input as it came, for its backward pass.

The weight's gradient needs the rounded input. Kept, it lies beside the tensor it was rounded from, which the
ReLU before it keeps too: half as much memory again as the float network. Rounding once more in the backward
pass gives the same numbers for two or three passes over memory, so what is kept is the ReLU's own output and
a shift network needs no more memory than a float one (Chen et al., 2016, recompute whole layers so). A ReLU6
keeps what it read instead, so there the convolution alone keeps its output in the float network, and the
rounded one takes that place for nothing. The gradient passes the rounding straight through.

Gradients of gradients are not defined; torch.compile plans its own recomputation and is left to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jouleshift.quant.fixed_point import FixedPoint, round_to_fixed


@dataclass(frozen=True)
class InputRounding:
    """How a layer's input is rounded: half to even, or towards −∞ with `floor`."""

    fmt: FixedPoint
    floor: bool = False

    def __call__(self, values: Tensor) -> Tensor:
        return round_to_fixed(values, self.fmt, self.floor)


@dataclass(frozen=True)
class Convolution:
    """A convolution of `torch.nn.functional` and its settings by name, integers or tuples of them.

    A transposed one has `output_padding` among them.
    """

    operation: Callable[..., Tensor]
    settings: Mapping[str, Any]

    def __call__(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self.operation(values, weight, bias, **self.settings)

    def gradients(
        self, upstream: Tensor, values: Tensor, weight: Tensor, needed: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        """Those of values, weight and bias where needed, in the type of `upstream`."""
        settings = self.settings
        return torch.ops.aten.convolution_backward(
            upstream,
            values.to(upstream.dtype),
            weight.to(upstream.dtype),
            [upstream.shape[1]],
            settings["stride"],
            settings["padding"],
            settings["dilation"],
            "output_padding" in settings,
            settings.get("output_padding", (0,) * len(settings["stride"])),
            settings["groups"],
            needed,
        )


def convolve_rounded(
    values: Tensor, weight: Tensor, bias: Tensor | None, rounding: InputRounding, convolution: Convolution
) -> Tensor:
    """`convolution(rounding(values), weight, bias)` of a batch; straight-through gradient."""
    return _RoundedConvolution.apply(values, weight, bias, rounding, convolution)


_KEEPS_ITS_INPUT = "HardtanhBackward"
"""PyTorch's name for the backward pass of a ReLU6."""


class _RoundedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rounding: InputRounding,
        convolution: Convolution,
    ) -> Tensor:
        rounded = rounding(values)
        alone = values.grad_fn is not None and values.grad_fn.name().startswith(_KEEPS_ITS_INPUT)
        ctx.save_for_backward(rounded if alone else values, weight)
        ctx.rounding, ctx.convolution = None if alone else rounding, convolution
        return convolution(rounded, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        values, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        rounded = values if ctx.rounding is None else ctx.rounding(values)
        found = ctx.convolution.gradients(gradients[0], rounded, weight, needed)
        return *found, None, None
