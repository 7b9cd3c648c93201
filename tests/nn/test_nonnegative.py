"""What counts as never negative, on graphs written out, and on real networks by running them."""

import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jouleshift import models
from jouleshift.nn.nonnegative import nonnegative_inputs


class NormAct(nn.BatchNorm2d):
    """A norm whose own forward pass goes on to an activation, as timm's."""

    def forward(self, x):
        if self.training:
            self.num_batches_tracked.add_(1)
        known = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.relu(F.batch_norm(x, *known, self.training))


def after(value, *calls):
    """A value after calls whose results nobody takes."""
    for call in calls:
        call(value)
    return value


class Network(nn.Module):
    """One layer `last` behind whatever the case computes from the image and the layers `a` and `b`."""

    def __init__(self, compute):
        super().__init__()
        self.a, self.b, self.last = (nn.Conv2d(2, 2, 1) for _ in range(3))
        self.pool, self.norm = nn.MaxPool2d(2), nn.BatchNorm2d(2)
        self.both, self.relu = NormAct(2), nn.ReLU(inplace=True)
        self.compute = compute

    def forward(self, x):
        return self.last(self.compute(self, x))


FAMILIES = ("tiny", "resnet20", "mobilenetv2", "googlenet", "vgg11", "mobilenetv2_224", "googlenet_224")

CASES = {
    "image": (lambda net, x: x, False),
    "convolution": (lambda net, x: net.a(x), False),
    "relu": (lambda net, x: F.relu(net.a(x)), True),
    "relu method": (lambda net, x: net.a(x).relu(), True),
    "hardtanh from zero": (lambda net, x: F.hardtanh(net.a(x), 0, 4), True),
    "hardtanh": (lambda net, x: F.hardtanh(net.a(x)), False),
    "clamp": (lambda net, x: torch.clamp(net.a(x), min=0), True),
    "clamp from a computed limit": (lambda net, x: torch.clamp(net.a(x), min=x.mean()), False),
    "relu clamped above": (lambda net, x: F.relu(net.a(x)).clamp(max=2), True),
    "relu clamped below zero": (lambda net, x: F.relu(net.a(x)).clamp(max=-2), False),
    "norm and relu in one": (lambda net, x: net.both(net.a(x)), True),
    "relu6 pooled": (lambda net, x: net.pool(F.relu6(net.a(x))), True),
    "padded": (lambda net, x: F.pad(F.relu(net.a(x)), (1, 1, 0, 0)), True),
    "padded with a negative": (lambda net, x: F.pad(F.relu(net.a(x)), (1, 1), value=-1.0), False),
    "normalised after": (lambda net, x: net.norm(F.relu(net.a(x))), False),
    "sum of relus": (lambda net, x: F.relu(net.a(x)) + F.relu(net.b(x)), True),
    "sum with a convolution": (lambda net, x: F.relu(net.a(x)) + net.b(x), False),
    "minus one": (lambda net, x: F.relu(net.a(x)) - 1, False),
    "plus minus one": (lambda net, x: F.relu(net.a(x)) + -1, False),
    "times minus one": (lambda net, x: F.relu(net.a(x)) * -1.0, False),
    "gate": (lambda net, x: F.relu(net.a(x)) * torch.sigmoid(net.b(x)), True),
    "gelu": (lambda net, x: F.gelu(net.a(x)), False),
    "concatenated": (lambda net, x: torch.cat([F.relu(net.a(x)), F.relu(net.b(x))], 1)[:, :2], True),
    "concatenated with the image": (lambda net, x: torch.cat([F.relu(net.a(x)), x], 1)[:, :2], False),
    "relu in place": (lambda net, x: after(net.a(x), lambda y: F.relu(y, True)), True),
    "relu method in place": (lambda net, x: after(net.a(x), lambda y: y.relu_()), True),
    "relu module in place": (lambda net, x: after(net.a(x), net.relu), True),
    "relu whose result is not taken": (lambda net, x: after(net.a(x), F.relu), False),
    "minus one in place": (lambda net, x: after(F.relu(net.a(x)), lambda y: y.sub_(1)), False),
    "sum in place": (lambda net, x: after(F.relu(net.a(x)), lambda y: y.add_(net.b(x))), False),
    "sum by operator": (lambda net, x: after(F.relu(net.a(x)), lambda y: operator.iadd(y, net.b(x))), False),
    "a view minus one": (lambda net, x: after(F.relu(net.a(x)), lambda y: y.flatten(1).sub_(1)), False),
    "relu of a part": (lambda net, x: after(net.a(x), lambda y: y[:, :1].relu_()), False),
    "copied before": (lambda net, x: after(F.relu(net.a(x)), lambda y: y.clone().sub_(1)), True),
    "reshaped by size": (lambda net, x: F.relu(net.a(x)).view(x.size(0), x.shape[1], 4, 16), True),
}


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case):
    compute, expected = CASES[case]
    assert ("last" in nonnegative_inputs(Network(compute))) is expected


def test_a_layer_called_twice_must_be_safe_both_times():
    def compute(net, x):
        return net.b(net.b(F.relu(net.a(x))))

    assert "b" not in nonnegative_inputs(Network(compute))


def test_looking_at_a_network_counts_no_batch():
    network = Network(lambda net, x: net.both(net.a(x))).train()
    assert "last" in nonnegative_inputs(network)
    assert network.both.num_batches_tracked == 0


def test_control_flow_on_data_tells_nothing():
    def compute(net, x):
        return F.relu(x) if x.sum() > 0 else F.relu(-x)

    assert nonnegative_inputs(Network(compute)) == frozenset()


@pytest.mark.parametrize("name", [*FAMILIES])
def test_what_is_claimed_holds_when_run(name):
    torch.manual_seed(0)
    model = models.create(name, 10)
    smallest = {}

    def watch(layer_name):
        return lambda _module, inputs: smallest.__setitem__(
            layer_name, min(smallest.get(layer_name, 0.0), inputs[0].min().item())
        )

    for layer_name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(watch(layer_name))
    claimed = nonnegative_inputs(model)
    model(torch.randn(2, 3, 64, 64))
    negative = {layer for layer, value in smallest.items() if value < 0}
    assert not negative & claimed
    assert set(smallest) - claimed == negative
