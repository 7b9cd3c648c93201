"""Reference mode against DeepShift's semantics, written out in double precision one weight at a time."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jouleshift.config import ShiftConfig
from jouleshift.nn.layers import ShiftConv2d, ShiftLinear

LN2 = math.log(2)


def q_weight(latent, bits):
    """Clamp |w| to 2^min … 1 keeping zero, then sign(w) · 2^round(log2 |w|): (clamped latent, weight)."""
    if latent == 0:
        return 0.0, 0.0
    clamped = math.copysign(min(max(abs(latent), 2.0 ** -(2 ** (bits - 1) - 1)), 1.0), latent)
    return clamped, math.copysign(2.0 ** round(math.log2(abs(clamped))), clamped)


def ps_weight(shift, sign, bits):
    """Clamp P to the grid, then sign(round(S)) · 2^round(P): (clamped P, weight)."""
    clamped = min(max(shift, -(2 ** (bits - 1) - 2)), 0)
    rounded = round(sign)
    return clamped, ((rounded > 0) - (rounded < 0)) * 2.0 ** round(clamped)


def floor_fixed(values, config):
    step, bound = 2.0**-config.act_fraction_bits, 2.0 ** (config.act_integer_bits - 1)
    return (torch.floor(values.double() / step) * step).clamp(-bound, bound - step)


def pairs(function, *tensors):
    flat = [function(*values) for values in zip(*(t.flatten().tolist() for t in tensors), strict=True)]
    shape = tensors[0].shape
    return tuple(torch.tensor(part, dtype=torch.float64).reshape(shape) for part in zip(*flat, strict=True))


@pytest.mark.parametrize("bits", range(2, 8))
@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("layer", ["conv", "linear"])
def test_forward_latents_and_gradients(kind, bits, layer):
    torch.manual_seed(bits)
    config = ShiftConfig(
        kind=kind, weight_bits=bits, act_integer_bits=4, act_fraction_bits=6, mode="reference"
    )
    if layer == "conv":
        shift = ShiftConv2d.from_float(nn.Conv2d(3, 4, 3), config)
        x = torch.randn(2, 3, 5, 5, requires_grad=True)
        operation = F.conv2d
    else:
        shift = ShiftLinear.from_float(nn.Linear(12, 5), config)
        x = torch.randn(3, 12, requires_grad=True)
        operation = F.linear
    latent = shift.latent
    with torch.no_grad():
        for parameter in latent.parameters():
            parameter.mul_(1.5)
            parameter.view(-1)[0] = 0.0
    if kind == "Q":
        clamped, weight = pairs(lambda w: q_weight(w, bits), latent.weight)
    else:
        clamped, weight = pairs(lambda p, s: ps_weight(p, s, bits), latent.shift, latent.sign)
    bias = shift.bias.detach()
    oracle_bias = floor_fixed(bias, config) if layer == "conv" else bias.double()
    oracle_x = x.detach().double() if (kind, layer) == ("PS", "linear") else floor_fixed(x.detach(), config)
    oracle_x.requires_grad_()
    weight.requires_grad_()
    oracle_bias.requires_grad_()
    expected = operation(oracle_x, weight, oracle_bias)
    result = shift(x)
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)

    upstream = torch.randn_like(result)
    result.backward(upstream)
    expected.backward(upstream.double())
    close = {"rtol": 1e-4, "atol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(x.grad, oracle_x.grad, **close)
    torch.testing.assert_close(shift.bias.grad, oracle_bias.grad, **close)
    if kind == "Q":
        torch.testing.assert_close(latent.weight.detach(), clamped, **close)
        torch.testing.assert_close(latent.weight.grad, weight.grad, **close)
    else:
        torch.testing.assert_close(latent.shift.detach(), clamped, **close)
        torch.testing.assert_close(latent.sign.grad, weight.grad, **close)
        torch.testing.assert_close(latent.shift.grad, weight.grad * weight.detach() * LN2, **close)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_stochastic_rounding_is_unbiased_in_the_exponent_and_runs_in_evaluation_too(kind, training):
    torch.manual_seed(0)
    config = ShiftConfig(kind=kind, weight_bits=5, rounding="stochastic", mode="reference")
    shift = ShiftLinear.from_float(nn.Linear(1, 40_000), config).train(training)
    with torch.no_grad():
        if kind == "Q":
            shift.latent.weight.fill_(2.0**-3.3)
        else:
            shift.latent.shift.fill_(-3.3)
            shift.latent.sign.fill_(0.8)
    weight = shift.quantised_weight().detach().double()
    used = weight[weight != 0]
    exponent = used.abs().log2()
    assert set(exponent.unique().tolist()) == {-4.0, -3.0}
    assert abs(exponent.mean().item() + 3.3) < 5 * math.sqrt(0.3 * 0.7 / used.numel())
    share = used.numel() / weight.numel()
    assert abs(share - (0.8 if kind == "PS" else 1.0)) < 0.01


def test_ps_starts_at_random():
    config = ShiftConfig(kind="PS", weight_bits=5, mode="reference")
    conv = ShiftConv2d.from_float(nn.Conv2d(32, 32, 3), config).latent
    linear = ShiftLinear.from_float(nn.Linear(128, 128), config).latent
    for latent, low, high in ((conv, -10, -1), (linear, -14, 0)):
        assert low <= latent.shift.min() < low + 0.1
        assert high - 0.1 < latent.shift.max() <= high
        assert abs((latent.sign.abs() < 0.5).float().mean().item() - 0.5) < 0.03
