"""Laws of power-of-two rounding, and equality with oracles that look at every level."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jouleshift.quant import power_of_two as po2

kinds = st.sampled_from(["Q", "PS"])
bits = st.integers(2, 8)
floats = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
offsets = st.integers(-12, 12)


def levels_of(kind, weight_bits, offset=0):
    """Every value a weight can have, from the paper's definition, as Python floats."""
    lowest = -(2 ** (weight_bits - 1) - 1) if kind == "Q" else -(2 ** (weight_bits - 1) - 2)
    powers = [2.0 ** max(e + offset, -126) for e in range(lowest, 1)]
    return sorted({*powers, *(-p for p in powers), *([0.0] if kind == "PS" else [])})


def nearest_value(weight, kind, weight_bits, offset=0):
    """The nearest level by search; a tie goes to the larger magnitude."""
    same_sign = [v for v in levels_of(kind, weight_bits, offset) if v * math.copysign(1, weight) >= 0]
    return min(same_sign, key=lambda level: (abs(level - weight), -abs(level)))


def nearest_exponent(weight, weight_bits):
    """DeepShift's Q in double precision."""
    if weight == 0:
        return 0.0
    exponent = round(math.log2(abs(weight)))
    return math.copysign(2.0 ** min(max(exponent, 1 - 2 ** (weight_bits - 1), -126), 0), weight)


def one(weight, kind, weight_bits, offset=0, **options):
    tensor = torch.tensor([weight], dtype=torch.float32)
    return po2.round_to_powers(tensor, po2.grid(kind, weight_bits), 2.0**offset, **options).item()


@given(floats, kinds, bits, offsets)
def test_value_rounding_takes_the_nearest_level(weight, kind, weight_bits, offset):
    assert one(weight, kind, weight_bits, offset) == nearest_value(weight, kind, weight_bits, offset)


@given(floats, bits)
def test_log_rounding_takes_the_nearest_exponent(weight, weight_bits):
    assert one(weight, "Q", weight_bits, domain="log") == nearest_exponent(weight, weight_bits)


@pytest.mark.parametrize("exponent", range(-14, 1))
def test_log_rounding_at_the_float_next_to_sqrt_two(exponent):
    below = torch.tensor([0x3FB504F3], dtype=torch.int32).view(torch.float32).item() * 2.0**exponent
    above = torch.tensor([0x3FB504F4], dtype=torch.int32).view(torch.float32).item() * 2.0**exponent
    assert below / 2.0**exponent < math.sqrt(2) < above / 2.0**exponent
    assert one(below, "Q", 5, domain="log") == 2.0**exponent
    assert one(above, "Q", 5, domain="log") == min(2.0 ** (exponent + 1), 1.0)


@given(st.lists(floats, min_size=1, max_size=20), kinds, bits, offsets, st.sampled_from(["value", "log"]))
def test_laws(weights, kind, weight_bits, offset, domain):
    weight = torch.tensor(weights, dtype=torch.float32)
    grid, top = po2.grid(kind, weight_bits), 2.0**offset
    rounded = po2.round_to_powers(weight, grid, top, domain)
    zero = {0.0} if domain == "log" and 0.0 in weights else set()
    assert set(rounded.tolist()) <= set(levels_of(kind, weight_bits, offset)) | zero
    assert torch.equal(po2.round_to_powers(rounded, grid, top, domain), rounded)
    assert torch.equal(po2.round_to_powers(-weight, grid, top, domain), -rounded)
    ascending = sorted(weights, key=lambda w: (w, math.copysign(1, w)))  # −0 before 0
    in_order = po2.round_to_powers(torch.tensor(ascending, dtype=torch.float32), grid, top, domain)
    assert bool((in_order.diff() >= 0).all())


@given(kinds, bits)
def test_what_is_not_a_finite_number(kind, weight_bits):
    assert math.isnan(one(math.nan, kind, weight_bits))
    assert one(math.inf, kind, weight_bits) == 1.0
    assert one(-math.inf, kind, weight_bits, offset=-3) == -(2.0**-3)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_zero(sign):
    assert one(sign * 0.0, "PS", 4) == 0.0
    assert one(sign * 0.0, "Q", 4) == sign * 2.0**-7


@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("domain", ["value", "log"])
def test_stochastic_rounding_is_unbiased(kind, domain):
    torch.manual_seed(0)
    n = 40_000
    for weight in (0.75, 0.9, 0.5, 0.13, -0.3, 0.27):
        copies = torch.full((n,), weight)
        drawn = po2.round_to_powers(copies, po2.grid(kind, 5), 1.0, domain, stochastic=True).double()
        if domain == "log":
            drawn, weight = drawn.abs().log2(), math.log2(abs(weight))
        standard_error = drawn.std().item() / math.sqrt(n)
        assert abs(drawn.mean().item() - weight) <= 5 * standard_error + 1e-9
        assert drawn.unique().numel() <= 2


def test_stochastic_rounding_towards_zero_is_unbiased_where_there_is_a_zero():
    torch.manual_seed(0)
    smallest = 2.0**-6
    drawn = po2.round_to_powers(torch.full((40_000,), 0.3 * smallest), po2.grid("PS", 4), stochastic=True)
    assert set(drawn.unique().tolist()) == {0.0, smallest}
    assert abs((drawn > 0).double().mean().item() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 40_000)


def test_the_gradient_passes_straight_through():
    weight = torch.tensor([0.3, -4.0, 0.0, 1e-9], requires_grad=True)
    gradient = torch.tensor([1.0, 2.0, 3.0, 4.0])
    po2.quantise(weight, po2.grid("PS", 3)).backward(gradient)
    assert torch.equal(weight.grad, gradient)


@given(st.lists(st.lists(floats, min_size=3, max_size=3), min_size=1, max_size=5))
def test_top_level_is_the_power_nearest_to_the_largest(rows):
    tops = po2.top_level(torch.tensor(rows, dtype=torch.float32).abs().amax(1))
    for row, top in zip(rows, tops.tolist(), strict=True):
        largest = max(max(map(abs, row)), 2.0**-126)
        exponent = math.frexp(largest)[1] - 1
        assert top == (2.0**exponent if largest < 1.5 * 2.0**exponent else 2.0 ** (exponent + 1))


def test_top_level_of_what_is_not_finite_is_finite():
    tops = po2.top_level(torch.tensor([math.nan, math.inf, 0.0]))
    assert bool(tops.isfinite().all()) and bool((tops > 0).all())


@given(st.lists(floats, min_size=1, max_size=20), kinds, bits, offsets)
def test_decompose_and_compose_are_exact(weights, kind, weight_bits, offset):
    tensor = torch.tensor(weights, dtype=torch.float32)
    quantised = po2.round_to_powers(tensor, po2.grid(kind, weight_bits), 2.0**offset)
    signs, exponents = po2.decompose(quantised)
    assert signs.dtype == exponents.dtype == torch.int8
    assert torch.equal(po2.compose(signs, exponents), quantised)
    assert quantised.tolist() == [s * 2.0**e for s, e in zip(signs.tolist(), exponents.tolist(), strict=True)]


@pytest.mark.parametrize("broken", [math.nan, math.inf, 0.3])
def test_decompose_refuses_what_is_no_power(broken):
    with pytest.raises(ValueError, match="no powers of two"):
        po2.decompose(torch.tensor([1.0, broken]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_keep_their_dtype(dtype):
    weight = torch.tensor([0.7, -0.1, 0.0], dtype=dtype)
    assert po2.round_to_powers(weight, po2.grid("PS", 4)).tolist() == [0.5, -0.125, 0.0]
    assert po2.round_to_powers(weight, po2.grid("PS", 4)).dtype == dtype
