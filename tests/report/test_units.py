import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouleshift.report.units import duration, percent, quantity, significant, unit_for


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234e-12, "1.23 pJ"),
        (1.234e-8, "12.3 nJ"),
        (9.9996e-7, "1000 nJ"),
        (5e-6, "5.00 µJ"),
        (0.25, "250 mJ"),
        (1e-3, "1.00 mJ"),
        (3.0, "3.00 J"),
        (None, "–"),
        (0.0, "0 J"),
    ],
)
def test_energies_get_the_prefix_that_fits(value, text):
    assert quantity(value, "J") == text


@given(st.floats(1e-14, 1e8))
def test_a_shown_number_is_within_its_digits(value):
    unit = unit_for([value], "J")
    assert value / unit.scale >= 0.999
    assert float(unit.show(value)) == pytest.approx(value / unit.scale, rel=6e-3)


def test_one_unit_for_many_follows_the_middle_and_skips_what_is_missing():
    assert unit_for([None, 0.0, float("nan"), 2e-9, 5e-9, 1e-3], "J").name == "nJ"
    assert unit_for([], "J").name == "J"


def test_other_numbers():
    assert significant(-0.0123) == "-0.0123"
    assert significant(1e-9) == "1.00e-09"
    assert percent(0.1234) == "12.3 %"
    assert percent(None) == "–"
    assert [duration(s) for s in (0.5, 59, 61, 3725, 200_000)] == [
        "0.50 s",
        "59 s",
        "1 min 1 s",
        "1 h 2 min",
        "2 d 7 h",
    ]
