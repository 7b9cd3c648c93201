import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouleshift.analysis import pareto
from jouleshift.errors import BadInput
from jouleshift.records import Failure, TrialRecord
from tests.analysis.synthetic import evaluation, hyperband_run, record, run_of, sized

coordinate = st.integers(0, 6).map(float)
clouds = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(coordinate, min_size=m, max_size=m), min_size=1, max_size=12)
)
pairs = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=10)


def slow_non_dominated(points):
    def beats(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(
            x < y for x, y in zip(a, b, strict=True)
        )

    return [not any(beats(other, p) for other in points) for p in points]


@given(clouds)
def test_mask_equals_the_definition(points):
    assert pareto.non_dominated(points).tolist() == slow_non_dominated(points)


@given(pairs)
def test_every_point_is_on_the_front_or_dominated_by_it(points):
    values = np.array(points)
    mask = pareto.non_dominated(values)
    assert mask.any()
    for point in values[~mask]:
        assert pareto.dominates(values[mask], point).any()


def test_values_that_are_not_finite_are_never_on_a_front():
    points = [[math.nan, 0.0], [0.0, math.inf], [-math.inf, 0.0], [1.0, 1.0]]
    assert pareto.non_dominated(points).tolist() == [False, False, False, True]
    assert pareto.non_dominated(np.empty((0, 2))).tolist() == []


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([], 0.0),
        ([[1, 1]], 4.0),
        ([[0, 2], [2, 0]], 3 * 1 + 1 * 3 - 1),
        ([[1, 1], [1, 1], [2, 2]], 4.0),
        ([[3, 0]], 0.0),
        ([[5, -5]], 0.0),
    ],
)
def test_hypervolume_in_closed_form(points, area):
    assert pareto.hypervolume(points, (3, 3)) == pytest.approx(area)


@given(pairs)
def test_hypervolume_counts_unit_cells(points):
    corner = 7
    cells = sum(
        any(x <= i and y <= j for x, y in points) for i in range(corner) for j in range(corner)
    )  # fmt: skip
    assert pareto.hypervolume(points, (corner, corner)) == pytest.approx(cells)


def test_hypervolume_in_three_dimensions():
    assert pareto.hypervolume([[0, 0, 1], [0, 1, 0]], (2, 2, 2)) == pytest.approx(
        2 * 2 * 1 + 2 * 1 * 2 - 2 * 1 * 1
    )


def test_knee_is_the_bulge_whatever_the_units():
    points = np.array([[0.0, 10.0], [0.1, 2.0], [0.5, 1.0], [1.0, 0.0]])
    assert pareto.knee(points) == 1
    assert pareto.knee(points * [100, 1e-9]) == 1


def test_knee_of_few_or_equal_points():
    assert pareto.knee([[0.3, 5.0]]) == 0
    assert pareto.knee([[0.9, 1.0], [0.1, 2.0]]) == 1
    assert pareto.knee([[0.2, 1.0], [0.2, 1.0]]) == 0


def test_knee_of_three_objectives_is_furthest_below_the_plane_through_the_extremes():
    points = np.array([[0, 0.9, 0.9], [0.9, 0, 0.2], [1, 0.25, 0], [0.45, 0.45, 0.45], [0.3, 0.3, 1]])
    assert pareto.knee(points) == 3, "row 1 has the smallest sum and is an extreme: on the plane"
    assert pareto.knee(points * [100, 1e-9, 3]) == 3


def test_knee_has_the_smallest_sum_where_the_extremes_span_no_plane():
    assert pareto.knee([[0, 0, 1], [1, 0.4, 0.3], [0.2, 1, 0]]) == 0, "best in two objectives"
    assert pareto.knee([[0, 5, 1], [0.4, 5, 0.2], [1, 5, 0]]) == 1, "the second is the same everywhere"


@given(pairs)
def test_knee_of_two_objectives_has_the_smallest_sum(points):
    members = np.array(points)[pareto.non_dominated(points)]
    spread = np.ptp(members, axis=0)
    total = ((members - members.min(axis=0)) / np.where(spread > 0, spread, 1)).sum(axis=1).round(12)
    assert pareto.knee(members) == np.lexsort((members[:, 0], total))[0]


def test_front_takes_only_finished_trials_of_the_full_budget():
    run = run_of(
        record(1, 0.4, 4.0, bracket=-1),
        record(2, 0.01, 0.1, budget=3),
        record(3, 0.3, 3.0),
        record(4, 0.2, 5.0),
        record(5, 0.3, 4.0),
        record(6, failure=Failure("crashed", "gone")),
        record(7),
        record(8, math.nan, 0.0),
        TrialRecord(record(9).trial, evaluation(0.0, None)),
    )
    assert [r.trial.id for r in pareto.front(run)] == [4, 3]


def test_front_of_any_trials_passes_over_those_without_a_result():
    records = [record(1, failure=Failure("crashed", "x")), record(2), record(3, 0.2, 1.0)]
    assert [r.trial.id for r in pareto.front_of(records)] == [3]
    assert pareto.front_of(records[:2]) == ()


def test_equal_networks_all_stay_in_the_order_of_proposal():
    run = run_of(record(1, 0.2, 1.0), record(2, 0.2, 1.0), record(3, 0.1, 2.0))
    assert [r.trial.id for r in pareto.front(run)] == [3, 1, 2]


def test_front_of_a_run_equals_the_definition():
    run = hyperband_run(200, seed=3)
    full = pareto.complete(run)
    mask = slow_non_dominated(pareto.points_of(full).tolist())
    assert {r.trial.id for r in pareto.front(run)} == {
        r.trial.id for r, keep in zip(full, mask, strict=True) if keep
    }


def test_full_budget_is_the_configured_one_or_the_largest_seen():
    assert pareto.full_budget(run_of(record(1, 0.5, 1.0, budget=3))) == 9
    run = run_of(record(1, 0.5, 1.0, budget=3), max_budget=None)
    assert pareto.full_budget(run) == 3
    assert pareto.full_budget(run_of(max_budget=None)) == 0


def test_energies_of_different_sources_share_no_front():
    other = TrialRecord(record(2).trial, evaluation(0.1, 1.0, source="simulated"))
    with pytest.raises(BadInput, match="modelled and simulated cannot share a front"):
        pareto.front(run_of(record(1, 0.2, 2.0), other))


def test_comparison_counts_who_dominates_and_by_how_much():
    run = run_of(
        record(1, 0.40, 10.0, bracket=-1),
        record(2, 0.10, 20.0),
        record(3, 0.20, 9.0),
        record(4, 0.30, 5.0),
        record(5, 0.90, 1.0),
    )
    comparison = pareto.compare(run)
    assert [r.trial.id for r in comparison.front] == [2, 3, 4, 5]
    assert [r.trial.id for r in comparison.dominating] == [3, 4]
    assert comparison.both is not None
    assert comparison.both.trial.id == 4  # 0.10 × 0.5 is more than 0.20 × 0.1
    assert comparison.gains(comparison.front[0]) == pytest.approx((0.30, -1.0))


def test_an_equal_result_does_not_dominate_the_default():
    comparison = pareto.compare(run_of(record(1, 0.4, 1.0, bracket=-1), record(2, 0.4, 1.0)))
    assert comparison.dominating == ()
    assert comparison.both is None


def test_the_best_of_those_that_dominate_has_the_largest_gains_in_the_objectives_of_the_run():
    trials = (
        sized(1, 0.40, 50_000, 4.0, bracket=-1),
        sized(2, 0.38, 10_000, 9.0),
        sized(3, 0.35, 45_000, 1.0),
    )
    small = pareto.compare(run_of(*trials, objectives=["size_bytes", "error"])).both
    assert small is not None and small.trial.id == 2, "0.02 × 80 % of the size, and more energy"
    usual = pareto.compare(run_of(*trials)).both
    assert usual is not None and usual.trial.id == 3


def test_better_in_one_and_equal_in_the_other_dominates():
    comparison = pareto.compare(run_of(record(1, 0.4, 1.0, bracket=-1), record(2, 0.3, 1.0)))
    assert comparison.both is not None
    assert comparison.both.trial.id == 2


@pytest.mark.parametrize(
    "records",
    [
        (),
        (record(1, bracket=-1),),
        (record(1, bracket=-1, failure=Failure("diverged", "NaN")), record(2, 0.5, 1.0)),
    ],
)
def test_without_a_default_result_there_is_no_comparison(records):
    comparison = pareto.compare(run_of(*records))
    assert comparison.default is None
    assert comparison.dominating == ()


def test_reference_point_is_error_one_and_the_largest_energy_of_all_runs():
    runs = [run_of(record(1, 0.5, 3.0, budget=1)), run_of(record(1, 0.5, 7.0), record(2))]
    assert pareto.reference_point(runs) == (1.0, 7.0)
    assert pareto.reference_point([run_of(record(1))]) is None
