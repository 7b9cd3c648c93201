"""Shift layers: convolutions and linear layers whose weights are ±2^k and whose input is fixed-point.

Simulated in floats, exactly: the input is rounded to a fixed-point format, the weight to the grid of
`nn.weights`, and the float operation on both is what shifts and adds of integers would give (up to float32's
own rounding of long sums). The bias stays float in default mode: in the integer program it is added at the
accumulator's precision.

    layer = ShiftConv2d.from_float(nn.Conv2d(16, 32, 3, padding=1), ShiftConfig(kind="PS", weight_bits=4))
    layer(x)                        # like the convolution
    layer.quantised_weight()        # float, each ±2^k or 0
    signs, exponents = layer.integer_weight()

Reference mode has DeepShift's semantics: `floor` for activations, a convolution's bias rounded like an
activation, a linear layer's bias left as it is, and no rounding of the input of PS linear layers.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.nn.rounded_convolution import Convolution, InputRounding, convolve_rounded
from jouleshift.nn.shift_sign import PSWeight
from jouleshift.nn.weights import Channels, LatentWeight, QWeight
from jouleshift.quant import fixed_point
from jouleshift.quant import power_of_two as po2
from jouleshift.quant.fixed_point import FixedPoint


class IntegerWeight(NamedTuple):
    """A weight as integers: sign · 2^exponent equals `quantised_weight()` exactly. A zero has exponent 0."""

    signs: Tensor
    """int8, −1, 0 or 1, of the weight's shape."""
    exponents: Tensor
    """int8, −126 … 126, of the weight's shape, the channel's offset included."""


class ShiftLayer(nn.Module):
    """What shift layers share: latent weight, number formats, bias.

    `unsigned_input` says that the input is never negative (it comes from a ReLU), so that its format spends
    no bit on a sign.
    """

    bias: nn.Parameter | None

    def __init__(self, float_layer: nn.Module, config: ShiftConfig, unsigned_input: bool = False) -> None:
        super().__init__()
        weight: Tensor = float_layer.weight  # type: ignore[assignment]
        self.shift_config = config
        self.weight_shape = weight.shape
        kind = QWeight if config.kind == "Q" else PSWeight
        self.latent: LatentWeight = kind(config, weight, self._channels(float_layer))
        self.register_parameter("bias", self._start_bias(float_layer.bias, weight))  # type: ignore[arg-type]
        self.latent.requires_grad_(weight.requires_grad)
        self.unsigned_input = unsigned_input
        self.input_format = FixedPoint(
            config.act_integer_bits, config.act_fraction_bits, signed=not unsigned_input
        )
        self.train(float_layer.training)

    @classmethod
    def from_float(cls, layer: nn.Module, config: ShiftConfig, unsigned_input: bool = False) -> Self:
        """A shift layer with the float layer's weights and settings; the float layer is left as it is."""
        return cls(layer, config, unsigned_input)

    def _channels(self, _float_layer: nn.Module) -> Channels:
        return Channels()

    def _start_bias(self, bias: Tensor | None, weight: Tensor) -> nn.Parameter | None:
        if bias is None:
            return None
        trained, bias = bias.requires_grad, bias.detach().clone()
        if self.shift_config.mode == "reference":
            if self.shift_config.kind == "PS":
                bound = 1 / math.sqrt(weight[0].numel())
                bias.uniform_(-bound, bound)
            else:
                bias = fixed_point.round_to_fixed(bias, self._signed_format, floor=True)
        return nn.Parameter(bias, trained)

    @property
    def _signed_format(self) -> FixedPoint:
        return FixedPoint(self.shift_config.act_integer_bits, self.shift_config.act_fraction_bits)

    def quantised_weight(self) -> Tensor:
        """The weight on the grid, float, differentiable. Stochastic rounding draws anew at each call."""
        return self.latent()

    @torch.no_grad()
    def integer_weight(self) -> IntegerWeight:
        """Signs and exponents of `quantised_weight()`. ValueError where a weight is NaN."""
        return IntegerWeight(*po2.decompose(self.quantised_weight()))

    @torch.no_grad()
    def channel_offsets(self) -> Tensor:
        """The exponent of each output channel's largest level: int8, broadcasts to the weight's shape."""
        return po2.decompose(self.latent.top())[1]

    def freeze(self) -> None:
        """Set the latent weight to its rounded value and train it no further. The output stays the same."""
        self.latent.freeze()

    def declare_weight_bits(self, weight_bits: int) -> None:
        """Say that the latent weight, just loaded, was trained for this grid, 2 … 8 bits."""
        self.shift_config = self.shift_config.model_copy(update={"weight_bits": weight_bits})
        self.latent.declare_bits(weight_bits)

    def change_weight_bits(self, weight_bits: int) -> None:
        """Round to another grid, 2 … 8 bits, from now on; the real weight behind it stays the same."""
        if weight_bits != self.shift_config.weight_bits:
            self.declare_weight_bits(weight_bits)
            self.latent.fit_grid()

    @property
    def _floors(self) -> bool:
        return self.shift_config.mode == "reference"

    def quantise_input(self, values: Tensor) -> Tensor:
        """The input in `input_format`, differentiable (straight through)."""
        return fixed_point.quantise(values, self.input_format, floor=self._floors)

    @abstractmethod
    def forward(self, input: Tensor) -> Tensor: ...

    def _format_repr(self) -> str:
        config = self.shift_config
        sign = "u" if self.unsigned_input else "s"
        return (
            f"bias={self.bias is not None}, {config.kind}, weight_bits={config.weight_bits}, "
            f"input={sign}{config.act_integer_bits}+{config.act_fraction_bits}, {config.rounding}, "
            f"mode={config.mode}"
        )


class ShiftLinear(ShiftLayer):
    """A linear layer with power-of-two weights. Input (…, in_features), output (…, out_features)."""

    def __init__(self, float_layer: nn.Linear, config: ShiftConfig, unsigned_input: bool = False) -> None:
        super().__init__(float_layer, config, unsigned_input)
        self.in_features, self.out_features = float_layer.in_features, float_layer.out_features

    def quantise_input(self, values: Tensor) -> Tensor:
        if self.shift_config.mode == "reference" and self.shift_config.kind == "PS":
            return values
        return super().quantise_input(values)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(self.quantise_input(input), self.quantised_weight(), self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self._format_repr()}"


class _ShiftConvolution(ShiftLayer):
    """What convolutions share: their shape attributes, named as torch's."""

    padding: Any

    def __init__(
        self,
        float_layer: Any,
        config: ShiftConfig,
        unsigned_input: bool = False,
    ) -> None:
        super().__init__(float_layer, config, unsigned_input)
        self.in_channels, self.out_channels = float_layer.in_channels, float_layer.out_channels
        self.kernel_size, self.stride = float_layer.kernel_size, float_layer.stride
        self.padding, self.padding_mode = float_layer.padding, float_layer.padding_mode
        self.dilation, self.groups = float_layer.dilation, float_layer.groups

    def quantised_bias(self) -> Tensor | None:
        """The bias as the convolution adds it: rounded in reference mode, else as it is."""
        if self.bias is None or self.shift_config.mode == "default":
            return self.bias
        return fixed_point.quantise(self.bias, self._signed_format, floor=True)

    def _convolved(self, values: Tensor, convolution: Convolution) -> Tensor:
        """The convolution of the rounded input, which is not kept where that would cost memory."""
        weight, bias = self.quantised_weight(), self.quantised_bias()
        trains = torch.is_grad_enabled() and weight.requires_grad and not torch.compiler.is_compiling()
        if trains and values.dim() == weight.dim() and not isinstance(convolution.settings["padding"], str):
            rounding = InputRounding(self.input_format, self._floors)
            return convolve_rounded(values, weight, bias, rounding, convolution)
        return convolution(self.quantise_input(values), weight, bias)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, "
            f"padding_mode={self.padding_mode}, {self._format_repr()}"
        )


class _ForwardConvolution(_ShiftConvolution):
    operation: ClassVar[Callable[..., Tensor]]

    def __init__(self, float_layer: Any, config: ShiftConfig, unsigned_input: bool = False) -> None:
        super().__init__(float_layer, config, unsigned_input)
        self._outer_padding = tuple(float_layer._reversed_padding_repeated_twice)

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._outer_padding, mode=self.padding_mode)
            padding = (0,) * len(self.kernel_size)
        settings = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        return self._convolved(input, Convolution(type(self).operation, {**settings, "padding": padding}))


class ShiftConv1d(_ForwardConvolution):
    """A 1-d convolution with power-of-two weights; otherwise as `nn.Conv1d`."""

    operation = staticmethod(F.conv1d)


class ShiftConv2d(_ForwardConvolution):
    """A 2-d convolution with power-of-two weights, any stride, padding (mode), dilation and groups.

    Input (N, in_channels, H, W) or (in_channels, H, W), output as `nn.Conv2d` has it.
    """

    operation = staticmethod(F.conv2d)


class ShiftConvTranspose2d(_ShiftConvolution):
    """A transposed 2-d convolution with power-of-two weights; otherwise as `nn.ConvTranspose2d`.

    Its weight has the output channels along dimension 1, within each group.
    """

    def __init__(
        self, float_layer: nn.ConvTranspose2d, config: ShiftConfig, unsigned_input: bool = False
    ) -> None:
        super().__init__(float_layer, config, unsigned_input)
        self.output_padding = float_layer.output_padding

    def _channels(self, float_layer: nn.Module) -> Channels:
        return Channels(transposed=True, groups=float_layer.groups)  # type: ignore[arg-type]

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        output_padding: Any = self.output_padding
        if output_size is not None:
            shape = (list(output_size), self.stride, self.padding, self.kernel_size, 2, self.dilation)
            output_padding = nn.ConvTranspose2d._output_padding(self, input, *shape)  # type: ignore[arg-type]
        settings = {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": output_padding,
            "groups": self.groups,
            "dilation": self.dilation,
        }
        return self._convolved(input, Convolution(F.conv_transpose2d, settings))
