"""Objectives and constraints by name."""

import pytest

from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.objectives import Goal, parse_constraint


@pytest.mark.parametrize(
    ("text", "objective", "limit"),
    [
        ("error <= 0.1", "error", 0.1),
        ("error<=10%", "error", 0.1),
        ("accuracy >= 0.9", "error", 0.1),
        ("accuracy ≥ 90 %", "error", 0.1),
        ("size <= 64 kB", "size_bytes", 64e3),
        ("size <= 64 KiB", "size_bytes", 65536),
        ("size_bytes <= 65536", "size_bytes", 65536),
        ("energy <= 2 uJ", "energy_j", 2e-6),
        ("energy <= 2 µJ", "energy_j", 2e-6),
        ("latency <= 5 ms", "latency_s", 5e-3),
    ],
)
def test_a_constraint_is_an_upper_limit_in_the_objectives_unit(text, objective, limit):
    found = parse_constraint(text)
    assert (found.objective, found.limit) == (objective, pytest.approx(limit, rel=1e-15))


def test_an_accuracy_just_reached_is_kept():
    assert parse_constraint("accuracy >= 0.9").met({"error": 1 - 90 / 100})
    assert parse_constraint("accuracy >= 0.9").met({"error": 10 / 100})
    assert not parse_constraint("accuracy >= 0.9").met({"error": 11 / 100})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("error < 0.1", "write it like"),
        ("", "write it like"),
        ("sise <= 3 kB", "did you mean 'size'"),
        ("accuracy <= 0.3", "lower limit"),
        ("error >= 0.3", "upper limit"),
        ("size <= 64", "give a unit"),
        ("size <= 64 parsec", "unknown unit 'parsec'"),
        ("error <= 1.2.3", "not a number"),
        ("error <= 5", "0 … 1"),
    ],
)
def test_a_constraint_that_cannot_be_meant_is_refused_in_one_line(text, words):
    with pytest.raises(BadInput, match=words) as caught:
        StudyConfig(constraint=(text,))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("error",), "at least two"),
        (("error", "error"), "at least two"),
        (("error", "enrgy_j"), "did you mean 'energy_j'"),
    ],
)
def test_wrong_objectives_are_refused(names, words):
    with pytest.raises(BadInput, match=words):
        StudyConfig(objectives=names)


def test_a_goal_reads_what_it_needs_from_a_result():
    goal = Goal.of({"objectives": ["error", "energy_j"], "constraint": ["size <= 1 kB", "size <= 2 kB"]})
    assert goal.needed == ("error", "energy_j", "size_bytes")
    assert goal.limits == {"size_bytes": 1000}
    values = {"error": 0.1, "energy_j": 1e-6, "size_bytes": 1500.0}
    assert goal.point(values) == (0.1, 1e-6)
    assert [constraint.text for constraint in goal.broken(values)] == ["size <= 1 kB"]
    assert goal.point({"error": 0.1, "energy_j": 1e-6}) is None


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("constraint", ("error <= 0.99",), ("error<=0.99",)),
        ("constraint", ("error <= 10 %",), ("error <= 0.1",)),
        ("constraint", ("error <= 57 %",), ("error <= 0.57",)),
        ("constraint", ("accuracy >= 0.9",), ("error <= 10 %",)),
        ("constraint", ("size <= 1 kB",), ("size_bytes <= 1000",)),
        ("fidelity", "epochs + train_fraction", "train_fraction+epochs"),
    ],
)
def test_the_same_written_otherwise_is_the_same_setting(name, one, other):
    assert StudyConfig(**{name: one}).differences(StudyConfig(**{name: other})) == []


def test_other_limits_and_fidelities_are_other_settings():
    assert len(StudyConfig(constraint=("error <= 0.1",)).differences(StudyConfig())) == 1
    tighter = StudyConfig(constraint=("error <= 0.05",))
    assert len(tighter.differences(StudyConfig(constraint=("error <= 0.1",)))) == 1
    assert len(StudyConfig(fidelity="train_fraction").differences(StudyConfig())) == 1


def test_the_goal_of_two_runs_is_one_however_it_was_written():
    one, other = (Goal.of({"constraint": [text]}) for text in ("error <= 10 %", "error <= 0.1"))
    assert one == other and hash(one) == hash(other)
