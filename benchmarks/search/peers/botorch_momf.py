"""BoTorch's MOMF: hypervolume improvement that chooses the budget too (Irshad, Karsch and Döpp, 2021).

The rung is one more input of the model and one more objective, trust, to be maximised, so that a result at
a low budget adds something, only less; the improvement is divided by the price. After BoTorch's tutorial:
random points at random rungs first, twice the dimension of them; each configuration is trained once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.peers.botorch_nehvi import RESTARTS, fitted
from benchmarks.search.peers.cube import Cube
from jouleshift.hpo.brackets import ladder
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.records import Failure, Outcome, Trial

Array = NDArray[np.float64]


class Momf(Scheduler):
    """MOMF over the rungs of the ladder: the rung nearest to the wanted one is trained."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._cube = Cube(problem.space)
        self._budgets = ladder(problem.min_budget, problem.max_budget, problem.eta)
        self._rng = np.random.default_rng(problem.seed)
        self._points: list[Array] = []
        self._values: list[list[float]] = []

    def _propose(self) -> Proposal:
        width = self._cube.width
        point = self._rng.random(width + 1) if self._asked <= 2 * width else self._acquired()
        budget = self._budgets[round(point[-1] * (len(self._budgets) - 1))]
        return Proposal(self._cube.configuration(point[:-1]), budget)

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            return
        trust = self._budgets.index(trial.budget) / max(1, len(self._budgets) - 1)
        self._points.append(np.append(self._cube.point(trial.config), trust))
        self._values.append([*(-outcome[name] for name in self.problem.objectives), trust])

    def _acquired(self) -> Array:
        import torch
        from botorch.acquisition.multi_objective.multi_fidelity import MOMF
        from botorch.optim import optimize_acqf
        from botorch.utils.multi_objective.box_decompositions.non_dominated import (
            FastNondominatedPartitioning,
        )

        torch.manual_seed(self.problem.seed * 10_000 + self._asked)
        x, y = torch.tensor(np.stack(self._points)), torch.tensor(self._values, dtype=torch.double)
        reference = torch.cat([y[:, :-1].min(dim=0).values, torch.zeros(1, dtype=torch.double)])
        acquisition = MOMF(
            model=fitted(x, y),
            ref_point=reference,
            partitioning=FastNondominatedPartitioning(reference, Y=y),
            cost_call=self._price,
        )
        bounds = torch.tensor([[0.0], [1.0]], dtype=torch.double).expand(2, x.shape[1])
        candidate, _ = optimize_acqf(acquisition, bounds, q=1, **RESTARTS)
        return np.asarray(candidate[0].numpy())

    def _price(self, x: Any) -> Any:
        """Epochs of points whose last number is the rung, 0 … 1."""
        first, last = self._budgets[0], self._budgets[-1]
        return first * (last / first) ** x[..., -1:]
