"""Energy by configuration from plain numbers: the same, to the last bit, as the worker's own."""

import json
import subprocess
import sys

import pytest
import torch

from jouleshift import conversion, models
from jouleshift.energy.foreknown import ForeknownEnergy, describe, restore
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


def test_it_needs_no_torch():
    code = "import sys, jouleshift.energy.foreknown; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
