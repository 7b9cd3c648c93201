"""mo-hyperband with one part taken out or changed at a time: what is each worth?

    python -m benchmarks.search.run --methods ours-full-budget ours-by-rank --epochs 270 --out FILE.csv

Continuing from checkpoints needs no variant: every run is counted both ways, `continued` and `retrained`.
"""

from dataclasses import replace

import numpy as np

from jouleshift.hpo.acquisition.ehvi import pareto_mask
from jouleshift.hpo.acquisition.situation import Gain
from jouleshift.hpo.mo_hyperband import MoHyperband
from jouleshift.hpo.scheduler import Problem, Proposal
from jouleshift.priors import load_priors
from jouleshift.records import Outcome, Trial

VARIANTS = {
    "ours-full-budget": "benchmarks.search.variants:FullBudget",
    "ours-blind-to-budget": "benchmarks.search.variants:BlindToBudget",
    "ours-nothing-known": "benchmarks.search.variants:NothingKnown",
    "ours-by-rank": "benchmarks.search.variants:ByRank",
    "ours-price-ignored": "benchmarks.search.variants:PriceIgnored",
    "ours-price-linear": "benchmarks.search.variants:PriceLinear",
    "ours-random-candidates": "benchmarks.search.variants:RandomCandidates",
    "ours-8-first": "benchmarks.search.variants:EightFirst",
    "ours-16-first": "benchmarks.search.variants:SixteenFirst",
    "ours-short-memory": "benchmarks.search.variants:ShortMemory",
    "ours-running-ignored": "benchmarks.search.variants:RunningIgnored",
    "ours-parego-weights": "benchmarks.search.variants:ParegoWeights",
    "ours-paper-priors": "benchmarks.search.variants:PaperPriors",
}


class FullBudget(MoHyperband):
    """No rungs: every configuration is trained to the end."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, min_budget=problem.max_budget))


class BlindToBudget(MoHyperband):
    """The model takes results of all rungs for results at full budget."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._prospects._height = lambda rung: 0.0  # type: ignore[method-assign]


class NothingKnown(MoHyperband):
    """Energy, too, has to be learned from trials."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, known={}))


class PriceIgnored(MoHyperband):
    thrift = 0.0


class PriceLinear(MoHyperband):
    thrift = 1.0


class EightFirst(MoHyperband):
    initial = 8


class SixteenFirst(MoHyperband):
    initial = 16


class RunningIgnored(MoHyperband):
    """With several workers: proposals know nothing of what is running."""

    def _learn(self, rng: np.random.Generator) -> Gain:
        running, self._running = self._running, {}
        try:
            return super()._learn(rng)
        finally:
            self._running = running


class ParegoWeights(MoHyperband):
    """One weight for each proposal instead of hypervolume: `--acquisition parego`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, acquisition="parego"))


class PaperPriors(MoHyperband):
    """The fronts that the paper published are tried first: `--prior paper`; for the paper's space only."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, priors=load_priors("paper", problem.space)))


class ShortMemory(MoHyperband):
    """Before there is data, low rungs are thought to tell little of the full budget: λ is one ladder."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        for surrogate in self._prospects._surrogates:
            surrogate._prior_mean[surrogate._dimension + 1] = 0.0


class RandomCandidates(MoHyperband):
    """New configurations come from the space alone, none from the neighbourhood of the front."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        encoding = self._encoding
        encoding.mutate = lambda parents, rng: encoding.sample(len(parents), rng)  # type: ignore[method-assign]


class ByRank(MoHyperband):
    """Promotion without the model, as in asynchronous successive halving: the best third of a rung by
    non-dominated rank moves up, the highest rung first. The model still proposes what is new."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._results: dict[int, list[tuple[int, np.ndarray]]] = {budget: [] for budget in self._budgets}

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        super()._observe(trial, outcome)
        if isinstance(outcome, dict):
            values = np.array([outcome[name] for name in self.problem.objectives])
            self._results[trial.budget].append((trial.id, values))

    def _propose(self) -> Proposal | None:
        for budget in reversed(self._budgets[:-1]):
            for trial_id in self._top(budget):
                if trial_id in self._paused:
                    return self._continued(trial_id)
        paused, self._paused = self._paused, []
        proposal = super()._propose()
        self._paused = paused
        return proposal

    def _top(self, budget: int) -> list[int]:
        """The best 1/eta of a rung's results, front by front."""
        left = list(self._results[budget])
        wanted = len(left) // self.problem.eta
        chosen: list[int] = []
        while len(chosen) < wanted:
            front = pareto_mask(np.array([values for _, values in left]))
            chosen += [result[0] for result, best in zip(left, front, strict=True) if best]
            left = [result for result, best in zip(left, front, strict=True) if not best]
        return chosen[:wanted]
