import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouleshift.analysis.attainment import attainment_of, attainment_surface, progress, progress_band
from jouleshift.analysis.pareto import front, hypervolume, points_of
from jouleshift.records import Failure
from tests.analysis.synthetic import hyperband_run, record, run_of

pair = st.tuples(st.integers(0, 8).map(float), st.integers(0, 8).map(float))
fronts_of_runs = st.lists(st.lists(pair, min_size=1, max_size=5), min_size=1, max_size=5)


@given(fronts_of_runs)
def test_surfaces_are_those_of_the_definition(fronts):
    arrays = [np.array(f) for f in fronts]
    for k in range(1, len(arrays) + 1):
        surface = attainment_surface(arrays, k)
        for x in range(10):
            for y in range(10):
                attained = sum(any(a <= x and b <= y for a, b in f) for f in fronts) >= k
                assert attained == bool(((surface[:, 0] <= x) & (surface[:, 1] <= y)).any())


def test_the_median_equals_the_reference_implementation():
    rng = np.random.default_rng(0)
    fronts = [rng.random((6, 2)) for _ in range(5)]
    sets = np.repeat(np.arange(5), 6)
    expected = moocore.eaf(np.vstack(fronts), sets=sets, percentiles=[60])[:, :2]
    got = attainment_surface(fronts, 3)
    np.testing.assert_allclose(got[np.argsort(got[:, 0])], expected[np.argsort(expected[:, 0])])


def test_a_front_that_reaches_nothing_holds_the_surface_back():
    some = np.array([[0.1, 1.0]])
    assert attainment_surface([some, np.empty((0, 2))], 1).tolist() == [[0.1, 1.0]]
    assert attainment_surface([some, np.empty((0, 2))], 2).shape == (0, 2)
    with pytest.raises(ValueError, match="1 … 1"):
        attainment_surface([some], 2)


def test_one_run_attains_its_own_front():
    run = hyperband_run(150)
    found = attainment_of([run])
    expected = points_of(front(run))[::-1]
    for surface in (found.median, found.optimistic, found.pessimistic):
        np.testing.assert_allclose(surface, expected)


def test_the_band_encloses_the_median():
    found = attainment_of([hyperband_run(150, seed=s) for s in range(7)])
    corner = (1.0, 1e-5)
    volumes = [hypervolume(s, corner) for s in (found.pessimistic, found.median, found.optimistic)]
    assert volumes[0] < volumes[1] < volumes[2]


def test_progress_counts_all_epochs_but_only_full_results():
    run = run_of(
        record(1, 0.5, 5.0, bracket=-1),
        record(2, 0.1, 1.0, budget=3),
        record(3, failure=Failure("diverged", "NaN")),
        record(4, 0.2, 2.0),
    )
    got = progress(run, (1.0, 10.0))
    assert got.epochs.tolist() == [9, 12, 21]
    assert got.hypervolume == pytest.approx([0.5 * 5 / 10, 0.25, 0.8 * 8 / 10])
    assert got.at(np.array([0.0, 8.9, 9.0, 20.0, 99.0])) == pytest.approx([0, 0, 0.25, 0.25, 0.64])


def test_progress_never_falls_and_its_band_is_ordered():
    runs = [hyperband_run(120, seed=s) for s in range(4)]
    band = progress_band(runs, (1.0, 1e-5))
    assert (np.diff(band.median) >= 0).all()
    assert (band.low <= band.median).all()
    assert (band.median <= band.high).all()


def test_progress_of_nothing_is_flat():
    assert progress_band([run_of()], (1.0, 1.0)).median.tolist() == [0.0] * 120
    assert progress(run_of(), (1.0, 1.0)).at(np.array([5.0])).tolist() == [0.0]
