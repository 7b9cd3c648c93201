import numpy as np
import pytest
from benchmarks.energy import spreads
from benchmarks.energy.spreads import Sample, summarise


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(spreads, "_RESAMPLES", 200)


def networks(group, energies, rates):
    return [Sample(group, rate, (energy, energy), 0.5) for energy, rate in zip(energies, rates, strict=True)]


def test_a_spread_that_the_rate_makes_is_seen_and_told_from_the_repeats():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.uniform(np.log(0.001), np.log(0.1), 60))
    noise = rng.normal(0, 0.01, 60)
    found = summarise(
        networks("rates", 1 + 0.05 * np.log(rates), rates) + networks("repeats", 1 + noise, [0.1] * 60)
    )
    assert found.spread_repeats == pytest.approx(0.01, rel=0.25)
    assert found.ratio.low > 3
    assert found.with_rate.value == pytest.approx(1)
    assert found.passes.value == pytest.approx(1)


def test_noise_alone_gives_a_ratio_of_one_and_passes_that_do_not_agree():
    rng = np.random.default_rng(1)
    draw = lambda group: [Sample(group, r, tuple(1 + rng.normal(0, 0.02, 2)), r) for r in rng.random(80)]  # noqa: E731
    found = summarise(draw("rates") + draw("repeats"))
    assert found.ratio.low < 1 < found.ratio.high
    assert found.passes.low < 0 < found.passes.high
    assert found.with_rate.low < 0 < found.with_rate.high


def test_where_nothing_varies_there_is_no_ratio_and_no_correlation():
    same = networks("rates", [2.0] * 9, range(1, 10)) + networks("repeats", [2.0] * 9, range(1, 10))
    found = summarise(same)
    assert found.spread_rates == found.spread_repeats == 0
    assert str(found).split(" | ")[2:] == ["–"] * 4
