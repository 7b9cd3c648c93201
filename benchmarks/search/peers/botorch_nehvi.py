"""BoTorch's noisy expected hypervolume improvement at full budget (Daulton et al., 2021; Ament et al., 2023).

BoTorch is a library, so a loop had to be written, after its tutorials: one Gaussian process an objective on
the unit cube, choices one-hot, candidates rounded to the nearest configuration; a few Sobol points first;
the reference point inferred from the front as BoTorch does it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.peers.cube import Cube
from jouleshift.hpo.scheduler import Problem, Proposal, Scheduler
from jouleshift.records import Failure, Outcome, Trial

Array = NDArray[np.float64]

_SOBOL = 6
"""Points before the model proposes, beside the default configuration."""
RESTARTS: dict[str, Any] = {"num_restarts": 4, "raw_samples": 256, "options": {"maxiter": 100}}
"""How hard the acquisition is maximised."""


class NoisyImprovement(Scheduler):
    """qLogNEHVI, one candidate at a time."""

    def __init__(self, problem: Problem) -> None:
        import torch

        super().__init__(problem)
        self._cube = Cube(problem.space)
        self._sobol = torch.quasirandom.SobolEngine(self._cube.width, scramble=True, seed=problem.seed)
        self._points: list[Array] = []
        self._values: list[list[float]] = []

    def _propose(self) -> Proposal:
        early = self._asked <= _SOBOL
        point = self._sobol.draw(1)[0].double().numpy() if early else self._acquired()
        return Proposal(self._cube.configuration(point), self.problem.max_budget)

    def _observe(self, trial: Trial, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            return
        self._points.append(self._cube.point(trial.config))
        self._values.append([-outcome[name] for name in self.problem.objectives])

    def _acquired(self) -> Array:
        import torch
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.optim import optimize_acqf
        from botorch.sampling import SobolQMCNormalSampler
        from botorch.utils.multi_objective.hypervolume import infer_reference_point
        from botorch.utils.multi_objective.pareto import is_non_dominated

        torch.manual_seed(self.problem.seed * 10_000 + self._asked)
        x, y = torch.tensor(np.stack(self._points)), torch.tensor(self._values, dtype=torch.double)
        reference = infer_reference_point(y[is_non_dominated(y)])
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=fitted(x, y),
            ref_point=reference,
            X_baseline=x,
            sampler=SobolQMCNormalSampler(torch.Size([64]), seed=self.problem.seed),
            prune_baseline=True,
        )
        bounds = torch.tensor([[0.0], [1.0]], dtype=torch.double).expand(2, x.shape[1])
        candidate, _ = optimize_acqf(acquisition, bounds, q=1, **RESTARTS)
        return np.asarray(candidate[0].numpy())


def fitted(x: Any, y: Any) -> Any:
    """Gaussian processes with BoTorch's own priors, one an objective."""
    from botorch import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from gpytorch.mlls import SumMarginalLogLikelihood

    model = ModelListGP(*(SingleTaskGP(x, y[:, j : j + 1]) for j in range(y.shape[1])))
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    return model
