"""The printed values, and that they and our presets belong together."""

from dataclasses import replace

import pytest

from jouleshift.analysis.digest import digest
from jouleshift.errors import BadInput
from jouleshift.paper.experiments import EXPERIMENTS, chosen
from jouleshift.paper.findings import answers, dominating, findings, front_of_runs
from jouleshift.paper.published import Column, Front, published_front, statements
from jouleshift.paper.studies import STUDIES
from jouleshift.records import CarbonIntensity
from jouleshift.space import TABLE_1, Choice, build_space
from tests.analysis.synthetic import record, run_of

DEPTH = {"resnet20": 20, "mobilenetv2": 53, "googlenet": 65}
TABLES = [study for study in STUDIES.values() if study.table]


def test_every_figure_and_table_has_a_name():
    figures = {f"figure-1{panel}" for panel in "abcdef"} | {f"figure-{n}" for n in range(2, 6)}
    assert set(EXPERIMENTS) == figures | {f"table-{n}" for n in range(1, 8)}
    assert len(chosen("figure-1")) == 6
    assert len(chosen("all")) == 17
    with pytest.raises(BadInput, match="did you mean 'figure-1f'"):
        chosen("figure1f")


def test_printed_values_are_those_of_the_appendix():
    table = published_front(2)
    assert [c.name for c in table.columns] == ["124", "116", "71", "38", "82", "28", "49"]
    assert (table.default.error, table.default.emissions_g) == (0.3518, 7.5162e-4)
    frugal = table.columns[-1]
    assert (frugal.config["learning_rate"], frugal.config["activation_fraction_bits"]) == (0.0929, 8)
    assert frugal.emissions_g == 6.7444e-4
    assert [len(published_front(n).columns) for n in range(2, 8)] == [7, 4, 5, 4, 4, 7]
    assert published_front(4).default.config["shift_depth"] == 22
    assert published_front(7).columns[4].config["optimizer"] == "RAdam"


@pytest.mark.parametrize("study", TABLES, ids=lambda s: s.name)
def test_every_printed_configuration_lies_in_the_space_that_we_search(study):
    space = build_space(DEPTH[study.model], study.space)
    table = published_front(study.table)
    default = space.get_default_configuration()
    for name, value in table.default.config.items():
        assert default[name] == value
    for column in (*table.columns, table.default):
        for name, value in column.config.items():
            entry = space[name]
            if isinstance(TABLE_1[name], Choice):
                assert value in entry.choices
            elif hasattr(entry, "lower"):
                assert entry.lower <= value <= entry.upper
            else:
                assert value == entry.value


def test_scale_shrinks_epochs_images_and_trials_but_keeps_three_rungs():
    study = STUDIES["resnet20-cifar10"]
    full, small = study.scaled(1.0), study.scaled(0.1)
    assert (full["min_budget"], full["max_budget"], full["trials"]) == (5, 45, 150)
    assert "limit_train" not in full
    assert (small["min_budget"], small["max_budget"], small["trials"]) == (1, 9, 20)
    assert (small["limit_train"], small["limit_val"]) == (4000, 1000)
    caltech = STUDIES["resnet20-caltech101"]
    assert [caltech.scaled(scale)["limit_train"] for scale in (0.1, 0.01)] == [2020, 1010]
    assert STUDIES["googlenet-cifar10"].scaled(0.05)["precision"] == "auto"
    assert [caltech.scaled(scale)["image_size"] for scale in (1.0, 0.1, 0.05)] == [64, 32, 16]
    assert [study.scaled(scale)["space"] for scale in (0.1, 0.05)] == [{}, {"batch_size": 32}]


def test_the_findings_of_table_2_by_hand():
    """Of seven, four emit less than the default's 7.5162e-4 g; all seven have less error."""
    table = published_front(2)
    assert [c.name for c in dominating(table)] == ["38", "82", "28", "49"]
    answers = {f.question: f.published for f in findings(table, Front((), None), ["modelled"])}
    assert answers["networks on the front that dominate the default"] == "4 of 7"
    assert answers["most error gained by one that dominates it"] == "23.5 points"
    assert answers["emissions saved by those"] == "6 % to 10 %"
    assert answers["shift depth on the front"] == "median 1, 1 … 3"
    assert answers["activation fraction bits on the front"] == "median 27, 8 … 32"
    assert answers["shift types on the front"] == "6 PS, 1 Q"


def test_the_papers_claim_of_20_points_and_60_percent_is_what_its_tables_print():
    saved = [
        1 - column.emissions_g / table.default.emissions_g
        for table in map(published_front, range(2, 8))
        for column in dominating(table)
    ]
    assert max(saved) > 0.6
    assert all(dominating(published_front(n)) for n in range(2, 8)), "the default is on no front"


def test_an_empty_front_has_no_answers_but_no_error():
    empty = findings(Front((), Column("default", {}, 0.5, 1.0)), Front((), None), ["deployed"])
    assert {f.published for f in empty} == {"–"}


TRUE_OF_OURS = ("smaller", "modelled")


def front_with(depth, fraction, bits, error=0.5, emissions=0.4):
    """One network with these hyperparameters, beside a default of error 0.6 that emits 1 g."""
    config = {
        "shift_depth": depth,
        "activation_fraction_bits": fraction,
        "weight_bits": bits,
        "shift_type": "PS",
    }
    return Front((Column("a", config, error, emissions),), Column("default", {}, 0.6, 1.0))


def explained(published, ours, conditions=TRUE_OF_OURS):
    return [f.question.partition(" on the")[0] for f in findings(published, ours, conditions) if f.why]


def test_a_difference_is_explained_only_in_the_direction_that_the_reason_is_for():
    few, many = front_with(1, 4, 2, 0.4, 0.8), front_with(20, 30, 8, 0.5, 0.3)
    assert explained(few, many) == [
        "most error gained by one that dominates it",
        "emissions saved by those",
        "shift depth",
    ]
    assert explained(many, few) == ["activation fraction bits", "weight bits"]
    assert explained(few, few) == []
    assert explained(published_front(2), front_with(20, 2, 5.5)) == [
        "most error gained by one that dominates it",
        "emissions saved by those",
        "shift depth",
        "activation fraction bits",
    ], "weight bits are more than published, and memory does not explain that"


def test_no_answer_has_no_explanation():
    nothing = Front((), Column("default", {}, 0.6, 1.0))
    assert {f.ours for f in findings(published_front(2), nothing, TRUE_OF_OURS)} == {"–"}
    assert explained(published_front(2), nothing) == []
    loses = front_with(20, 2, 2, error=0.7)  # on the front, but dominates nothing
    assert explained(published_front(2), loses) == [
        "networks",
        "shift depth",
        "activation fraction bits",
        "weight bits",
    ]


def test_a_reason_needs_what_it_speaks_of_to_be_true():
    one, other = front_with(1, 30, 8), front_with(20, 2, 2, 0.55, 0.2)
    assert explained(one, other, ["simulated"]) == []
    assert explained(one, other, ["smaller"]) == ["most error gained by one that dominates it"]


def test_statements_belong_to_figures():
    assert len(statements("figure-1f")) == len(statements("figure-1")) == 2
    assert statements("table-2") == []
    assert all(statements(f"figure-{n}") for n in range(1, 6))


def test_our_columns_are_compared_by_joules_also_where_a_kilowatt_hour_emits_nothing():
    view = digest([run_of(record(1, 0.4, 4.0, bracket=-1), record(2, 0.3, 3.0), record(3, 0.2, 5.0))])
    nothing = CarbonIntensity(0.0, "nowhere", 2023, "made up")
    front = front_of_runs(view, nothing)
    assert [column.emissions_g for column in front.columns] == [0.0, 0.0]
    assert answers(front)[:3] == ["1 of 2", "10.0 points", "25 %"]
    assert answers(front) == answers(front_of_runs(view, replace(nothing, grams_per_kwh=450.0)))
