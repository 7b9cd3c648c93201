"""Which formats are stretched to a clamp's limit, and what layers with such an input compute."""

import operator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jouleshift import models
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert, plan
from jouleshift.deploy import nodes as p
from jouleshift.deploy import reference
from jouleshift.deploy.lower import lower
from jouleshift.errors import BadInput
from jouleshift.nn.input_limits import input_limits
from jouleshift.quant.fixed_point import FixedPoint

U3 = FixedPoint(3, 5, signed=False)
BYTES = ShiftConfig(kind="PS", weight_bits=4, act_integer_bits=3, act_fraction_bits=5)


class Network(nn.Module):
    """A layer, its norm, a ReLU6, and whatever the case does with them and the layers `b` and `c`."""

    def __init__(self, compute, clamp=None):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(2, 2, 1) for _ in range(3))
        self.norm, self.relu6, self.pool = nn.BatchNorm2d(2), clamp or nn.ReLU6(), nn.MaxPool2d(2)
        self.compute = compute

    def forward(self, x):
        return self.compute(self, x)


def clamped(net, x):
    return net.relu6(net.norm(net.a(x)))


def one_reads_more(net, x):
    y = clamped(net, x)
    return net.b(y) + net.c(y)


def one_reads_other(net, x):
    return net.b(clamped(net, x)) + net.b(x)


def norm_is_read(net, x):
    y = net.norm(net.a(x))
    return net.b(net.relu6(y)) + y


def layer_is_read(net, x):
    y = net.a(x)
    return net.b(net.relu6(net.norm(y))) + y


def pointed(net, x):
    return net.b(clamped(net, x)) if x.sum() > 0 else x


CASES = {
    "layer, norm, clamp, layer": (lambda net, x: net.b(clamped(net, x)), {"b"}),
    "no norm": (lambda net, x: net.b(net.relu6(net.a(x))), {"b"}),
    "a function": (lambda net, x: net.b(F.relu6(net.norm(net.a(x)))), {"b"}),
    "two layers read it": (one_reads_more, {"b", "c"}),
    "two clamps": (lambda net, x: net.c(F.relu6(net.b(net.relu6(net.a(x))))), {"b", "c"}),
    "a layer that reads something else, too": (one_reads_other, set()),
    "the output": (clamped, set()),
    "a pool reads it": (lambda net, x: net.b(net.pool(clamped(net, x))), set()),
    "a sum reads it, too": (lambda net, x: operator.add(net.b(y := clamped(net, x)), y), set()),
    "written over afterwards": (lambda net, x: net.b(clamped(net, x).mul_(2)), set()),
    "the norm is read, too": (norm_is_read, set()),
    "the layer is read, too": (layer_is_read, set()),
    "of an image": (lambda net, x: net.b(net.relu6(x)), set()),
    "of a sum": (lambda net, x: net.c(net.relu6(net.a(x) + net.b(x))), set()),
    "no clamp": (lambda net, x: net.b(net.norm(net.a(x))), set()),
    "not traceable": (pointed, set()),
}


@pytest.mark.parametrize(("compute", "expected"), CASES.values(), ids=CASES)
def test_from_converted_layer_to_converted_layers_alone(compute, expected):
    formats = dict.fromkeys("abc", U3)
    assert input_limits(Network(compute), formats) == dict.fromkeys(expected, 6.0)


def test_in_place_is_the_same_where_nobody_else_reads():
    for name in ("layer, norm, clamp, layer", "the norm is read, too"):
        compute, expected = CASES[name]
        network = Network(compute, nn.ReLU6(inplace=True))
        assert input_limits(network, dict.fromkeys("abc", U3)).keys() == expected


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ({"b": U3}, {}),
        ({"a": FixedPoint(3, 5), "b": FixedPoint(3, 1, signed=False)}, {"b": 6.0}),
        ({"a": U3, "b": FixedPoint(4, 4, signed=False)}, {}),
        ({"a": U3, "b": FixedPoint(2, 6, signed=False)}, {}),
        ({"a": U3, "b": FixedPoint(4, 4)}, {}),
    ],
)
def test_the_limit_lies_within_the_last_octave(formats, expected):
    assert input_limits(Network(CASES["no norm"][0]), formats) == expected


def test_readers_of_one_format():
    formats = {"a": U3, "b": U3, "c": FixedPoint(3, 4, signed=False)}
    assert not input_limits(Network(one_reads_more), formats)


@pytest.mark.parametrize(
    ("clamp", "expected"),
    [
        (nn.Hardtanh(0, 5.5), {"b": 5.5}),
        (nn.Hardtanh(0, 4), {"b": 4}),
        (nn.Hardtanh(0, 3.9), {}),
        (nn.Hardtanh(0, 8 - 1 / 32), {}),
        (nn.Hardtanh(-1, 6), {}),
        (nn.ReLU(), {}),
    ],
)
def test_any_clamp_at_zero(clamp, expected):
    network = Network(CASES["no norm"][0], clamp)
    assert input_limits(network, {"a": U3, "b": U3}) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, 34), ({"depth": 1}, 0), ({"act_integer_bits": 4}, 0), ({"mode": "reference"}, 0)],
)
def test_mobilenet(settings, expected):
    """All but the layers that read images, residual sums and the pool."""
    plans = plan(models.create("mobilenetv2", num_classes=10), BYTES.model_copy(update=settings))
    assert sum(layer.input_limit == 6 for layer in plans) == expected
    assert any("unsigned 3+5 up to 6" in layer.format for layer in plans) == bool(expected)


def stretched(training=True):
    torch.manual_seed(0)
    network = Network(CASES["layer, norm, clamp, layer"][0]).train(training)
    return convert(network, BYTES), network


def values():
    return (8 * torch.rand(2, 2, 5, 5, generator=torch.Generator().manual_seed(1))).clamp(max=6)


def rounded(x):
    """To multiples of 6 / 255."""
    return torch.round(x.double() * (255 / 6)) * (6 / 255)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_layer_reads_multiples_of_a_255th_of_the_limit(compiled, monkeypatch):
    layer = stretched()[0].b
    assert "u3+5 up to 6" in repr(layer)
    monkeypatch.setattr(
        "torch.compiler.is_compiling", lambda: compiled
    )  # takes the way that keeps the rounded
    x = values().requires_grad_()
    upstream = torch.randn(2, 2, 5, 5)
    layer(x).backward(upstream)
    found = [layer(x).detach(), x.grad, layer.latent.shift.grad, layer.bias.grad]

    exact = rounded(x.detach()).requires_grad_()
    layer.zero_grad()
    weight = layer.quantised_weight()
    out = F.conv2d(exact, weight.double(), layer.bias.double())
    out.backward(upstream.double())
    expected = [out.detach(), exact.grad, layer.latent.shift.grad, layer.bias.grad]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-4, atol=1e-5)


def test_a_linear_layer():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU6(), nn.Linear(4, 3))
    layer = convert(network, BYTES)[2]
    x = values()[..., :4]
    exact = F.linear(rounded(x), layer.quantised_weight().double(), layer.bias.double())
    torch.testing.assert_close(layer(x).double(), exact, rtol=1e-5, atol=1e-6)


def lowered(network):
    images = torch.randn(8, 2, 6, 6, generator=torch.Generator().manual_seed(2))
    network.train()(images)
    return lower(network.eval(), images), images


def test_in_integers_the_limit_is_the_end_of_the_byte():
    """The first layer's numbers are its clamped results in 255ths of 6, and no clip is needed."""
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(12, 2)
    )
    nn.init.constant_(network[1].weight, 5.0)
    nn.init.constant_(network[1].bias, 3.0)
    converted = convert(network, BYTES)
    program, images = lowered(converted)
    first = program.all(p.ShiftLayer)[0]
    assert (first.lowest, first.highest) == (0, 255) == p.limits(first.output.fixed)
    found = dict(reference.execute(program, images.numpy()))[first.output.name]
    with torch.no_grad():
        activations = converted[2](converted[1](converted[0](images)))
        simulated = converted(images)
    assert (found == 255).any() and (found == 0).any() and len(np.unique(found)) > 20
    np.testing.assert_allclose(found, activations.numpy() * (255 / 6), rtol=0, atol=0.6)
    np.testing.assert_allclose(program.run(images.numpy()), simulated.numpy(), rtol=0.02, atol=0.02)


def test_a_network_changed_since_is_refused():
    converted, _ = stretched()
    converted.relu6 = nn.ReLU()
    with pytest.raises(BadInput, match=r"b.*limits to 6.*convert the network once more"):
        lower(converted.eval(), torch.randn(4, 2, 6, 6))
