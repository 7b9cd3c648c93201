"""Fixed point against exact rational arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jouleshift.quant.fixed_point import FixedPoint, quantise, round_to_fixed

formats = st.builds(FixedPoint, st.integers(1, 32), st.integers(1, 32), st.booleans())
floats = st.floats(-(2.0**120), 2.0**120, width=32)
near = st.floats(-10, 10, width=32)


def oracle(value, fmt, floor):
    """The format's nearest number as an exact fraction (floor: the next below), saturated."""
    steps = Fraction(value) * 2**fmt.fraction_bits
    number = math.floor(steps) if floor else round(steps)  # Python rounds half to even
    bits = fmt.integer_bits + fmt.fraction_bits
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if fmt.signed else (0, 2**bits - 1)
    return Fraction(min(max(number, low), high), 2**fmt.fraction_bits)


def float32_below(number):
    """The largest float32 not above a positive fraction."""
    nearest = torch.tensor(float(number), dtype=torch.float32)
    above = Fraction(nearest.item()) > number
    return (torch.nextafter(nearest, torch.tensor(0.0)) if above else nearest).item()


@given(st.one_of(floats, near), formats, st.booleans())
def test_equals_rational_arithmetic(value, fmt, floor):
    result = round_to_fixed(torch.tensor([value], dtype=torch.float32), fmt, floor).item()
    expected = oracle(value, fmt, floor)
    assert result == (float32_below(expected) if expected > 0 else float(expected))


@given(st.lists(st.one_of(floats, near), min_size=1, max_size=20), formats, st.booleans())
def test_laws(values, fmt, floor):
    tensor = torch.tensor(values, dtype=torch.float32)
    rounded = round_to_fixed(tensor, fmt, floor)
    assert torch.equal(round_to_fixed(rounded, fmt, floor), rounded)
    assert bool((rounded >= fmt.lowest).all()) and bool((rounded.double() <= fmt.highest).all())
    in_order = round_to_fixed(tensor.sort().values, fmt, floor)
    assert bool((in_order.diff() >= 0).all())
    for value in rounded.tolist():
        assert (Fraction(value) * 2**fmt.fraction_bits).denominator == 1


@given(near, st.integers(1, 31), st.integers(1, 32))
def test_half_to_even_is_odd_inside_the_range(value, integer_bits, fraction_bits):
    fmt = FixedPoint(integer_bits, fraction_bits)
    if abs(value) <= fmt.highest:
        pair = round_to_fixed(torch.tensor([value, -value], dtype=torch.float32), fmt).tolist()
        assert pair[0] == -pair[1]


def test_the_range_of_one_integer_bit():
    fmt = FixedPoint(1, 2)
    values = torch.tensor([-5.0, -1.0, -0.3, 0.0, 0.3, 0.75, 5.0])
    assert round_to_fixed(values, fmt).tolist() == [-1.0, -1.0, -0.25, 0.0, 0.25, 0.75, 0.75]


def test_ties_go_to_even_and_floor_goes_down():
    values = torch.tensor([0.25, 0.75, -0.25, -0.75])
    assert round_to_fixed(values, FixedPoint(4, 1)).tolist() == [0.0, 1.0, 0.0, -1.0]
    assert round_to_fixed(values, FixedPoint(4, 1), floor=True).tolist() == [0.0, 0.5, -0.5, -1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_what_is_not_finite(dtype):
    for fmt in (FixedPoint(3, 5), FixedPoint(16, 16), FixedPoint(1, 32, signed=False)):
        values = torch.tensor([math.nan, math.inf, -math.inf], dtype=dtype)
        nan, high, low = round_to_fixed(values, fmt).tolist()
        assert math.isnan(nan)
        assert low == fmt.lowest
        assert high <= fmt.highest


@given(near, st.sampled_from([torch.bfloat16, torch.float16]), formats)
def test_half_precision_stays_in_range_and_on_grid(value, dtype, fmt):
    result = round_to_fixed(torch.tensor([value], dtype=dtype), fmt)
    assert result.dtype == dtype
    assert fmt.lowest <= result.item() <= fmt.highest
    assert (Fraction(result.item()) * 2**fmt.fraction_bits).denominator == 1


def test_fractions_finer_than_float32_change_nothing():
    values = torch.randn(1000) + 3
    values = values[values > 2.0**-8]
    assert torch.equal(round_to_fixed(values, FixedPoint(32, 32)), values)


def test_the_gradient_passes_straight_through():
    values = torch.tensor([0.3, 99.0, -99.0], requires_grad=True)
    quantise(values, FixedPoint(3, 5)).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert values.grad.tolist() == [1.0, 2.0, 3.0]
    assert values.tolist() == pytest.approx([0.3, 99.0, -99.0])
