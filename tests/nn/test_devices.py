"""Shift layers give the same values on every device that is here, channels last as in training.

Expected is what the CPU computes with contiguous tensors; CUDA and MPS are skipped where there are none.
"""

import copy

import pytest
import torch
from torch import nn

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.mps.is_available(), reason="no MPS device")),
]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def network(kind, mode, bits):
    torch.manual_seed(bits)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 2) if mode == "default" else nn.Conv2d(8, 4, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    formats = {"act_integer_bits": 3, "act_fraction_bits": 5}
    return convert(layers, ShiftConfig(kind=kind, weight_bits=bits, mode=mode, **formats))


def one_step(model, images, device):
    """Output, rounded weights and gradients, back on the CPU, in three lists."""
    model = copy.deepcopy(model).to(device)
    output = model(images.to(device))
    output.square().sum().backward()
    weights = [layer.quantised_weight() for layer in model if hasattr(layer, "quantised_weight")]
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [[value.detach().cpu() for value in part] for part in ([output], weights, gradients)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("mode", ["default", "reference"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_step_is_the_same_on_every_device(device, kind, mode, bits):
    images = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    model = network(kind, mode, bits)
    expected = one_step(model, images, "cpu")
    values = one_step(model.to(memory_format=torch.channels_last), images, device)
    for found, wanted in zip(values[0] + values[2], expected[0] + expected[2], strict=True):
        torch.testing.assert_close(found, wanted, **TOLERANCE)
    for found, wanted in zip(values[1], expected[1], strict=True):
        assert torch.equal(found, wanted)
