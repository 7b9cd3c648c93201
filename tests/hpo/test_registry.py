"""Schedulers by name, and what is refused."""

import pytest

import jouleshift as js
from jouleshift.errors import BadInput
from jouleshift.hpo.random import RandomSearch
from jouleshift.hpo.scheduler import Proposal

from .toy import Driver, mixed_space


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
