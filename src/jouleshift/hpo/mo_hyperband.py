"""mo-hyperband: at each step the epochs go where they buy most hypervolume, to a new trial or a paused one.

Every trial starts at the lowest rung and is paused at each rung above it until it is worth continuing; a
continued trial names its parent, whose checkpoint it takes up, so it costs only the epochs in between.
Hyperband decides by quota who moves up, and most of its epochs go to trials that cannot reach the front.
Here a proposal is the best of two kinds by one criterion:

    expected hypervolume improvement at full budget / (epochs still missing there) ^ ½

- a paused trial is predicted from its own results and everyone else's (`surrogate`);
- a new configuration is the best among random ones and mutations of the predicted front.

With the root, a trial that is nearly done goes before an equal one that has just begun, and yet a trial of
little promise is not finished for being cheap. The improvement is in closed form (`acquisition`), exact in
the objectives that are known before training: they cost nothing, so all candidates are screened with their
true energy. The reference point is the worst value seen in each objective, so a network at chance level adds
nothing, however cheap it is, and is never continued for being an extreme.

Running trials count as if they had given what is predicted of them, so several workers are not sent to the
same place, and none ever waits. Every proposal draws from a generator of its own, seeded by (seed, number of
the proposal): a replayed journal gives the same proposals. What a proposal looks at is bounded, so that its
time is.
"""

import numpy as np
from numpy.typing import NDArray

from jouleshift.errors import BadInput
from jouleshift.hpo.acquisition import expected_improvement, free_boxes, pareto_mask
from jouleshift.hpo.brackets import ladder
from jouleshift.hpo.encoding import Encoding, Vectors
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.hpo.surrogate import GaussianProcess, Rows
from jouleshift.records import Failure, Outcome, Trial

Array = NDArray[np.float64]

_RANDOM, _MUTATED = 500, 700
"""Candidates screened for a proposal."""
_MAX_ROWS = 400
"""Results the surrogate sees."""
_MAX_PAUSED = 300
"""Paused trials looked at; those with the least promise are given up."""
_TRIES = 100


class MoHyperband(Scheduler):
    """Multi-objective search by expected hypervolume improvement per epoch; `ask` never waits for a running
    trial."""

    initial = 8
    """Random configurations before the surrogate proposes."""
    thrift = 0.5
    """Exponent of the missing epochs."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._budgets = ladder(problem.min_budget, problem.max_budget, problem.eta)
        self._encoding = Encoding(problem.space)
        self._learned = [j for j, name in enumerate(problem.objectives) if name not in problem.known]
        if not self._learned:
            raise BadInput(
                "mo-hyperband: every objective is known before training, there is nothing to learn"
            )
        self._surrogates = [GaussianProcess(self._encoding.groups) for _ in self._learned]
        self._trials: dict[int, Trial] = {}
        self._vectors: dict[int, Array] = {}
        self._known: dict[int, Array] = {}
        self._values: dict[int, Array | None] = {}
        self._told: list[list[int]] = [[] for _ in self._budgets]
        self._paused: list[int] = []
        self._front = np.empty((0, len(problem.objectives)))
        self._seen: set[bytes] = set()
        self._started = 0
        sample = self._encoding.sample(256, np.random.default_rng(problem.seed))
        worst = self._known_values(sample).max(axis=0)
        worst[self._learned] = -np.inf
        self._worst = worst

    def _propose(self) -> Proposal | None:
        rng = np.random.default_rng([self.problem.seed, self._asked])
        if self._started < self.initial or not np.isfinite(self._worst).all():
            return self._first_legal(self._encoding.sample(_TRIES, rng))
        self._learn(rng)
        candidates, gain = self._candidates(rng)
        new = self._first_legal(candidates)
        price = (self._budgets[-1] - np.array([self._trials[i].budget for i in self._paused])) ** self.thrift
        worth = self._gain_of(self._paused) / price
        order = np.argsort(-worth, kind="stable")[:_MAX_PAUSED]
        self._paused = [self._paused[k] for k in order]
        if self._paused and (new is None or worth[order[0]] > gain / self._budgets[-1] ** self.thrift):
            return self._continued(self._paused.pop(0))
        return new

    def _continued(self, trial_id: int) -> Proposal:
        trial = self._trials[trial_id]
        rung = self._rung(trial) + 1
        return Proposal(trial.config, self._budgets[rung], 0, rung, trial_id)

    def _rung(self, trial: Trial) -> int:
        return self._budgets.index(trial.budget)

    def _on_asked(self, trial: Trial) -> None:
        self._trials[trial.id] = trial
        if trial.parent is not None:
            self._vectors[trial.id] = self._vectors[trial.parent]
            self._known[trial.id] = self._known[trial.parent]
            return
        vector = self._encoding.vector(trial.config)
        self._vectors[trial.id] = vector
        self._seen.add(vector.tobytes())
        self._known[trial.id] = self._known_values(vector[None])[0]
        self._started += trial.bracket >= 0  # the default configuration is in no bracket

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        rung = self._rung(trial)
        self._told[rung].append(trial.id)
        if isinstance(outcome, Failure):
            self._values[trial.id] = None
            return
        values = np.array([outcome[name] for name in self.problem.objectives])
        self._values[trial.id] = values
        self._worst = np.maximum(self._worst, values)
        if rung < len(self._budgets) - 1:
            self._paused.append(trial.id)
        else:
            front = np.vstack([self._front, values])
            self._front = front[pareto_mask(front)]

    def _learn(self, rng: np.random.Generator) -> None:
        """Surrogates and front from what was told, then from what running trials are expected to give."""
        self._data = self._recent()
        rows = self._rows(self._data)
        running = [trial.id for trial in self._running.values()]
        pending = self._rows(running)
        expected = np.stack([self._known[i] for i in running]) if running else self._front[:0]
        for surrogate, j in zip(self._surrogates, self._learned, strict=True):
            targets = self._targets(self._data, j)
            surrogate.fit(rows, targets, rng)
            if running:
                expected[:, j], _ = surrogate.predict(pending)
                surrogate.condition(rows + pending, np.concatenate([targets, expected[:, j]]))
        finishing = expected[pending.rungs == self._height(len(self._budgets) - 1)]
        self._boxes = free_boxes(np.vstack([self._front, finishing]), self._reference())

    def _reference(self) -> Array:
        return self._worst + 1e-9 * np.abs(self._worst)

    def _recent(self) -> list[int]:
        """The newest results of each rung; what one rung does not use of its share goes to those below."""
        chosen: list[int] = []
        for rung in range(len(self._budgets) - 1, -1, -1):
            share = (_MAX_ROWS - len(chosen)) // (rung + 1)
            chosen += self._told[rung][-share:]
        return chosen

    def _targets(self, ids: list[int], objective: int) -> Array:
        """Values of one objective; a failure is shown as the worst value, to keep away from it."""
        values = [self._values[i] for i in ids]
        return np.array([self._worst[objective] if v is None else v[objective] for v in values])

    def _height(self, rung: int) -> float:
        """The rung as the surrogate sees it, 0 … 1."""
        return rung / max(1, len(self._budgets) - 1)

    def _rows(self, ids: list[int]) -> Rows:
        vectors = np.array([self._vectors[i] for i in ids]).reshape(len(ids), len(self._encoding.names))
        heights = [self._height(self._rung(self._trials[i])) for i in ids]
        return Rows(self._encoding.features(vectors), np.array(heights))

    def _known_values(self, vectors: Vectors) -> Array:
        """(n, m): known objectives of configurations, 0 for the others."""
        values = np.zeros((len(vectors), len(self.problem.objectives)))
        if self.problem.known:
            configs = self._encoding.values(vectors)
            for j, name in enumerate(self.problem.objectives):
                if name in self.problem.known:
                    values[:, j] = [self.problem.known[name](config) for config in configs]
        return values

    def _predict(self, vectors: Vectors, known: Array) -> tuple[Array, Array]:
        """All objectives at full budget: mean and standard deviation, (n, m) each."""
        full = np.full(len(vectors), self._height(len(self._budgets) - 1))
        rows = Rows(self._encoding.features(vectors), full)
        mean, sd = known.copy(), np.zeros_like(known)
        for surrogate, j in zip(self._surrogates, self._learned, strict=True):
            mean[:, j], sd[:, j] = surrogate.predict(rows)
        return mean, sd

    def _gain_of(self, ids: list[int]) -> Array:
        """Expected improvement of trials already begun."""
        if not ids:
            return np.zeros(0)
        vectors, known = np.stack([self._vectors[i] for i in ids]), np.stack([self._known[i] for i in ids])
        return expected_improvement(*self._predict(vectors, known), self._boxes)

    def _candidates(self, rng: np.random.Generator) -> tuple[Vectors, float]:
        """Configurations, the most promising first, and the expected improvement of that one."""
        tried = np.stack([self._vectors[i] for i in self._data])
        predicted, _ = self._predict(tried, np.stack([self._known[i] for i in self._data]))
        parents = tried[pareto_mask(predicted)]
        mutated = self._encoding.mutate(parents[rng.integers(len(parents), size=_MUTATED)], rng)
        candidates = np.vstack([self._encoding.sample(_RANDOM, rng), mutated])
        gains = expected_improvement(*self._predict(candidates, self._known_values(candidates)), self._boxes)
        return candidates[np.argsort(-gains, kind="stable")], float(gains.max())

    def _first_legal(self, vectors: Vectors) -> Proposal | None:
        """The first vector that is new and that the space allows, to start at the lowest budget."""
        for vector in vectors:
            if vector.tobytes() not in self._seen:
                config = self._encoding.configuration(vector)
                if config is not None:
                    return Proposal(config, self._budgets[0])
        return None
