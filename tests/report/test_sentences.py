import io
import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from jouleshift.analysis.digest import digest
from jouleshift.analysis.verification import Member, Verification
from jouleshift.objectives import Goal
from jouleshift.paper.findings import answers, front_of_runs
from jouleshift.records import CarbonIntensity, Failure
from jouleshift.report.markup import join
from jouleshift.report.sections import _tiles
from jouleshift.report.sentences import energy_stamp, front_in_words, headline, verified_headline
from jouleshift.report.tables import front_table
from jouleshift.report.verified import regression_in_words
from tests.analysis.synthetic import evaluation, record, run_of, sized

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")


def said(*records):
    return headline(digest([run_of(*records)]))


def verified(*members):
    default = Member(0, DEFAULT, (evaluation(0.4, 4e-9),))
    return verified_headline(Verification(members, (default,), 0))


DEFAULT = record(1, 0.4, 4e-9, bracket=-1)


def test_headline_of_a_front_that_dominates():
    text = said(DEFAULT, record(2, 0.3, 3e-9), record(3, 0.2, 5e-9))
    assert text == (
        "1 of the 2 networks on the front dominates the default configuration. "
        "Trial 2 reaches 70.0 % accuracy instead of 60.0 % with 25 % less energy per image."
    )


def test_headline_claims_no_saving_where_there_is_none():
    text = said(DEFAULT, record(2, 0.3, 4e-9))
    assert text.endswith("Trial 2 reaches 70.0 % accuracy instead of 60.0 % at the same energy per image.")


def test_headline_claims_no_accuracy_where_there_is_none():
    assert "reaches the same 60.0 % accuracy with 50 % less energy" in said(DEFAULT, record(2, 0.4, 2e-9))


def test_headline_says_that_nothing_dominates():
    assert said(DEFAULT, record(2, 0.5, 3e-9)).startswith("No network on the front dominates the default")
    assert said(DEFAULT, record(2, 0.5, 5e-9)).startswith(
        "Nothing dominates the default configuration: it alone"
    )


def test_a_seed_s_own_default_on_the_joint_front_is_not_counted_by_anyone():
    """It dominates the mean of the defaults, and is none of the networks that a search has found."""
    lucky = run_of(record(1, 0.3, 4e-9, bracket=-1), record(2, 0.4, 3e-9), path=Path("a"), seed=0)
    unlucky = run_of(record(1, 0.5, 4e-9, bracket=-1), record(2, 0.6, 1e-9), path=Path("b"), seed=1)
    view = digest([lucky, unlucky])
    assert len(view.comparison.front) == 3
    assert headline(view).startswith(
        "1 of the 2 other networks on the front dominates the default configuration."
    )
    text = io.StringIO()
    Console(file=text, width=80).print(front_table(view, WORLD))
    assert "1 of 2 on the front dominate the default configuration." in text.getvalue()
    assert ("1 of 2", "on the front dominate the default configuration") in told_tiles(view)
    assert answers(front_of_runs(view, WORLD))[0] == "1 of 2"


def told_tiles(view):
    return re.findall(r"<li><b>(.*?)</b><span>(.*?)</span></li>", str(join(*_tiles(view))))


def test_headline_of_runs_with_little_to_show():
    assert said() == "No trial has finished yet."
    assert said(record(1, bracket=-1)) == "No trial has finished yet."
    assert "1 failed, the last with crashed: x." in said(
        record(1, bracket=-1, failure=Failure("crashed", "x"))
    )
    assert "full 9 epochs yet" in said(record(1, 0.5, 1.0, budget=1))
    assert said(DEFAULT).startswith("Only the default configuration has finished 9 epochs")
    assert "has no result" in said(
        record(1, bracket=-1, failure=Failure("crashed", "x")), record(2, 0.5, 1.0)
    )


def test_what_looks_the_same_is_not_said_to_have_changed():
    text = said(DEFAULT, record(2, 0.39999, 3e-9))
    assert "reaches the same 60.0 % accuracy with 25 % less energy" in text
    alone = verified(Member(0, record(2, 0.3, 3e-9), (evaluation(0.5, 3e-9),)))
    assert alone.endswith(
        "the one configuration of the front, with 50.0 % accuracy at 3.00 nJ per image, does not dominate "
        "the default one (60.0 % accuracy at 4.00 nJ per image)."
    )
    ends = (Member(0, record(n, 0.3, j), (evaluation(0.1 * n, j),)) for n, j in ((5, 3e-9), (6, 2e-9)))
    assert "from 50.0 % accuracy at 3.00 nJ to 40.0 % accuracy at 2.00 nJ per image," in verified(*ends)


SMALL = (sized(1, 0.4, 50_000, 4e-9, bracket=-1), sized(2, 0.3, 23_000, 5.5e-9))


def test_headline_speaks_of_what_the_run_minimises():
    def told(*records, **goal):
        return headline(digest([run_of(*records, **goal)]))

    size = {"objectives": ["error", "size_bytes"]}
    assert told(*SMALL, **size) == (
        "The one network on the front dominates the default configuration. "
        "Trial 2 reaches 70.0 % accuracy instead of 60.0 % with 54 % less memory."
    )
    assert told(SMALL[0], **size).endswith("so far: an accuracy of 60.0 % and 50.0 kB.")
    span = (
        "On it is 1 network and the default, from 70.0 % accuracy at 90.0 kB to 60.0 % accuracy at 50.0 kB."
    )
    assert told(SMALL[0], sized(2, 0.3, 90_000, 1e-9), **size).endswith(span)
    assert told(SMALL[0], sized(2, 0.3, 50_000, 1e-9), **size).endswith("60.0 % at the same size.")
    slow, fast = (
        replace(r, result=replace(r.result, latency_s=s)) for r, s in zip(SMALL, (4e-3, 3e-3), strict=True)
    )
    assert told(slow, fast, objectives=["latency_s", "error"]).endswith("with 25 % less time per image.")


def test_verified_headline_speaks_of_what_the_run_minimises():
    default, small = (Member(0, r, (r.result,)) for r in SMALL)
    large = Member(0, r := sized(3, 0.2, 49_000, 1e-9), (r.result,))
    goal = Goal.of({"objectives": ["error", "size_bytes"], "constraint": ["size <= 30 kB"]})
    assert verified_headline(Verification((large, small), (default,), 0, goal)) == (
        "Trained again with 1 fresh seed and judged on test images, 1 of 2 configurations of the front "
        "dominates the default one. Trial 2 reaches 70.0 % accuracy instead of 60.0 % with 54 % less memory. "
        "Of 3 configurations the constraints rule out: 2 by size <= 30 kB."
    )


def test_the_number_of_fresh_seeds_is_a_range_where_configurations_differ():
    twice = Member(0, record(2, 0.3, 3e-9), (evaluation(0.3, 3e-9), evaluation(0.32, 3e-9)))
    assert verified(twice).startswith("Trained again with 1 to 2 fresh seeds and judged")
    once = Member(0, record(2, 0.3, 3e-9), (evaluation(0.3, 3e-9),))
    assert verified(once).startswith("Trained again with 1 fresh seed and judged")


def test_luck_has_a_direction_and_no_luck_is_said_to_be_none():
    def told(val, test):
        again = replace(evaluation(val, 3e-9), error=test)
        return regression_in_words(Verification((Member(0, record(2, 0.3, 3e-9), (again,)),), (), 0))

    assert "1.0 points above the one that the search saw" in told(0.31, 0.30)
    assert told(0.31, 0.30).endswith("the error on test images is 1.0 points below that.")
    assert "is the same as the one" in told(0.3, 0.3)


def test_the_figure_in_words_has_its_landmarks():
    view = digest(
        [
            run_of(
                *(DEFAULT, record(2, 0.3, 2e-9), record(3, 0.2, 9e-9), record(4, 0.9, 1.0, budget=1)),
                record(5, 0.22, 3e-9),
            )
        ]
    )
    text = front_in_words(view)
    assert "3 on the front, 0 dominated at full budget, 1 at lower budgets" in text
    assert "Most accurate: trial 3, 80.0 % accuracy at 9.00 nJ" in text
    assert "Knee: trial 5, 78.0 % accuracy at 3.00 nJ" in text, "neither end"
    assert "Most frugal: trial 2, 70.0 % accuracy at 2.00 nJ" in text


def test_the_stamp_names_source_kind_and_origin():
    text = energy_stamp(digest([run_of(DEFAULT)]))
    assert "modelled energy, computed, not measured: profile asic-45nm" in text
    assert energy_stamp(digest([run_of()])) == "no energy known yet"
