"""Random search at full budget: the yardstick that every cleverer scheduler has to beat.

Configurations are drawn from the space (its priors and log scales included), each once, and trained to the
full budget, so no result is ever thrown away by an early judgement. Those that are known to break a
constraint are drawn again.
"""

from collections.abc import Mapping
from copy import deepcopy

from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler, plain
from jouleshift.records import Outcome, Trial, Value

_TRIES = 1000
"""Draws in a row without a new configuration after which the space counts as exhausted."""
_RULED_OUT = 20_000
"""New ones in a row that break a known limit after which none is thought to keep it."""


class RandomSearch(Scheduler):
    """Every configuration at most once; `ask` returns None when a finite space is exhausted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._space = deepcopy(problem.space)
        self._space.seed(problem.seed)
        self._seen = {_key(plain(self._space.get_default_configuration()))}

    def _propose(self) -> Proposal | None:
        repeats = ruled_out = 0
        while repeats < _TRIES and ruled_out < _RULED_OUT:
            config = plain(self._space.sample_configuration())
            if _key(config) in self._seen:
                repeats += 1
                continue
            self._seen.add(_key(config))
            if not self.problem.is_ruled_out(config):
                return Proposal(config, self.problem.max_budget)
            repeats, ruled_out = 0, ruled_out + 1
        return None

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        """Random search learns nothing."""


def _key(config: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """Equal for equal values: ConfigSpace's hash of a configuration tells how it was made as well."""
    return tuple(sorted(config.items()))
