"""What breaks a constraint stays off the front and is told wherever the run is."""

import csv
import io

from jouleshift.analysis.digest import digest
from jouleshift.energy.carbon import place
from jouleshift.report.export import trials_csv
from jouleshift.report.sentences import infeasible_in_words
from tests.analysis.synthetic import record, run_of

TRIALS = (
    record(1, 0.30, 5e-8, bracket=-1),
    record(2, 0.08, 6e-8),
    record(3, 0.10, 4e-8),
    record(4, 0.12, 1e-8),
    record(5, 0.40, 9e-9),
)


def test_networks_that_break_a_limit_are_infeasible_however_frugal():
    view = digest([run_of(*TRIALS, constraint=["error <= 10 %"])])
    assert [p.record.trial.id for p in view.of("front")] == [2, 3]
    assert [p.record.trial.id for p in view.of("infeasible")] == [4, 5]
    assert {p.record.trial.id for p in digest([run_of(*TRIALS)]).of("front")} == {2, 3, 4, 5}


def test_the_table_and_the_closing_sentence_say_which_limit():
    view = digest([run_of(*TRIALS, constraint=["error <= 10 %", "energy <= 50 nJ"])])
    assert [p.record.trial.id for p in view.of("front")] == [3]
    table = csv.DictReader(io.StringIO(trials_csv(view, view.points, place({"region": "world"}))))
    assert {row["trial"]: row["breaks"] for row in table} == {
        "1": "error <= 10 %",
        "2": "energy <= 50 nJ",
        "3": "",
        "4": "error <= 10 %",
        "5": "error <= 10 %",
    }
    told = "3 by error <= 10 % and 1 by energy <= 50 nJ"
    assert infeasible_in_words(view) == f" Of 5 networks at full budget the constraints rule out: {told}."
