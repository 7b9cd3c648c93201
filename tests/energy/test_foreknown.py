"""Energy by configuration from plain numbers: the same, to the last bit, as the worker's own."""

import json
import subprocess
import sys

import pytest
import torch

from jouleshift import conversion, models
from jouleshift.energy.foreknown import ForeknownEnergy, ForeknownSize, describe, restore
from jouleshift.energy.hardware import load_profile, model_energy
from jouleshift.energy.workload import trace
from jouleshift.evaluate import shift_config
from jouleshift.hpo.scheduler import plain
from jouleshift.space import build_space


@pytest.mark.parametrize(
    ("network", "mode"),
    [
        ("resnet20", "default"),
        ("resnet20", "reference"),
        pytest.param("mobilenetv2", "default", marks=pytest.mark.slow),
        pytest.param("googlenet", "reference", marks=pytest.mark.slow),
    ],
)
def test_it_equals_the_energy_of_the_converted_network(network, mode):
    model = models.create(network, num_classes=10, in_channels=3)
    image = torch.zeros(1, 3, 8, 8)
    workload = restore(json.loads(json.dumps(describe(trace(model, image)))))
    largest = conversion.convertible_layers(model, mode)
    space = build_space(largest)
    space.seed(7)
    one, two = (plain(config) for config in space.sample_configuration(2))
    for config in (one, two, {**one, "shift_depth": 1}, {**two, "shift_depth": largest}):
        converted = trace(conversion.convert(model, shift_config(config, mode)), image)
        for name in ("asic-45nm", "cortex-m4"):
            profile = load_profile(name)
            energy = ForeknownEnergy(workload, conversion.depths(model, mode), profile)
            assert energy(config) == model_energy(converted, profile).energy_j


MIXED = [
    {"first": 8, "last": "float"},
    {"layer3.*": {"weight_bits": 3, "kind": "Q", "rounding": "stochastic"}, "first": {"act_integer_bits": 4}},
    {"last": {"act_fraction_bits": 7}, "layer1.*": {}, "layer2.1.conv?": "float"},
    {"*": "float"},
]


@pytest.mark.parametrize("layers", MIXED, ids=["ends", "fields", "partly", "float"])
@pytest.mark.parametrize("mode", ["default", "reference"])
def test_layers_with_formats_of_their_own_are_priced_as_they_are_converted(layers, mode):
    """Energy and size, to the last bit, whatever the depth; the same object for one configuration twice."""
    model = models.create("resnet20", num_classes=10, in_channels=3)
    image = torch.zeros(1, 3, 8, 8)
    workload, depths = trace(model, image), conversion.depths(model, mode)
    own = json.loads(json.dumps(conversion.own_formats(model, layers, mode)))
    profile = load_profile("asic-45nm")
    energy = ForeknownEnergy(workload, depths, profile, own)
    weights = {name: model.get_parameter(f"{name}.weight").numel() for name in depths}
    size = ForeknownSize({**weights, "": 0}, depths, own)
    space = build_space(conversion.convertible_layers(model, mode))
    space.seed(3)
    (one,) = (plain(config) for config in [space.sample_configuration()])
    for changes in ({}, {"shift_depth": 0}, {"shift_depth": 2, "shift_type": "Q"}, {"weight_bits": 2}):
        config = {**one, **changes}
        converted = conversion.convert(model, shift_config(config, mode), layers=layers)
        joules = model_energy(trace(converted, image), profile).energy_j
        assert energy(config) == energy(config) == joules
        assert size(config) == conversion.weight_bytes(converted)


def test_it_needs_no_torch():
    code = "import sys, jouleshift.energy.foreknown; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
