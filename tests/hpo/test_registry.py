"""Schedulers by name, and what is refused."""

import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    Integer,
)

import jouleshift as js
from jouleshift.errors import BadInput
from jouleshift.hpo.random import RandomSearch
from jouleshift.hpo.scheduler import Proposal, plain

from .toy import Driver, mixed_space

DEFAULT = plain(mixed_space().get_default_configuration())


class FullGrid(RandomSearch):
    """A scheduler from outside the package."""

    def _propose(self) -> Proposal | None:
        return None


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("parego-hyperbnd", {}, ["'parego-hyperbnd'", "did you mean 'parego-hyperband'"]),
        ("random", {"objectives": ("error",)}, ["at least two"]),
        ("random", {"objectives": ("error", "error")}, ["at least two"]),
        ("random", {"min_budget": 10, "max_budget": 9}, ["10 … 9"]),
        ("random", {"min_budget": 0}, ["min_budget"]),
        ("random", {"eta": 1}, ["eta 1"]),
        ("random", {"known": {"energy": len}}, ["'energy'", "did you mean 'energy_j'"]),
        ("random", {"seed": -1}, ["seed -1", "whole number"]),
        ("random", {"seed": 2**32}, ["seed 4294967296"]),
        ("random", {"seed": 1.0}, ["seed 1.0"]),
        ("random", {"seed": None}, ["seed None"]),
        ("random", {"constraints": {"error": float("nan")}}, ["'error'", "nan"]),
        ("random", {"constraints": {"error": "0.1"}}, ["'error'", "'0.1'"]),
        ("mo-hyperband", {"acquisition": "evhi"}, ["'evhi'", "did you mean 'ehvi'"]),
        ("mo-hyperband", {"priors": [{**DEFAULT, "weight_bits": 99}]}, ["prior 1", "weight_bits"]),
        ("mo-hyperband", {"priors": [DEFAULT, {"weight_bits": 3}]}, ["prior 2"]),
        ("mo-hyperband", {"priors": [{**DEFAULT, "colour": "red"}]}, ["prior 1", "colour"]),
        ("no.such.module:Thing", {}, ["no.such.module:Thing", "cannot be loaded"]),
        ("jouleshift.hpo.random:Nothing", {}, ["cannot be loaded"]),
        ("jouleshift.errors:BadInput", {}, ["not a subclass"]),
    ],
)
def test_wrong_settings_are_refused_in_one_line(name, settings, words):
    with pytest.raises(BadInput) as caught:
        js.make_scheduler(name, mixed_space(), **settings)
    for word in words:
        assert word in str(caught.value)


def test_a_scheduler_from_elsewhere_is_found_by_its_path():
    scheduler = js.make_scheduler(f"{__name__}:FullGrid", mixed_space())
    assert len(Driver(scheduler).run(10).trials) == 1


def test_random_search_trains_the_default_once_where_a_condition_or_clause_is_in_the_space():
    forbidding, conditional = ConfigurationSpace(), ConfigurationSpace()
    kind, bits = Categorical("kind", ["Q", "PS"]), Integer("bits", (1, 5))
    forbidding.add(kind, bits)
    forbidding.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "Q"), ForbiddenEqualsClause(bits, 2)))
    conditional.add(kind, bits, EqualsCondition(bits, kind, "Q"))
    for space, size in ((forbidding, 9), (conditional, 6)):
        trials = Driver(js.make_scheduler("random", space)).run(30).trials
        assert len(trials) == len({repr(trial.config) for trial in trials}) == size
