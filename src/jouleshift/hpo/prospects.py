"""What is expected of configurations at full budget: known exactly, or predicted from all results so far.

One Gaussian process (`surrogate`) for each value that has to be learned, over the results of every rung; a
value known before training is exact. A failure counts as the worst value seen, so that the search keeps away
from it, and a running trial as if it had given what is predicted of it. The processes see a bounded part of
the results, the newest of each rung, so that their time is bounded.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from moocore import pareto_rank
from numpy.typing import NDArray

from jouleshift.hpo.encoding import Encoding, Vectors
from jouleshift.hpo.known import Known
from jouleshift.hpo.scheduler import Problem
from jouleshift.hpo.surrogate import GaussianProcess, Rows
from jouleshift.records import Failure, Outcome, Trial

Array = NDArray[np.float64]

_MAX_ROWS = 400
"""Results the processes see."""
_CLEARLY = 0.1
"""Share of the range of results."""


class Prospects:
    """Trials as arrays, and predictions. Values are in the order of `problem.needed`, q of them."""

    def __init__(self, problem: Problem, encoding: Encoding, known: Known, budgets: Sequence[int]) -> None:
        self.problem = problem
        self.encoding = encoding
        self._known_values = known.values
        self.budgets = budgets
        self.learned = [j for j, name in enumerate(problem.needed) if name not in problem.known]
        self._surrogates = [GaussianProcess(encoding.groups) for _ in self.learned]
        self.vectors: dict[int, Array] = {}
        self.known: dict[int, Array] = {}
        self._features: dict[int, Array] = {}
        self._rungs: dict[int, int] = {}
        self._values: dict[int, Array | None] = {}
        self._told: list[list[int]] = [[] for _ in budgets]
        self.data: list[int] = []
        """The trials that the processes have seen."""
        sample = encoding.sample(256, np.random.default_rng(problem.seed))
        self.worst = self._known_values(sample).max(axis=0)
        self.worst[self.learned] = -np.inf
        self._best = np.full(len(problem.needed), np.inf)

    def rung(self, trial: Trial) -> int:
        return self.budgets.index(trial.budget)

    def begin(self, trial: Trial) -> None:
        """Take in a trial that was asked for."""
        self._rungs[trial.id] = self.rung(trial)
        if trial.parent is not None:
            for table in (self.vectors, self.known, self._features):
                table[trial.id] = table[trial.parent]
            return
        vector = self.encoding.vector(trial.config)
        self.vectors[trial.id] = vector
        self._features[trial.id] = self.encoding.features(vector[None])[0]
        self.known[trial.id] = self._known_values(vector[None])[0]

    def end(self, trial: Trial, outcome: Outcome) -> Array | None:
        """Take in a result and return it as an array (q,), None for a failure."""
        self._told[self._rungs[trial.id]].append(trial.id)
        if isinstance(outcome, Failure):
            self._values[trial.id] = None
            return None
        values = np.array([outcome[name] for name in self.problem.needed])
        self._values[trial.id] = values
        self.worst = np.maximum(self.worst, values)
        self._best = np.minimum(self._best, values)
        return values

    def learn(self, running: Sequence[int], rng: np.random.Generator) -> None:
        """Fit to what was told; then count running trials as told, with what is expected of them."""
        self.data = self._recent()
        rows, pending = self._rows(self.data), self._rows(running)
        for surrogate, j in zip(self._surrogates, self.learned, strict=True):
            targets = self._targets(j)
            surrogate.fit(rows, targets, rng)
            if running:
                expected, _ = surrogate.predict(pending)
                surrogate.condition(rows + pending, np.concatenate([targets, expected]))

    def refit(self, rng: np.random.Generator) -> None:
        """What `learn` leaves behind: the parameters of the processes, where they are due."""
        self.data = self._recent()
        if not self._surrogates[0].is_due(len(self.data)):
            return
        rows = self._rows(self.data)
        for surrogate, j in zip(self._surrogates, self.learned, strict=True):
            surrogate.fit(rows, self._targets(j), rng)

    def ranks(self, ids: Sequence[int], m: int) -> NDArray[np.int64]:
        """Non-dominated rank of each trial's own result among those of its rung, in the first m values."""
        rungs = np.array([self._rungs[i] for i in ids])
        values = np.array([self._values[i] for i in ids], dtype=float)[:, :m]
        ranks = np.zeros(len(ids), dtype=np.int64)
        for rung in np.unique(rungs):
            ranks[rungs == rung] = pareto_rank(values[rungs == rung])
        return ranks

    def predict(self, vectors: Vectors, known: Array) -> tuple[Array, Array]:
        """All values at full budget: mean and standard deviation, (n, q) each."""
        return self._predicted(self.encoding.features(vectors), known)

    def of_trials(self, ids: Sequence[int]) -> tuple[Array, Array]:
        """The same for configurations of trials begun."""
        return self._predicted(self._stacked(self._features, ids), self._stacked(self.known, ids))

    def is_full(self, trial_id: int) -> bool:
        return self._rungs[trial_id] == len(self.budgets) - 1

    @property
    def reference(self) -> Array:
        """What has to be beaten for a volume: the worst value seen, and clearly where values are learned."""
        reference = self.worst + 1e-9 * np.abs(self.worst)
        reference[self.learned] -= _CLEARLY * (self.worst - self._best)[self.learned]
        return reference

    def _predicted(self, features: Array, known: Array) -> tuple[Array, Array]:
        rows = Rows(features, np.full(len(features), self._height(len(self.budgets) - 1)))
        mean, sd = known.copy(), np.zeros_like(known)
        for surrogate, j in zip(self._surrogates, self.learned, strict=True):
            mean[:, j], sd[:, j] = surrogate.predict(rows)
        return mean, sd

    def _recent(self) -> list[int]:
        """The newest results of each rung; what one rung does not use of its share goes to those below."""
        chosen: list[int] = []
        for rung in range(len(self.budgets) - 1, -1, -1):
            share = (_MAX_ROWS - len(chosen)) // (rung + 1)
            chosen += self._told[rung][-share:]
        return chosen

    def _targets(self, column: int) -> Array:
        values = [self._values[i] for i in self.data]
        return np.array([self.worst[column] if v is None else v[column] for v in values])

    def _height(self, rung: int) -> float:
        """The rung as the surrogate sees it, 0 … 1."""
        return rung / max(1, len(self.budgets) - 1)

    def _rows(self, ids: Sequence[int]) -> Rows:
        heights = [self._height(self._rungs[i]) for i in ids]
        return Rows(self._stacked(self._features, ids), np.array(heights))

    def _stacked(self, table: Mapping[int, Array], ids: Sequence[int]) -> Array:
        """Rows of a table, (n, …), in an array of their own."""
        if ids:
            return np.array([table[i] for i in ids])
        return np.empty((0, len(next(iter(table.values())))))
