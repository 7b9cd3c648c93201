"""Modelled energy: layers computed by hand, physics as inequalities, and profiles that are wrong."""

from math import log2

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from jouleshift.config import ShiftConfig
from jouleshift.energy.hardware import CAUSES, load_profile, model_energy, profile_names
from jouleshift.energy.workload import trace
from jouleshift.errors import BadInput
from tests.energy.energy_networks import FakeShiftConv2d, FakeShiftLinear, ResNet20, images

ASIC = load_profile("asic-45nm")
PICO = 1e-12


def energy_j(net, x=None) -> float:
    return model_energy(trace(net, images() if x is None else x), ASIC).energy_j


def small(**settings) -> ShiftConfig:
    return ShiftConfig(**{"weight_bits": 4, "act_integer_bits": 3, "act_fraction_bits": 5, **settings})


def test_a_shift_convolution_by_hand():
    """FakeShiftConv2d(3 → 8, 3 × 3, padded, no bias), PS 4 bits, activations 3 + 5, on 3 × 16 × 16."""
    net = FakeShiftConv2d(3, 8, 3, padding=1, bias=False, config=small(kind="PS"))
    causes = model_energy(trace(net, images(16)), ASIC).causes_j
    macs = 8 * 16 * 16 * 3 * 3 * 3  # outputs × products each = 55,296
    assert causes["shifts"] == pytest.approx(macs * 0.0009 * 8 * min(log2(8), 4 - 1) * PICO)
    # accumulator: 8 bits + span 2^3 − 2 = 6 + ceil(log2 27) = 5: 19 bits
    assert causes["adds"] == pytest.approx(macs * 0.003125 * 19 * PICO)
    assert causes["multiplications"] == 0
    # 216 weights of 4 bits = 108 bytes: SRAM of 8 KiB, 10 pJ for 64 bits
    assert causes["weight_memory"] == pytest.approx(216 * 4 * 10 / 64 * PICO)
    # reads 768 words of 8 bits, writes 2048: 2,816 bytes alive, SRAM of 8 KiB
    assert causes["activation_memory"] == pytest.approx((768 + 2048) * 8 * 10 / 64 * PICO)
    # no batch norm: only the rounding addition of each output
    assert causes["requantisation"] == pytest.approx(2048 * 0.003125 * 19 * PICO)


def test_a_folded_batch_norm_by_hand():
    """Q at 5 bits, 4 + 5, 2 → 4 channels, 1 × 1, on 2 × 4 × 4: requantising multiplies 25 by 16 bits."""
    config = ShiftConfig(kind="Q", weight_bits=5, act_integer_bits=4, act_fraction_bits=5)
    net = nn.Sequential(FakeShiftConv2d(2, 4, 1, bias=False, config=config), nn.BatchNorm2d(4))
    causes = model_energy(trace(net, images(4, 2)), ASIC).causes_j
    accumulator = 9 + 15 + 1
    multiply = 0.002995 * accumulator * 16 + 0.00104 * (accumulator * 16) ** 0.5
    assert causes["requantisation"] == pytest.approx(64 * (0.003125 * accumulator + multiply) * PICO)
    # 8 weights of 5 bits, 4 multipliers and 4 biases of 32
    assert causes["weight_memory"] == pytest.approx((8 * 5 + 8 * 32) * 10 / 64 * PICO)
    # log2 9 = 3.17 stages are fewer than the 4 that 5 weight bits address
    assert causes["shifts"] == pytest.approx(128 * 0.0009 * 9 * log2(9) * PICO)


def test_a_float_linear_layer_by_hand():
    """nn.Linear(64, 10): multiplies and adds at float32, one addition more for the bias."""
    causes = model_energy(trace(nn.Linear(64, 10), torch.rand(1, 64)), ASIC).causes_j
    assert causes["multiplications"] == pytest.approx(640 * 3.7 * PICO)
    assert causes["adds"] == pytest.approx(640 * 0.9 * PICO)
    assert causes["requantisation"] == pytest.approx(10 * 0.9 * PICO)
    assert causes["weight_memory"] == pytest.approx(650 * 32 * 10 / 64 * PICO)
    assert causes["activation_memory"] == pytest.approx(74 * 32 * 10 / 64 * PICO)
    assert causes["shifts"] == 0


def test_an_int8_layer_by_hand():
    """The 8-bit baseline of a 1 × 1 convolution without bias: products of 16 bits, 6 bits of carry for 64."""
    workload = trace(nn.Conv2d(64, 2, 1, bias=False), images(2, 64)).as_integer(8)
    causes = model_energy(workload, ASIC).causes_j
    macs = 2 * 2 * 2 * 64
    assert causes["multiplications"] == pytest.approx(macs * 0.2 * PICO, rel=1e-3)
    assert causes["adds"] == pytest.approx(macs * 0.003125 * 22 * PICO)


@pytest.mark.parametrize(
    ("cost", "published"),
    [
        (ASIC.add.pj(32), 0.1),
        (ASIC.multiply.pj(8, 8), 0.2),
        (ASIC.multiply.pj(32, 32), 3.1),
        (ASIC.shift.pj(8, 8), 0.024),
        (ASIC.shift.pj(16, 8), 0.057),
        (ASIC.shift.pj(32, 8), 0.13),
    ],
)
def test_formulas_pass_through_the_published_figures(cost, published):
    assert cost == pytest.approx(published, rel=0.11)


def test_memory_is_the_smallest_that_holds_and_overflow_pays_alone():
    assert ASIC.memory_pj_per_bit(8 * 8192) == 10 / 64
    assert ASIC.memory_pj_per_bit(8 * 8192 + 1) == 20 / 64
    assert ASIC.memory_pj_per_bit(8 * 2**20) == 100 / 64
    assert ASIC.memory_pj_per_bit(2 * 8 * 2**20) == pytest.approx((100 + 1300) / 2 / 64)


@given(st.integers(1, 2**27), st.integers(1, 2**20))
def test_more_bits_never_cost_less_memory(held, more):
    assert (held + more) * ASIC.memory_pj_per_bit(held + more) > held * ASIC.memory_pj_per_bit(held)


def test_the_reading_carries_source_and_causes():
    reading = model_energy(trace(ResNet20(small()), images()), ASIC).reading()
    assert (reading.source, reading.kind) == ("modelled", "modelled")
    assert "asic-45nm" in reading.origin
    assert tuple(reading.components) == CAUSES
    assert sum(reading.components.values()) == pytest.approx(reading.energy_j)


def test_layers_and_causes_add_up_to_the_same():
    breakdown = model_energy(trace(ResNet20(small()), images()), ASIC)
    by_layer = sum(sum(causes.values()) for causes in breakdown.layers_j.values())
    assert by_layer == pytest.approx(breakdown.energy_j)
    assert next(iter(breakdown.layers_j)) == "stem"


def test_uncounted_work_is_flagged():
    class Net(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real

    assert model_energy(trace(Net(), images(4)), ASIC).reading().flags == ("uncounted-operations",)


# Physics: how each hyperparameter of the lower half of Table 1 moves the energy.


@pytest.fixture(scope="module")
def resnet():
    """Joules of a ResNet20 by shift configuration and depth, each traced once."""
    known = {}

    def joules(depth=None, **settings):
        key = (depth, *sorted(settings.items()))
        if key not in known:
            known[key] = energy_j(ResNet20(small(**settings), depth))
        return known[key]

    return joules


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_more_weight_bits_cost_more(resnet, kind):
    series = [resnet(kind=kind, weight_bits=bits) for bits in range(2, 9)]
    assert series == sorted(series)
    assert len(set(series)) == len(series)


@pytest.mark.parametrize("name", ["act_integer_bits", "act_fraction_bits"])
def test_more_activation_bits_cost_more(resnet, name):
    series = [resnet(**{name: bits}) for bits in (2, 3, 5, 8, 16, 32)]
    assert series == sorted(series)
    assert len(set(series)) == len(series)


def test_each_converted_layer_saves(resnet):
    series = [resnet(depth=depth) for depth in range(21)]
    assert series == sorted(series, reverse=True)
    assert len(set(series)) == len(series)


def test_rounding_is_free_and_the_type_nearly_so(resnet):
    """Rounding happens in training. Q differs from PS by one exponent, so by one bit of accumulator."""
    assert resnet(rounding="stochastic") == resnet(rounding="deterministic")
    q, ps = resnet(kind="Q"), resnet(kind="PS")
    assert ps < q < 1.02 * ps


def test_shift_int8_and_float_stand_in_order():
    """Fully shifted 4-bit ResNet20 with 8-bit activations: far below float, below int8, the default between.

    Against int8 the compute gains a factor of 3, not 28, and memory dilutes it further.
    """
    workload = trace(ResNet20(small()), images())
    shift = model_energy(workload, ASIC)
    int8, floating = model_energy(workload.as_integer(8), ASIC), model_energy(workload.as_float(), ASIC)
    assert shift.energy_j < floating.energy_j / 10
    assert shift.energy_j < int8.energy_j < floating.energy_j / 5

    def compute(breakdown):
        return sum(breakdown.causes_j[c] for c in ("shifts", "adds", "multiplications"))

    assert 2 < compute(int8) / compute(shift) < 4
    default = energy_j(ResNet20(ShiftConfig()))
    assert shift.energy_j < default < floating.energy_j


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 32), st.integers(2, 32), st.sampled_from(["Q", "PS"]))
def test_one_bit_more_never_saves(weight_bits, integer_bits, fraction_bits, kind):
    def joules(w, i, f):
        config = ShiftConfig(kind=kind, weight_bits=w, act_integer_bits=i, act_fraction_bits=f)
        return energy_j(FakeShiftLinear(32, 8, config=config), torch.rand(1, 32))

    here = joules(weight_bits, integer_bits, fraction_bits)
    assert joules(min(weight_bits + 1, 8), integer_bits, fraction_bits) >= here
    assert joules(weight_bits, min(integer_bits + 1, 32), fraction_bits) >= here
    assert joules(weight_bits, integer_bits, min(fraction_bits + 1, 32)) >= here


# Profiles.


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("asic-45nm", "shift < int8 < float"),
        ("fpga-zc706", "shift < int8 < float"),
        ("cortex-m0", "shift = int8 < float"),
        ("cortex-m0-small", "shift < int8 < float"),
        ("cortex-m4", "shift = int8 < float"),
    ],
)
def test_where_shifts_pay(name, verdict):
    """A fully shifted ResNet20 (PS, 4 bits, activations 3 + 5) against int8 and float on each target."""
    workload = trace(ResNet20(small()), images())
    profile = load_profile(name)
    shift, int8, floating = (
        model_energy(w, profile) for w in (workload, workload.as_integer(8), workload.as_float())
    )
    equal = shift.energy_j == pytest.approx(int8.energy_j, rel=0.01)
    assert equal or shift.energy_j < int8.energy_j
    assert int8.energy_j < floating.energy_j
    assert verdict == f"shift {'=' if equal else '<'} int8 < float"
    assert ("shifts-multiplied" in shift.flags) == equal


def test_every_profile_is_in_the_verdicts():
    assert profile_names() == ["asic-45nm", "cortex-m0", "cortex-m0-small", "cortex-m4", "fpga-zc706"]


@pytest.mark.parametrize("name", profile_names())
@pytest.mark.parametrize("setting", ["weight_bits", "act_integer_bits", "act_fraction_bits"])
def test_no_profile_rewards_more_bits(name, setting):
    """On processors costs move in steps of words, so more bits may be free, but never a gain."""
    profile = load_profile(name)
    net = {bits: FakeShiftConv2d(16, 8, 3, config=small(**{setting: bits})) for bits in range(2, 9)}
    series = [model_energy(trace(net[bits], images(8, 16)), profile).energy_j for bits in net]
    assert series == sorted(series)


def test_a_shift_layer_on_a_processor_by_hand():
    """Cortex-M0 with the small multiplier, 930 pJ a cycle: PS 4 bits, 3 + 5, 64 → 2 channels, 1 × 1, 2 × 2.

    Sums of 8 + 6 + 6 = 20 bits fit a word. A product: load the activation 2, an eighth of a word of weights
    0.25, unpack 3, shift 1, sign 2, add 1, loop 1.
    """
    net = FakeShiftConv2d(64, 2, 1, bias=False, config=small(kind="PS"))
    causes = model_energy(trace(net, images(2, 64)), load_profile("cortex-m0-small")).causes_j
    macs, cycle = 2 * 4 * 64, 930 * PICO
    assert causes["shifts"] == pytest.approx(macs * 3 * cycle)
    assert causes["adds"] == pytest.approx(macs * 2 * cycle)
    assert causes["multiplications"] == 0
    assert causes["weight_memory"] == pytest.approx(macs * 3.25 * cycle)
    assert causes["activation_memory"] == pytest.approx((macs * 2 + 8 * 2) * cycle)
    assert causes["requantisation"] == pytest.approx(8 * 1 * cycle)


def test_an_int8_layer_on_a_processor_by_hand():
    """The same in int8 on a Cortex-M4: SMLAD 0.5, loop 0.2, and loads shared by two sums: 0.25 + 0.375."""
    workload = trace(nn.Conv2d(64, 2, 1, bias=False), images(2, 64)).as_integer(8)
    causes = model_energy(workload, load_profile("cortex-m4")).causes_j
    macs, cycle = 2 * 4 * 64, 174 * PICO
    assert causes["multiplications"] == pytest.approx(macs * 0.5 * cycle)
    assert causes["adds"] == pytest.approx(macs * 0.2 * cycle)
    assert causes["weight_memory"] == pytest.approx(macs * (8 / 32 + 0.5) / 2 * cycle)
    assert causes["activation_memory"] == pytest.approx((macs / 2 / 2 + 8) * cycle)


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'asic-45nm'"):
        load_profile("asic-45")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("per_bit: 0.003125", "per_bit: -1", "add.per_bit"),
        ("name: asic-45nm", "nme: asic-45nm", "name is missing"),
        ("float_add: {pj: 0.9, source", "float_add: {pj: 0.9, sorce", "float_add"),
        ("requantisation_bits: 16", "requantisation_bits: many", "requantisation_bits"),
        ("bytes: 8192", "bytes: 65536", "small to large"),
        ("float_add: {pj: 0.9, source: ", "float_add: {pj: 0.9, source: '  '} # ", "float_add.source"),
        ("multiply:\n", "multiply:\n  exponent: 1e9\n", "multiply.exponent"),
        ("name: asic-45nm", "name: [", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_field(tmp_path, old, new, message):
    from importlib.resources import files

    text = (files("jouleshift.energy") / "profiles" / "asic-45nm.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BadInput, match=message) as caught:
        load_profile(path)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none\.yaml"):
        load_profile(tmp_path / "none.yaml")
