"""Keeping the unrounded input changes memory only: same output, same gradients, same complaints."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jouleshift import conversion, models
from jouleshift.config import ShiftConfig
from jouleshift.nn.layers import ShiftConv1d, ShiftConv2d, ShiftConvTranspose2d
from jouleshift.quant import fixed_point

LAYERS = {
    "plain": (ShiftConv2d, nn.Conv2d(4, 6, 3, padding=1), (2, 4, 8, 8)),
    "strided": (ShiftConv2d, nn.Conv2d(4, 6, 3, stride=2, dilation=2, bias=False), (2, 4, 9, 9)),
    "grouped": (ShiftConv2d, nn.Conv2d(4, 8, (3, 1), groups=4), (2, 4, 8, 8)),
    "reflecting": (ShiftConv2d, nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (2, 4, 8, 8)),
    "same": (ShiftConv2d, nn.Conv2d(4, 6, 2, padding="same"), (2, 4, 8, 8)),
    "unbatched": (ShiftConv2d, nn.Conv2d(4, 6, 3), (4, 8, 8)),
    "1d": (ShiftConv1d, nn.Conv1d(4, 6, 3, stride=2), (2, 4, 9)),
    "transposed": (
        ShiftConvTranspose2d,
        nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2),
        (2, 4, 5, 5),
    ),
}


def gradients(layer, values, upstream=None):
    values = values.clone().requires_grad_()
    layer.zero_grad()
    out = layer(values)
    out.backward(torch.ones_like(out) if upstream is None else upstream)
    return [out.detach(), values.grad, *(p.grad.clone() for p in layer.parameters())]


@pytest.mark.parametrize("mode", ["default", "reference"])
@pytest.mark.parametrize("name", LAYERS)
def test_output_and_gradients_are_those_of_rounding_first(name, mode, monkeypatch):
    shift_layer, float_layer, shape = LAYERS[name]
    config = ShiftConfig(kind="Q", weight_bits=4, act_integer_bits=3, act_fraction_bits=4, mode=mode)
    layer = shift_layer.from_float(float_layer, config)
    torch.manual_seed(0)
    values = torch.randn(shape) * 3
    kept = gradients(layer, values)
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)  # takes the way that keeps the rounded
    for one, other in zip(kept, gradients(layer, values), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    assert not torch.equal(fixed_point.round_to_fixed(values, layer.input_format), values)


def test_bfloat16_gives_gradients_in_the_parameters_type():
    layer = ShiftConv2d.from_float(
        nn.Conv2d(4, 6, 3), ShiftConfig(kind="Q", act_integer_bits=3, act_fraction_bits=5)
    )
    values = torch.randn(2, 4, 8, 8)
    exact = gradients(layer, values)
    layer.zero_grad()
    inputs = values.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(inputs)
    assert out.dtype == torch.bfloat16
    out.backward(torch.ones_like(out))
    for found, expected in zip((inputs.grad, *(p.grad for p in layer.parameters())), exact[1:], strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def test_an_input_changed_in_place_before_the_backward_pass_is_refused_as_by_the_float_layer():
    values = torch.randn(1, 3, 6, 6)
    for layer in (nn.Conv2d(3, 4, 3), ShiftConv2d.from_float(nn.Conv2d(3, 4, 3), ShiftConfig())):
        changed = F.relu(values.clone().requires_grad_())
        loss = layer(changed).sum()
        changed.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def kept_bytes(model, images):
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train()(images)
    return sum(t.untyped_storage().nbytes() for pointer, t in kept.items() if pointer not in own)


@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("name", ["resnet20", "mobilenetv2"])
def test_a_shift_network_keeps_little_more_than_the_float_one(name, kind):
    network = models.create(name, 10)
    images = torch.randn(32, 3, 32, 32)
    shifted = conversion.convert(network, ShiftConfig(kind=kind))
    assert kept_bytes(shifted, images) < 1.1 * kept_bytes(network, images)


@pytest.mark.parametrize(("activation", "roundings"), [(F.relu, 2), (F.relu6, 1)])
def test_what_nobody_else_keeps_is_rounded_once(activation, roundings, monkeypatch):
    """A ReLU keeps its output, a ReLU6 its input."""
    layer = ShiftConv2d.from_float(nn.Conv2d(4, 6, 3), ShiftConfig(act_integer_bits=3, act_fraction_bits=4))
    values = (torch.randn(2, 4, 8, 8) * 3).requires_grad_()
    rounded = []
    monkeypatch.setattr(
        "jouleshift.nn.rounded_convolution.round_to_fixed",
        lambda *given: rounded.append(given) or fixed_point.round_to_fixed(*given),
    )
    layer(activation(values)).square().sum().backward()
    assert len(rounded) == roundings
    found = [values.grad.clone(), *(p.grad.clone() for p in layer.parameters())]
    values.grad = None
    layer.zero_grad()
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)  # takes the way that keeps the rounded
    layer(activation(values)).square().sum().backward()
    for one, other in zip(found, [values.grad, *(p.grad for p in layer.parameters())], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
