"""mo-hyperband with one part taken out or changed at a time: what is each worth?

    python -m benchmarks.search.run --methods mo-hyperband ours-full-budget ours-by-rank --epochs 270 --out FILE.csv

Continuing from checkpoints needs no variant: every run is counted both ways, `continued` and `retrained`.
"""

from dataclasses import replace

import numpy as np

from jouleshift.hpo.acquisition import pareto_mask
from jouleshift.hpo.mo_hyperband import MoHyperband
from jouleshift.hpo.scheduler import Problem, Proposal

VARIANTS = {
    "ours-full-budget": "benchmarks.search.variants:FullBudget",
    "ours-blind-to-budget": "benchmarks.search.variants:BlindToBudget",
    "ours-nothing-known": "benchmarks.search.variants:NothingKnown",
    "ours-by-rank": "benchmarks.search.variants:ByRank",
    "ours-price-ignored": "benchmarks.search.variants:PriceIgnored",
    "ours-price-linear": "benchmarks.search.variants:PriceLinear",
    "ours-random-candidates": "benchmarks.search.variants:RandomCandidates",
    "ours-16-first": "benchmarks.search.variants:SixteenFirst",
}


class FullBudget(MoHyperband):
    """No rungs: every configuration is trained to the end."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, min_budget=problem.max_budget))


class BlindToBudget(MoHyperband):
    """The model takes results of all rungs for results at full budget."""

    def _height(self, rung: int) -> float:
        return 0.0


class NothingKnown(MoHyperband):
    """Energy, too, has to be learned from trials."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, known={}))


class PriceIgnored(MoHyperband):
    thrift = 0.0


class PriceLinear(MoHyperband):
    thrift = 1.0


class SixteenFirst(MoHyperband):
    initial = 16


class RandomCandidates(MoHyperband):
    """New configurations come from the space alone, none from the neighbourhood of the front."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        encoding = self._encoding
        encoding.mutate = lambda parents, rng: encoding.sample(len(parents), rng)  # type: ignore[method-assign]


class ByRank(MoHyperband):
    """Promotion without the model, as in asynchronous successive halving: the best third of a rung by
    non-dominated rank moves up, the highest rung first. The model still proposes what is new."""

    def _propose(self) -> Proposal | None:
        for rung in range(len(self._budgets) - 2, -1, -1):
            for trial_id in self._top(rung):
                if trial_id in self._paused:
                    self._paused.remove(trial_id)
                    return self._continued(trial_id)
        paused, self._paused = self._paused, []
        proposal = super()._propose()
        self._paused = paused
        return proposal

    def _top(self, rung: int) -> list[int]:
        """The best 1/eta of a rung's results, front by front."""
        left = [i for i in self._told[rung] if self._values[i] is not None]
        wanted = len(left) // self.problem.eta
        chosen: list[int] = []
        while len(chosen) < wanted:
            front = pareto_mask(np.array([self._values[i] for i in left]))
            chosen += [i for i, best in zip(left, front, strict=True) if best]
            left = [i for i, best in zip(left, front, strict=True) if not best]
        return chosen[:wanted]
