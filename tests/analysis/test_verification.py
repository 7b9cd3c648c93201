from dataclasses import replace

import pytest

from jouleshift.analysis.verification import verification_of
from jouleshift.records import Failure, Run, TrialRecord
from tests.analysis.synthetic import evaluation, record, run_of


def again(number: int, of: TrialRecord, test: float, val: float, energy_j: float) -> TrialRecord:
    """A verification of a trial: `test` is its error, `val` the last one of its curve."""
    result = replace(evaluation(val, energy_j), error=test)
    return TrialRecord(replace(of.trial, id=number, seed=1000 * number), result, 1.0)


DEFAULT = record(1, 0.40, 4.0, bracket=-1)
GOOD = record(2, 0.20, 2.0, config={"weight_bits": 2})
FRUGAL = record(3, 0.35, 1.0, config={"weight_bits": 3})


def verified(*records: TrialRecord) -> Run:
    return replace(run_of(DEFAULT, GOOD, FRUGAL), verified=records)


def test_nothing_verified_is_none():
    assert verification_of([verified()]) is None
    running = TrialRecord(replace(GOOD.trial, seed=1000))
    assert verification_of([verified(running)]) is None


def test_means_luck_and_the_other_images_add_up():
    found = verification_of(
        [
            verified(
                again(1, DEFAULT, 0.46, 0.42, 4.0),
                again(2, GOOD, 0.30, 0.24, 2.0),
                again(3, FRUGAL, 0.50, 0.41, 1.0),
                again(4, GOOD, 0.26, 0.22, 2.0),
                again(5, FRUGAL, 0.52, 0.43, 1.0),
            )
        ]
    )
    good, frugal = found.members
    assert (good.error, good.error_sd, good.energy_j) == pytest.approx((0.28, 0.02828427, 2.0))
    assert (found.default["error"], found.default["energy_j"]) == pytest.approx((0.46, 4.0))
    assert found.dominating == (good,), "the frugal one lost its lead: 0.51 against 0.46"
    assert found.front == (good, frugal)
    assert found.seed_luck == pytest.approx((0.03 + 0.07) / 2)
    assert found.other_images == pytest.approx((0.05 + 0.09) / 2)
    total = sum(m.error - m.found_error for m in found.members) / 2
    assert found.seed_luck + found.other_images == pytest.approx(total)


def test_a_member_that_lost_is_off_the_verified_front_and_failures_are_counted():
    failed = TrialRecord(replace(FRUGAL.trial, seed=7), Failure("crashed", "x"), 1.0)
    found = verification_of(
        [verified(again(1, DEFAULT, 0.2, 0.2, 1.0), again(2, GOOD, 0.3, 0.2, 2.0), failed)]
    )
    assert [m.found.trial.id for m in found.front] == [1]
    assert found.dominating == ()
    assert found.failed == 1
    assert [m.found.trial.id for m in found.members] == [2]


def test_several_runs_share_a_mean_default():
    one = verified(again(1, DEFAULT, 0.5, 0.4, 4.0), again(2, GOOD, 0.3, 0.2, 2.0))
    two = verified(again(1, DEFAULT, 0.3, 0.4, 4.0))
    found = verification_of([one, two])
    assert (found.default["error"], found.default["energy_j"]) == pytest.approx((0.4, 4.0))
    assert [(m.run, m.found.trial.id) for m in found.members] == [(0, 2)]
