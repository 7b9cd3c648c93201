"""mo-hyperband: at each step the epochs go where they buy most hypervolume, to a new trial or a paused one.

Every trial starts at the lowest rung and is paused at each rung above it until it is worth continuing; a
continued trial names its parent, whose checkpoint it takes up, so it costs only the epochs in between.
Hyperband decides by quota who moves up, and most of its epochs go to trials that cannot reach the front.
Here a proposal is the best of two kinds by one criterion:

    expected hypervolume improvement at full budget / (epochs still missing there) ^ ½

- a paused trial is predicted from its own results and everyone else's (`prospects`);
- a new configuration is the best among random ones and mutations of the predicted front.

With the root, a trial that is nearly done goes before an equal one that has just begun, and yet a trial of
little promise is not finished for being cheap. The improvement is in closed form (`acquisition.ehvi`; others
can be had by name), exact in the objectives that are known before training: they cost nothing, so all
candidates are screened with their true energy. The reference point is the worst value seen in each objective,
in learned ones a tenth of their range better: hardly beating chance level adds nothing, however cheap the
network is, so that it is not continued for being an extreme.

Constraints. The front and the volume are those of feasible networks. A limit on a known value is exact: a
configuration that breaks it is never trained (the default one, which everything is compared with, excepted).
A limit on an objective bounds the volume; a limit on anything else that is predicted multiplies by the
probability of keeping it.

Running trials count as if they had given what is predicted of them, and the front holds already what they are
expected to reach at full budget. So several workers are not sent to the same place, and none ever waits. What
a proposal looks at is bounded, so that its time is.

Replay. A proposal draws from a generator of its own, seeded by (seed, number of the proposal), and leaves no
trace but its trial and the parameters of the surrogate. So a recorded trial is taken up without proposing it
anew; only the first ones and one in fifty are proposed, to see that they are the same. Another processor's
sums differ in their last digits, so a run that was begun on one is continued from its trials as they are.
"""

import numpy as np
from numpy.typing import NDArray

from jouleshift.errors import BadInput
from jouleshift.hpo.acquisition.ehvi import pareto_mask
from jouleshift.hpo.acquisition.registry import find_acquisition
from jouleshift.hpo.acquisition.situation import Gain, Situation, probability_within
from jouleshift.hpo.brackets import ladder
from jouleshift.hpo.encoding import Encoding, Vectors
from jouleshift.hpo.known import Known
from jouleshift.hpo.prospects import Prospects
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.records import Outcome, Trial

Array = NDArray[np.float64]

_RANDOM, _MUTATED = 250, 350
"""Candidates screened for a proposal."""
_MAX_PAUSED, _KEPT_PAUSED = 300, 200
"""Paused trials: where there are more, those furthest behind the front of their rung are given up."""
_CHECKED = 50
"""Of so many recorded proposals one is made anew."""
_TRIES, _DRAWN = 100, 20
"""Random configurations looked at for one, and drawn by the space itself where it forbids those."""


class MoHyperband(Scheduler):
    """Multi-objective search by expected hypervolume improvement per epoch; `ask` never waits for a running
    trial."""

    takes_priors = True
    takes_acquisitions = True

    initial = 12
    """Random configurations, beside priors, before the surrogate proposes."""
    thrift = 0.5
    """Exponent of the missing epochs."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._budgets = ladder(problem.min_budget, problem.max_budget, problem.eta)
        self._encoding = Encoding(problem.space)
        self._known = Known(problem, self._encoding)
        self._prospects = Prospects(problem, self._encoding, self._known, self._budgets)
        if not self._prospects.learned:
            raise BadInput(
                "mo-hyperband: every objective is known before training, there is nothing to learn"
            )
        self._acquisition = find_acquisition(problem.acquisition)
        self._limits = np.array([problem.constraints.get(name, np.inf) for name in problem.needed])
        self._missing = self._missing_epochs()
        self._trials: dict[int, Trial] = {}
        self._paused: list[int] = []
        self._front = np.empty((0, len(problem.objectives)))
        self._seen: set[bytes] = set()
        self._started = 0
        self._tried_priors = 0
        self._priors = [self._encoding.vector(config) for config in problem.priors]

    def _missing_epochs(self) -> Array:
        """Epochs from each rung, and first of all from nothing, to the full budget."""
        cost, steps = self.problem.cost, zip((0, *self._budgets), self._budgets, strict=False)
        each = [cost(start, end) for start, end in steps]
        return np.array([sum(each[k:]) for k in range(len(each) + 1)], dtype=float)

    def _propose(self) -> Proposal | None:
        rng = np.random.default_rng([self.problem.seed, self._asked])
        prior = self._next_prior()
        if prior is not None:
            return prior
        if self._knows_too_little:
            found = self._first_legal(self._known.sample(_TRIES, rng)) or self._first_legal(self._drawn(rng))
            if found is not None or not self._paused:
                return found
        gain = self._learn(rng)
        candidates, promise = self._ranked(self._candidates(rng), gain)
        new = self._first_legal(candidates)
        if new is None:
            candidates, promise = self._ranked(self._drawn(rng), gain)
            new = self._first_legal(candidates)
        rungs = [self._prospects.rung(self._trials[i]) for i in self._paused]
        worth = self._gain_of(self._paused, gain) / self._missing[1:][rungs] ** self.thrift
        if self._paused and (new is None or worth.max() > promise / self._missing[0] ** self.thrift):
            return self._continued(self._paused[int(worth.argmax())])
        return new

    @property
    def _knows_too_little(self) -> bool:
        few = self._started < self.initial + self._tried_priors
        return few or not np.isfinite(self._prospects.worst).all()

    def _catch_up(self, trial: Trial, elsewhere: bool) -> bool:
        early = self._priors or self._knows_too_little or not self._prospects.data
        impossible = trial.parent is not None and trial.parent not in self._paused
        is_checked = self._asked % _CHECKED == 0 and not elsewhere
        if early or impossible or is_checked:
            return False
        self._prospects.refit(np.random.default_rng([self.problem.seed, self._asked]))
        return True

    def _next_prior(self) -> Proposal | None:
        while self._priors:
            vector = self._priors.pop(0)[None]
            found = self._first_legal(vector[self._known.keeps(self._known.values(vector))])
            if found is not None:
                self._tried_priors += 1
                return found
        return None

    def _continued(self, trial_id: int) -> Proposal:
        trial = self._trials[trial_id]
        rung = self._prospects.rung(trial) + 1
        return Proposal(trial.config, self._budgets[rung], 0, rung, trial_id)

    def _on_asked(self, trial: Trial) -> None:
        self._trials[trial.id] = trial
        self._prospects.begin(trial)
        if trial.parent is not None:
            self._paused.remove(trial.parent)
        else:
            self._seen.add(self._prospects.vectors[trial.id].tobytes())
            self._started += trial.bracket >= 0  # the default configuration is in no bracket

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        values = self._prospects.end(trial, outcome)
        if values is None:
            return
        if not self._prospects.is_full(trial.id):
            if self._known.keeps(self._prospects.known[trial.id][None]).all():
                self._pause(trial.id)
        elif np.all(values <= self._limits):
            self._front = _with_point(self._front, values[: self._front.shape[1]])

    def _pause(self, trial_id: int) -> None:
        self._paused.append(trial_id)
        if len(self._paused) > _MAX_PAUSED:
            ranks = self._prospects.ranks(self._paused, self._front.shape[1])
            kept = np.sort(np.argsort(ranks, kind="stable")[:_KEPT_PAUSED])
            self._paused = [self._paused[k] for k in kept]

    def _learn(self, rng: np.random.Generator) -> Gain:
        """What is known now, as the worth of candidates."""
        self._prospects.learn(list(self._running), rng)
        m, front = self._front.shape[1], self._front
        if self._running:
            expected, _ = self._prospects.of_trials(list(self._running))
            front = np.vstack([front, expected[np.all(expected <= self._limits, axis=1), :m]])
        reference = np.minimum(self._prospects.reference[:m], self._limits[:m] * (1 + 1e-9))
        situation = Situation(front[pareto_mask(front)], reference, self._limits[:m], self._asked)
        improvement, beyond = self._acquisition(situation), self._limits[m:]

        def gain(mean: Array, sd: Array) -> Array:
            worth = improvement(mean[:, :m], sd[:, :m])
            return worth * probability_within(mean[:, m:], sd[:, m:], beyond) if len(beyond) else worth

        return gain

    def _gain_of(self, ids: list[int], gain: Gain) -> Array:
        """Expected improvement of trials already begun."""
        return gain(*self._prospects.of_trials(ids)) if ids else np.zeros(0)

    def _drawn(self, rng: np.random.Generator) -> Vectors:
        """Where forbidden clauses leave so little that no candidate is legal: some that are."""
        vectors = self._encoding.sample_allowed(_DRAWN, rng)
        return vectors[self._known.keeps(self._known.values(vectors))]

    def _candidates(self, rng: np.random.Generator) -> Vectors:
        """Random configurations, and mutations of the best so far."""
        tried = self._prospects.data
        predicted, _ = self._prospects.of_trials(tried)
        vectors = np.stack([self._prospects.vectors[i] for i in tried])
        keeping = self._known.keeps(predicted)
        if keeping.any():
            predicted, vectors = predicted[keeping], vectors[keeping]
        parents = vectors[pareto_mask(predicted[:, : self._front.shape[1]])]
        mutated = self._encoding.mutate(parents[rng.integers(len(parents), size=_MUTATED)], rng)
        return np.vstack([self._known.sample(_RANDOM, rng), mutated])

    def _ranked(self, candidates: Vectors, gain: Gain) -> tuple[Vectors, float]:
        """The candidates that keep the known limits, the most promising first, and the expected improvement
        of that one."""
        known = self._known.values(candidates)
        keeping = self._known.keeps(known)
        candidates, known = candidates[keeping], known[keeping]
        if not len(candidates):
            return candidates, 0.0
        gains = gain(*self._prospects.predict(candidates, known))
        return candidates[np.argsort(-gains, kind="stable")], float(gains.max())

    def _first_legal(self, vectors: Vectors) -> Proposal | None:
        """The first vector that is new and that the space allows, to start at the lowest budget."""
        for vector in vectors:
            if vector.tobytes() not in self._seen:
                config = self._encoding.configuration(vector)
                if config is not None:
                    return Proposal(config, self._budgets[0])
        return None


def _with_point(front: Array, point: Array) -> Array:
    """A front (k, m) of non-dominated points after one more result."""
    if np.any(np.all(front <= point, axis=1)):
        return front
    return np.vstack([front[~np.all(point <= front, axis=1)], point])
