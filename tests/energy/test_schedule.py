"""The greenest hour, against a slow search over every minute."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleshift.energy.carbon import intensity, with_pue
from jouleshift.energy.schedule import IntensitySeries
from jouleshift.errors import BadInput

START = datetime(2026, 5, 1, tzinfo=timezone(timedelta(hours=2)))


def series(*values):
    return IntensitySeries([START + timedelta(hours=i) for i in range(len(values))], values, "test")


@pytest.mark.parametrize("duration_s", [0.7, 9.123, 29.311, 61.7, 3599.9])
def test_of_equally_green_starts_the_first_is_best(duration_s):
    times = [START + timedelta(hours=hour) for hour in (0, 6, 12)]
    best = IntensitySeries(times, (300.1, 100.1, 200.1), "test").best_start(duration_s).best
    assert best.start == START + timedelta(hours=6)


def test_the_night_before_by_hand():
    """300 300 100 200 300: one hour is best at 2 h; two hours from 2 h on mean 150; ninety minutes 133.3."""
    day = series(300, 300, 100, 200, 300)
    assert day.best_start(3600).best.start == START + timedelta(hours=2)
    assert day.best_start(7200).best.grams_per_kwh == pytest.approx(150)
    choice = day.best_start(5400)
    assert choice.best.grams_per_kwh == pytest.approx((100 + 0.5 * 200) / 1.5)
    assert choice.first.grams_per_kwh == pytest.approx(300)
    assert choice.worst.grams_per_kwh == pytest.approx(300)
    assert choice.saving == pytest.approx(1 - choice.best.grams_per_kwh / 300)


def test_a_start_need_not_be_at_the_full_hour():
    """90 minutes that end when the clean hour ends start half an hour before it."""
    assert series(300, 200, 100, 400).best_start(5400).best.start == START + timedelta(minutes=90)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=2, max_size=8), st.integers(0, 8 * 60))
def test_no_minute_is_better_than_the_best(values, minutes):
    day = series(*values)
    if minutes > 60 * len(values):
        with pytest.raises(BadInput, match="does not fit"):
            day.best_start(60 * minutes)
        return
    choice = day.best_start(60 * minutes)

    def slow_mean(start):
        """Minute by minute, the half-minute in the middle of each."""
        if minutes == 0:
            return values[min(start // 60, len(values) - 1)]
        return sum(values[(start + m) // 60] for m in range(minutes)) / minutes

    every = [slow_mean(start) for start in range(60 * len(values) - minutes + 1)]
    assert choice.best.grams_per_kwh == pytest.approx(min(every))
    assert choice.worst.grams_per_kwh == pytest.approx(max(every))


def test_emissions_of_a_run_follow_the_hour():
    day = series(300, 100)
    assert day.intensity(START, 7200).emissions_g(3.6e6) == pytest.approx(200)


def test_a_file(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("time,g_per_kwh\n2026-05-01T00:00+02:00,310\n2026-05-01T01:00+02:00,295.5\n")
    day = IntensitySeries.load(path)
    assert day.best_start(3600).best.grams_per_kwh == 295.5
    assert day.end - day.start == timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no values"),
        ("time,grams\n2026-05-01,3\n", "g_per_kwh"),
        ("time,g_per_kwh\nyesterday,3\n2026-05-01,3\n", "line 2.*yesterday"),
        ("time,g_per_kwh\n2026-05-01,3\n2026-05-02,dirty\n", "line 3.*dirty"),
        ("time,g_per_kwh\n2026-05-01,3\n2026-05-02,-4\n", "line 3.*-4"),
        ("time,g_per_kwh\n2026-05-01,3\n", "two values"),
        ("time,g_per_kwh\n2026-05-02,3\n2026-05-01,3\n", "must rise"),
        ("time,g_per_kwh\n9999-12-30,3\n9999-12-31,3\n", "beyond the year 9999"),
        ("time,g_per_kwh\n2026-05-01T00:00Z,3\n2026-05-02,3\n", "time zone"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        IntensitySeries.load(path)
    assert "grid.csv" in str(caught.value)


def test_the_first_year_there_is_has_a_best_start(tmp_path):
    first = datetime(1, 1, 1)
    day = IntensitySeries([first, first + timedelta(hours=1)], [3, 2], "test")
    assert day.best_start(3600).best.start == first + timedelta(hours=1)


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(BadInput, match="cannot read"):
        IntensitySeries.load(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(BadInput, match="not a text file"):
        IntensitySeries.load(tmp_path / "image.csv")


def test_a_data_centre_draws_more_than_its_computers():
    germany = intensity("DEU")
    dirty = with_pue(germany, 1.5)
    assert dirty.emissions_g(1e6) == pytest.approx(1.5 * germany.emissions_g(1e6))
    assert dirty.in_words == f"{germany.in_words} × PUE 1.5"
    assert (dirty.region, dirty.year, dirty.grams_per_kwh) == (
        germany.region,
        germany.year,
        germany.grams_per_kwh,
    )
    for wrong in (0.9, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="pue"):
            with_pue(germany, wrong)
