"""Shift layers against the float operation on separately quantised operands, and their gradients."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.nn.layers import ShiftConv1d, ShiftConv2d, ShiftConvTranspose2d, ShiftLinear

CONVOLUTIONS = {
    "plain": {"kernel_size": 3, "padding": 1},
    "no bias": {"kernel_size": 3, "bias": False},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 3, "dilation": 2, "padding": 2},
    "grouped": {"kernel_size": 3, "groups": 2},
    "depthwise": {"kernel_size": 3, "groups": 4, "padding": 1},
    "1x1": {"kernel_size": 1},
    "rectangle": {"kernel_size": (1, 3), "padding": (0, 2), "stride": (2, 1)},
    "same": {"kernel_size": 3, "padding": "same"},
    "reflect": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "padding": (2, 1), "padding_mode": "circular"},
}
FORMATS = [
    ShiftConfig(
        kind=kind, weight_bits=bits, mode=mode, rounding=rounding, act_integer_bits=3, act_fraction_bits=5
    )
    for kind in ("Q", "PS")
    for bits in (2, 5, 8)
    for mode in ("default", "reference")
    for rounding in ("deterministic", "stochastic")
]
fixed = [config for config in FORMATS if config.rounding == "deterministic"]


def describe(config):
    return f"{config.kind}{config.weight_bits}-{config.mode}-{config.rounding}"


def conv(**options):
    torch.manual_seed(0)
    return nn.Conv2d(4, 8, **options)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("config", fixed, ids=describe)
def test_a_convolution_is_the_float_one_on_quantised_operands(name, config):
    float_layer = conv(**CONVOLUTIONS[name])
    shift = ShiftConv2d.from_float(float_layer, config)
    x = torch.randn(2, 4, 9, 8) * 3
    floor = config.mode == "reference"
    quantised_x = (torch.floor(x * 32) if floor else torch.round(x * 32)).clamp(-128, 127) / 32
    expected = copy.deepcopy(float_layer)
    with torch.no_grad():
        expected.weight.copy_(shift.quantised_weight())
        if shift.bias is not None:
            expected.bias.copy_(shift.quantised_bias())
    torch.testing.assert_close(shift(x), expected(quantised_x))


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_a_1d_convolution(kind):
    float_layer = nn.Conv1d(4, 8, 3, stride=2, padding=1, padding_mode="circular")
    shift = ShiftConv1d.from_float(float_layer, ShiftConfig(kind=kind, weight_bits=4))
    x = torch.randn(2, 4, 9)
    expected = copy.deepcopy(float_layer)
    with torch.no_grad():
        expected.weight.copy_(shift.quantised_weight())
    torch.testing.assert_close(shift(x), expected(shift.quantise_input(x)))


@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution(kind, groups):
    float_layer = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=groups)
    with torch.no_grad():
        float_layer.weight *= 2.0 ** torch.arange(6 // groups)[:, None, None]
    shift = ShiftConvTranspose2d.from_float(float_layer, ShiftConfig(kind=kind, weight_bits=4))
    x = torch.randn(2, 4, 5, 5)
    expected = copy.deepcopy(float_layer)
    with torch.no_grad():
        expected.weight.copy_(shift.quantised_weight())
    quantised_x = shift.quantise_input(x)
    torch.testing.assert_close(shift(x), expected(quantised_x))
    torch.testing.assert_close(shift(x, [10, 10]), expected(quantised_x, [10, 10]))
    offsets = shift.channel_offsets().expand(shift.weight_shape)
    for group in range(groups):
        for channel in range(6 // groups):
            inputs = slice(group * 4 // groups, (group + 1) * 4 // groups)
            largest = float_layer.weight[inputs, channel].abs().max().item()
            top = 2.0 ** torch.log2(torch.tensor(largest / 1.5)).ceil().item()
            assert (2.0 ** offsets[inputs, channel].float()).unique().tolist() == [top]


@pytest.mark.parametrize("config", FORMATS, ids=describe)
def test_integer_weights_reproduce_the_quantised_ones_exactly(config):
    shift = ShiftConv2d.from_float(conv(kernel_size=3), config)
    torch.manual_seed(1)
    weight = shift.quantised_weight()
    torch.manual_seed(1)
    signs, exponents = shift.integer_weight()
    assert signs.dtype == exponents.dtype == torch.int8
    rebuilt = [
        s * 2.0**e for s, e in zip(signs.flatten().tolist(), exponents.flatten().tolist(), strict=True)
    ]
    assert rebuilt == weight.flatten().tolist()
    below_top = shift.channel_offsets().int() - exponents.int()
    used = below_top[signs != 0]
    lowest = 2 ** (config.weight_bits - 1) - (1 if config.kind == "Q" else 2)
    assert bool((used >= 0).all()) and bool((used <= lowest).all())


@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_default_mode_starts_at_the_levels_nearest_to_the_float_weights(kind, bits):
    float_layer = conv(kernel_size=3)
    shift = ShiftConv2d.from_float(float_layer, ShiftConfig(kind=kind, weight_bits=bits))
    quantised = shift.quantised_weight()
    for channel, rounded in zip(float_layer.weight, quantised, strict=True):
        reach = channel.abs().max()
        if bits == 2:
            reach = reach / 2 if kind == "Q" else 1.2 * channel.square().mean().sqrt()
        top = 2.0 ** torch.log2(reach / 1.5).ceil().item()
        lowest = 2 ** (bits - 1) - (1 if kind == "Q" else 2)
        powers = [top * 2.0**-e for e in range(lowest + 1)]
        levels = torch.tensor([*powers, *(-p for p in powers), *([0.0] if kind == "PS" else [])])
        distance = (channel.flatten()[:, None] - levels).abs().min(dim=1).values
        torch.testing.assert_close((channel - rounded).abs().flatten(), distance)


@pytest.mark.parametrize("bits", [2, 3, 6])
def test_the_gradient_of_q_is_the_float_layers_on_quantised_operands_graded_by_size(bits):
    """Unchanged at a quarter of the channel's top (2 bits: half), half at twice that, at most double."""
    float_layer = conv(kernel_size=3)
    shift = ShiftConv2d.from_float(float_layer, ShiftConfig(kind="Q", weight_bits=bits))
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    weight = shift.quantised_weight().detach().requires_grad_()
    quantised_x = shift.quantise_input(x).detach().requires_grad_()
    upstream = torch.randn(2, 8, 4, 4)
    shift(x).backward(upstream)
    F.conv2d(quantised_x, weight, float_layer.bias).backward(upstream)
    wanted = weight.grad.clone()
    for channel, top, gradient in zip(weight, shift.latent.top().flatten(), wanted, strict=True):
        neutral = top / (2 if bits == 2 else 4)
        factors = [min(neutral / abs(level), 2.0) for level in channel.detach().flatten()]
        gradient.mul_(torch.tensor(factors).view_as(gradient))
    torch.testing.assert_close(shift.latent.weight.grad, wanted)
    torch.testing.assert_close(x.grad, quantised_x.grad)
    torch.testing.assert_close(shift.bias.grad, float_layer.bias.grad)


def test_the_gradient_of_ps_with_one_level_is_graded_too():
    """Half for what is at the level, as it is for what is zero, in a channel of zeros too."""
    float_layer = conv(kernel_size=3)
    with torch.no_grad():
        float_layer.weight[0] = 0
    latent = ShiftConv2d.from_float(float_layer, ShiftConfig(kind="PS", weight_bits=2)).latent
    rounded = latent()
    rounded.backward(torch.ones_like(rounded))
    torch.testing.assert_close(latent.sign.grad, torch.where(rounded == 0, 1.0, 0.5))


def test_a_small_step_of_default_ps_moves_the_weight_down_the_gradient():
    """To first order, S · 2^P moves against the gradient wherever it moves."""
    float_layer = conv(kernel_size=3)
    latent = ShiftConv2d.from_float(float_layer, ShiftConfig(kind="PS", weight_bits=5)).latent
    gradient = torch.randn_like(float_layer.weight)
    exponent, sign = latent.exponent_and_sign()
    before = sign * 2**exponent
    latent().backward(gradient)
    with torch.no_grad():
        latent.sign -= 1e-4 * latent.sign.grad
        latent.shift -= 1e-4 * latent.shift.grad
    exponent, sign = latent.exponent_and_sign()
    moved = sign * 2**exponent - before
    assert bool((moved * gradient <= 1e-9).all())
    assert bool((moved != 0).any())


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_stochastic_rounding_is_off_in_evaluation(kind):
    shift = ShiftConv2d.from_float(conv(kernel_size=3), ShiftConfig(kind=kind, rounding="stochastic"))
    assert not torch.equal(shift.quantised_weight(), shift.quantised_weight())
    shift.eval()
    nearest = ShiftConv2d.from_float(conv(kernel_size=3), ShiftConfig(kind=kind))
    assert torch.equal(shift.quantised_weight(), shift.quantised_weight())
    assert torch.equal(shift.quantised_weight(), nearest.quantised_weight())


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_nan_and_zero_weights(kind):
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0]]))
    shift = ShiftLinear.from_float(layer, ShiftConfig(kind=kind, weight_bits=4))
    weight = shift.quantised_weight()
    assert weight[1, 0].isnan()
    assert bool((weight[0].abs() < 1e-30).all())
    with pytest.raises(ValueError, match="NaN"):
        shift.integer_weight()


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_weights_that_start_at_zero_can_be_trained(kind):
    """As many networks start their last layer: the shift layer must leave zero as the float one does."""
    torch.manual_seed(0)
    layer = nn.Linear(16, 2)
    nn.init.zeros_(layer.weight)
    x = torch.randn(64, 16)
    labels = (x[:, 0] > x[:, 1]).long()
    shift = ShiftLinear.from_float(layer, ShiftConfig(kind=kind, weight_bits=4))
    optimizer = torch.optim.SGD(shift.parameters(), 0.1, momentum=0.9)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(shift(x), labels).backward()
        optimizer.step()
    assert (shift(x).argmax(1) == labels).float().mean().item() > 0.9


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_unsigned_inputs_reach_twice_as_far(kind):
    config = ShiftConfig(kind=kind, act_integer_bits=3, act_fraction_bits=5)
    shift = ShiftLinear.from_float(nn.Linear(1, 1), config, unsigned_input=True)
    values = torch.tensor([-1.0, 5.0, 9.0])
    assert shift.quantise_input(values).tolist() == [0.0, 5.0, 8.0 - 1 / 32]


def test_linear_takes_any_leading_dimensions_and_reference_ps_leaves_its_input():
    layer = nn.Linear(4, 3)
    x = torch.randn(2, 5, 4)
    for mode, rounds in (("default", True), ("reference", False)):
        shift = ShiftLinear.from_float(layer, ShiftConfig(kind="PS", act_fraction_bits=2, mode=mode))
        assert shift(x).shape == (2, 5, 3)
        assert torch.equal(shift.quantise_input(x), x) is not rounds


def test_the_float_layer_is_left_alone_and_its_mode_is_kept():
    layer = conv(kernel_size=3).eval()
    before = layer.weight.clone()
    shift = ShiftConv2d.from_float(layer, ShiftConfig(kind="Q", weight_bits=2, mode="reference"))
    shift(torch.randn(1, 4, 5, 5))
    assert torch.equal(layer.weight, before)
    assert not shift.training


def test_a_transposed_convolution_keeps_nothing_of_the_float_layer():
    float_layer = nn.ConvTranspose2d(4, 6, 3, stride=2)
    shift = ShiftConvTranspose2d.from_float(float_layer, ShiftConfig(kind="Q", weight_bits=4))
    assert not [
        name for name, value in vars(shift).items() if getattr(value, "__self__", None) is float_layer
    ]
    assert shift(torch.randn(1, 4, 5, 5), output_size=(12, 12)).shape == (1, 6, 12, 12)


@pytest.mark.parametrize("layer", [nn.Conv1d(2, 3, 1), nn.Conv2d(2, 3, 1), nn.ConvTranspose2d(2, 3, 1)])
def test_the_input_goes_by_the_name_that_torch_gives_it(layer):
    converted = convert(layer, ShiftConfig())
    values = torch.randn(1, 2, *[4] * (layer.weight.dim() - 2))
    assert torch.equal(converted(input=values), converted(values))


@pytest.mark.parametrize("mode", ["default", "reference"])
@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_frozen_layers_stay_frozen(kind, mode):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    model[0].requires_grad_(False)
    model[1].bias.requires_grad_(False)
    converted = convert(model, ShiftConfig(kind=kind, mode=mode))
    trained = {name for name, parameter in converted.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"1", "2"}
    assert "1.bias" not in trained
    assert "2.bias" in trained
