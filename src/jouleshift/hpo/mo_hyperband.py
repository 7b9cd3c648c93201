"""mo-hyperband: every rung teaches one forest, and one criterion decides what to start and what to continue.

Four parts, each in a module of its own, are put together here:

- `brackets`: asynchronous successive halving says *when* a trial may move up; a promoted trial names its
  parent, whose checkpoint it continues, so it costs only the epochs in between.
- `calibration` and `surrogate`: values of all rungs, mapped to the scale of full budget, train one forest
  over (configuration, log budget). Objectives known before training are not modelled.
- `acquisition`: the expected hypervolume improvement over the front of full-budget results, in closed form
  with the known objectives exact. New configurations are its best among random ones and mutations of the
  predicted front.
- Promotion takes the waiting trial with the largest expected improvement, its prediction combined with what
  its own value says, each weighted by its precision. The reference point is the worst value seen in each
  objective, so a cheap network at chance level adds next to nothing and does not win a promotion by being
  an extreme.

Every proposal draws from a generator of its own, seeded by (seed, number of the proposal): a replayed
journal gives the same proposals.
"""

import math

import numpy as np
from numpy.typing import NDArray

from jouleshift.errors import BadInput
from jouleshift.hpo.acquisition import expected_improvement, free_boxes, pareto_mask
from jouleshift.hpo.brackets import Rungs, ladder
from jouleshift.hpo.calibration import Calibration, calibrate
from jouleshift.hpo.encoding import Encoding, Vectors
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.hpo.surrogate import Features, Forest
from jouleshift.records import Failure, Outcome, Trial

Array = NDArray[np.float64]

_INITIAL = 8
"""Random configurations before the forest proposes."""
_RANDOM, _MUTATED = 500, 700
"""Candidates screened for a proposal."""
_TRIES = 100


class MoHyperband(Scheduler):
    """Multi-objective Hyperband by expected hypervolume improvement; `ask` never waits for a running
    trial."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._budgets = ladder(problem.min_budget, problem.max_budget, problem.eta)
        self._rungs = Rungs(len(self._budgets), problem.eta)
        self._encoding = Encoding(problem.space)
        self._learned = [j for j, name in enumerate(problem.objectives) if name not in problem.known]
        if not self._learned:
            raise BadInput(
                "mo-hyperband: every objective is known before training, there is nothing to learn"
            )
        self._forest = Forest()
        self._trials: dict[int, Trial] = {}
        self._vectors: dict[int, Array] = {}
        self._known: dict[int, Array] = {}
        self._values: dict[int, Array] = {}
        self._failed: list[int] = []
        self._seen: set[bytes] = set()
        sample = self._encoding.sample(256, np.random.default_rng(problem.seed))
        self._largest_known = self._known_values(sample).max(axis=0)

    def _propose(self) -> Proposal | None:
        rng = np.random.default_rng([self.problem.seed, self._asked])
        if self._values:
            self._learn(rng)
            for rung, waiting in self._rungs.openings():
                best = waiting[int(np.argmax(self._promotion_scores(rung, waiting)))]
                self._rungs.promote(rung, best)
                return Proposal(self._trials[best].config, self._budgets[rung + 1], 0, rung + 1, best)
        if len(self._values) > _INITIAL:
            return self._best_new(rng)
        return self._first_legal(self._encoding.sample(_TRIES, rng))

    def _on_asked(self, trial: Trial) -> None:
        self._trials[trial.id] = trial
        vector = self._encoding.vector(trial.config)
        self._vectors[trial.id] = vector
        self._seen.add(vector.tobytes())
        self._known[trial.id] = self._known_values(vector[None])[0]

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            self._failed.append(trial.id)
        else:
            self._values[trial.id] = np.array([outcome[name] for name in self.problem.objectives])
        if trial.bracket >= 0:  # the default configuration is in no bracket
            self._rungs.finish(trial.rung, trial.id, isinstance(outcome, Failure))

    def _learn(self, rng: np.random.Generator) -> None:
        """Forest, calibration and front from everything told so far."""
        ids = list(self._values)
        row = {trial_id: k for k, trial_id in enumerate(ids)}
        rungs = np.array([self._budgets.index(self._trials[i].budget) for i in ids])
        values = np.stack([self._values[i] for i in ids])
        targets = values[:, self._learned]
        promoted = [(row[p], row[i]) for i in ids if (p := self._trials[i].parent) is not None]
        self._calibration: Calibration = calibrate(len(self._budgets), rungs, targets, promoted)
        full = self._calibration.to_full(rungs, targets)
        if self._failed:  # the forest alone is shown failures, as the worst value, to keep away from them
            ids += self._failed
            lost = [self._budgets.index(self._trials[i].budget) for i in self._failed]
            rungs = np.concatenate([rungs, np.array(lost)])
            full = np.vstack([full, np.tile(full.max(axis=0), (len(lost), 1))])
        self._centre, self._scale = full.mean(axis=0), full.std(axis=0) + 1e-12
        features = self._features(np.stack([self._vectors[i] for i in ids]), rungs)
        self._forest.fit(features, (full - self._centre) / self._scale, rng)
        reference = values.max(axis=0)
        reference = np.maximum(reference, np.where(self._is_known(), self._largest_known, -np.inf))
        front = values[[self._trials[i].budget == self._budgets[-1] for i in row]]
        self._boxes = free_boxes(front, reference + 1e-9 * np.abs(reference))

    def _is_known(self) -> NDArray[np.bool_]:
        return np.array([name in self.problem.known for name in self.problem.objectives])

    def _known_values(self, vectors: Vectors) -> Array:
        """(n, m): known objectives of configurations, 0 for the others."""
        values = np.zeros((len(vectors), len(self.problem.objectives)))
        if self.problem.known:
            configs = self._encoding.values(vectors)
            for j, name in enumerate(self.problem.objectives):
                if name in self.problem.known:
                    values[:, j] = [self.problem.known[name](config) for config in configs]
        return values

    def _features(self, vectors: Vectors, rungs: NDArray[np.int64]) -> Features:
        logs = np.log(np.array(self._budgets, dtype=float)) / max(math.log(self._budgets[-1]), 1.0)
        return np.column_stack([self._encoding.features(vectors), logs[rungs]]).astype(np.float32)

    def _predict(self, vectors: Vectors) -> tuple[Array, Array]:
        """Learned objectives at full budget: mean and standard deviation, (n, t) each."""
        top = np.full(len(vectors), len(self._budgets) - 1)
        mean, sd = self._forest.predict(self._features(vectors, top))
        return mean * self._scale + self._centre, sd * self._scale

    def _improvement(self, known: Array, mean: Array, sd: Array) -> Array:
        means, sds = known.copy(), np.zeros_like(known)
        means[:, self._learned], sds[:, self._learned] = mean, sd
        return expected_improvement(means, sds, self._boxes)

    def _promotion_scores(self, rung: int, waiting: list[int]) -> Array:
        """Expected improvement of trials, their own value at `rung` taken into account."""
        mean, sd = self._predict(np.stack([self._vectors[i] for i in waiting]))
        own = np.stack([self._values[i] for i in waiting])[:, self._learned]
        own = self._calibration.to_full(np.full(len(own), rung), own)
        scatter = np.where(
            np.isnan(self._calibration.residual[rung]), self._scale, self._calibration.residual[rung]
        )
        ours, theirs = 1 / (sd**2 + 1e-12), 1 / (scatter**2 + 1e-12)
        mean, sd = (mean * ours + own * theirs) / (ours + theirs), np.sqrt(1 / (ours + theirs))
        return self._improvement(np.stack([self._known[i] for i in waiting]), mean, sd)

    def _best_new(self, rng: np.random.Generator) -> Proposal | None:
        """The configuration of largest expected improvement among random ones and mutations of good ones."""
        tried = np.stack([self._vectors[i] for i in self._values])
        predicted = np.stack([self._known[i] for i in self._values])
        predicted[:, self._learned] = self._predict(tried)[0]
        parents = tried[pareto_mask(predicted)]
        mutated = self._encoding.mutate(parents[rng.integers(len(parents), size=_MUTATED)], rng)
        candidates = np.vstack([self._encoding.sample(_RANDOM, rng), mutated])
        gains = self._improvement(self._known_values(candidates), *self._predict(candidates))
        return self._first_legal(candidates[np.argsort(-gains, kind="stable")])

    def _first_legal(self, vectors: Vectors) -> Proposal | None:
        """The first vector that is new and that the space allows, to start at the lowest budget."""
        for vector in vectors:
            if vector.tobytes() not in self._seen:
                config = self._encoding.configuration(vector)
                if config is not None:
                    return Proposal(config, self._budgets[0])
        return None
