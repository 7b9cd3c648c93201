import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console

from jouleshift.analysis.digest import digest
from jouleshift.analysis.verification import verification_of
from jouleshift.energy.carbon import place
from jouleshift.records import Failure, Run, TrialRecord
from jouleshift.report.sentences import headline
from jouleshift.report.verified import verified_csv, verified_section, verified_table
from tests.analysis.synthetic import evaluation, record, run_of, sized


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


SMALL_GOAL = {"objectives": ["error", "size_bytes"], "constraint": ["error <= 30 %"]}


def small_run(**goal) -> Run:
    """Trial 2 is small and takes more energy; 3 is accurate and large."""
    default = sized(1, 0.3, 50_000, 4.0, bracket=-1)
    small, large = sized(2, 0.2, 30_000, 9.0), sized(3, 0.1, 60_000, 1.0)
    tests = ((default, 0.32), (small, 0.25), (large, 0.35), (default, 0.34), (small, 0.27), (large, 0.29))
    fresh = [
        replace(of, trial=replace(of.trial, id=n, seed=1000 * n), result=replace(of.result, error=test))
        for n, (of, test) in enumerate(tests, 1)
    ]
    return replace(run_of(default, small, large, **goal), verified=tuple(fresh))


def test_a_front_is_verified_in_the_objectives_and_constraints_of_the_run():
    found = verification_of([small_run(**SMALL_GOAL)])
    small, large = found.members
    assert (small.values["size_bytes"], large.values["size_bytes"]) == (30_000, 60_000)
    assert found.front == found.dominating == (small,), "the large one has 32 % on average"
    assert [c.text for c in found.broken(large)] == ["error <= 30 %"]
    usual = verification_of([small_run()])
    assert [m.found.trial.id for m in usual.front] == [2, 3]
    assert [m.found.trial.id for m in usual.dominating] == [3]


def test_headline_and_tables_of_a_verified_run_tell_the_same():
    view = digest([small_run(**SMALL_GOAL)])
    assert "1 of 2 configurations of the front dominates the default one. Trial 2" in headline(view)
    console = Console(width=120, record=True)
    console.print(verified_table(view.verification))
    table = console.export_text().splitlines()
    assert [line.split()[:2] for line in table if " %" in line] == [
        ["★", "2"], ["infeasible", "3"], ["default", "infeasible"],
    ]  # fmt: skip
    assert [line.split()[-1] for line in table if " %" in line] == ["30.0", "60.0", "50.0"], "kB"
    assert '<th scope="row">3 infeasible</th>' in verified_section(view)
    rows = csv.DictReader(io.StringIO(verified_csv(view, place({"region": "world"}))))
    assert [row["breaks"] for row in rows if row["found"] == "3"] == ["error <= 30 %", ""]


def test_several_runs_share_a_mean_default():
    one = verified(again(1, DEFAULT, 0.5, 0.4, 4.0), again(2, GOOD, 0.3, 0.2, 2.0))
    two = verified(again(1, DEFAULT, 0.3, 0.4, 4.0))
    found = verification_of([one, two])
    assert (found.default["error"], found.default["energy_j"]) == pytest.approx((0.4, 4.0))
    assert [(m.run, m.found.trial.id) for m in found.members] == [(0, 2)]
