"""Hypervolume boxes and expected improvement against slow oracles."""

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleshift.hpo.acquisition.ehvi import expected_improvement, free_boxes, pareto_mask, spread
from jouleshift.hpo.acquisition.parego import parego, preference
from jouleshift.hpo.acquisition.situation import Situation, probability_within


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_a_certain_candidate_gains_what_the_hypervolume_grows_by(seed, m, n):
    rng = np.random.default_rng(seed)
    front, points, reference = rng.random((n, m)), rng.random((5, m)) * 1.2, np.full(m, 0.9)
    gains = expected_improvement(points, np.zeros_like(points), free_boxes(front, reference))
    before = moocore.hypervolume(front, ref=reference) if n else 0.0
    for point, gain in zip(points, gains, strict=True):
        after = moocore.hypervolume(np.vstack([front, point]), ref=reference)
        assert gain == pytest.approx(after - before, abs=1e-12)


@pytest.mark.parametrize("sd", [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2), (0.15, 0.05, 0.0)])
def test_expected_improvement_is_the_mean_over_draws(sd):
    rng = np.random.default_rng(1)
    m = len(sd)
    front, mean, reference = rng.random((6, m)), np.full((1, m), 0.4), np.ones(m)
    boxes = free_boxes(front, reference)
    draws = mean + rng.standard_normal((40_000, m)) * np.array(sd)
    sampled = expected_improvement(draws, np.zeros_like(draws), boxes)
    closed = expected_improvement(mean, np.array([sd]), boxes)[0]
    assert closed == pytest.approx(sampled.mean(), abs=5 * sampled.std() / 200)


def test_a_certain_dominated_candidate_gains_nothing():
    boxes = free_boxes(np.array([[0.2, 0.2]]), np.ones(2))
    gains = expected_improvement(np.array([[0.3, 0.3], [0.2, 0.2], [1.5, 0.0]]), np.zeros((3, 2)), boxes)
    assert gains == pytest.approx([0.0, 0.0, 0.0])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=15))
def test_the_front_is_what_nothing_dominates_each_point_once(points):
    array = np.array(points, dtype=float)
    kept = [tuple(point) for point in array[pareto_mask(array)]]
    expected = {
        p
        for p in points
        if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)
    }
    assert sorted(kept) == sorted(expected)


def test_a_front_too_large_is_thinned_to_points_far_apart():
    along = np.linspace(0, 1, 500)
    front = np.column_stack([along, 1 - along])
    kept = spread(front, np.full(2, 1.1), 20)
    assert len(kept) == 20
    volumes = [moocore.hypervolume(points, ref=np.full(2, 1.1)) for points in (kept, front)]
    assert volumes[0] > 0.93 * volumes[1]
    assert len(spread(front, np.full(2, 0.5), 20)) == 0


@given(st.integers(2, 4), st.integers(0, 1000))
def test_preferences_lie_on_the_simplex(m, start):
    weights = np.array([preference(start + k, m) for k in range(30)])
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_any_ten_preferences_in_a_row_are_spread_evenly():
    for start in range(0, 200, 7):
        first = [preference(start + k, 2)[0] for k in range(10)]
        counts = np.histogram(first, bins=5, range=(0, 1))[0]
        assert counts.min() >= 1 and counts.max() <= 3


def test_parego_of_exact_candidates_is_the_improvement_of_the_weighted_objective():
    front = np.array([[0.2, 0.8], [0.8, 0.2]])
    situation = Situation(front, np.ones(2), np.array([np.inf, 0.9]), 5)
    better, worse, forbidden = [0.1, 0.1], [0.9, 0.9], [0.0, 0.95]
    gains = parego(situation)(np.array([better, worse, forbidden]), np.zeros((3, 2)))
    assert gains[0] > 0 and gains[1] == 0 and gains[2] == 0


def test_the_probability_of_keeping_limits():
    mean, sd = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]]), np.array([[0.0, 1], [0.0, 1], [1.0, 1]])
    found = probability_within(mean, sd, np.array([2.0, np.inf]))
    assert found == pytest.approx([1.0, 0.0, 0.5])
