"""docs/paper.md: what it says of processors is what the model gives, to the printed digits."""

import re
from pathlib import Path

import pytest
import torch

from jouleshift import conversion
from jouleshift.config import ShiftConfig
from jouleshift.energy.foreknown import ForeknownEnergy
from jouleshift.energy.hardware import load_profile, model_energy
from jouleshift.energy.workload import trace
from jouleshift.models.registry import create

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "paper.md").read_text(encoding="utf-8").split())
PROCESSORS = PAGE[
    PAGE.index("On processors with words of 32 bits") : PAGE.index("### MobileNetV2 and GoogLeNet")
]


IMAGE = torch.zeros(1, 3, 32, 32)


@pytest.fixture(scope="module")
def network():
    return create("resnet20", 10)


@pytest.fixture(scope="module")
def share(network):
    """The energy of a format, PS and all layers shifted, as a share of the default's: by profile, weight
    bits, and integer and fraction bits of activations."""
    workload = trace(network, IMAGE)
    depths = conversion.depths(network)

    def relative(profile, weight_bits, integer_bits, fraction_bits):
        energy = ForeknownEnergy(workload, depths, load_profile(profile))

        def joules(bits, integer, fraction):
            activation = {"activation_integer_bits": integer, "activation_fraction_bits": fraction}
            return energy({"shift_depth": 20, "shift_type": "PS", "weight_bits": bits, **activation})

        return joules(weight_bits, integer_bits, fraction_bits) / joules(5, 16, 16)

    return relative


def told(pattern):
    """The numbers that the page prints where this matches, as it prints them."""
    found = re.search(pattern, PROCESSORS)
    assert found, f"the page no longer says {pattern}"
    return found.groups()


def test_the_default_spends_most_on_shifts_of_two_words(network):
    (cycles,) = told(r"a call of (\d+) cycles on two words, two thirds of the network's energy")
    profile = load_profile("cortex-m0")
    assert profile.long_shift.cycles == int(cycles)
    shifted = trace(conversion.convert(network, ShiftConfig()), IMAGE)
    energy = model_energy(shifted, profile)
    assert energy.causes_j["shifts"] / energy.energy_j == pytest.approx(2 / 3, abs=0.01)


def test_a_fast_multiplier_is_used_as_soon_as_products_fit_a_word(share):
    bits, said = told(r"from (\d+) bits on \((\d\.\d+) of the default's energy\)")
    width = int(bits)
    assert f"{share('cortex-m0', 5, 2, width - 2):.2f}" == said
    assert share("cortex-m0", 5, 2, width - 1) > 0.99, "one bit more does not fit"


def test_with_a_small_multiplier_sums_fit_layer_by_layer(share):
    said = told(r"\((\d\.\d+) at (\d+), (\d\.\d+) at (\d+), (\d\.\d+) at (\d+)\)")
    for number, width in zip(said[::2], map(int, said[1::2]), strict=True):
        assert f"{share('cortex-m0-small', 5, 2, width - 2):.2f}" == number, width


def test_a_cortex_m4_multiplies_into_two_words(share):
    *format_, wide, integer, fraction, narrow = told(
        r"(\d) weight bits and activations of (\d) \+ (\d+) take (\d\.\d+) of the default's energy there, "
        r"(\d) \+ (\d), whose sums fit one, (\d\.\d+)"
    )
    bits, *wide_format = map(int, format_)
    assert f"{share('cortex-m4', bits, *wide_format):.2f}" == wide
    assert f"{share('cortex-m4', bits, int(integer), int(fraction)):.2f}" == narrow
