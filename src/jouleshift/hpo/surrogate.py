"""One Gaussian process over (configuration, rung): cheap results inform the prediction at full budget.

Hyperband's usual surrogate throws the results of low budgets away. Here each result is a row, and

    k = a · M(x, x') · exp(−|s − s'| / λ)  +  b · exp(−|s − s'|)

says how two of them go together: M is a Matérn-5/2 kernel with a length for each hyperparameter, s the rung
from 0 (lowest) to 1 (full budget). The first part lets configurations differ, more or less in the same way
at neighbouring budgets, and how much a low rung tells of a high one is a parameter that is learned. The
second is what all configurations have in common when trained longer. Being exponential in s, it is the
kernel of a Markov chain: a trial's result at its highest rung makes those below it redundant, so that
predicting a paused trial needs no case of its own (freeze-thaw; Swersky, Snoek and Adams, 2014).

Parameters are those of largest posterior density. The prior of the lengths grows with the root of the
dimension, which keeps the model smooth enough in many dimensions (Hvarfner, Hellsten and Nardi, 2024); that
of λ takes low rungs for good evidence until they prove not to be, which matters in the first few dozen
epochs, when hardly anything has been trained to the end (docs/search.md). They are fitted anew when the data
has grown by a sixth.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

_FIT_ROWS = 200
"""Rows the parameters are fitted on."""
_GROWTH = 1.15
_MEMORY = 10.0
"""λ before there is data, in ladders."""
_JITTER = 1e-6
_SQRT_5 = np.sqrt(5.0)


class Rows(NamedTuple):
    """n points: features (n, f) about 0 … 1, and rungs (n,) in 0 … 1."""

    features: Array
    rungs: Array

    def __add__(self, other: "Rows") -> "Rows":  # type: ignore[override]
        return Rows(np.vstack([self.features, other.features]), np.concatenate([self.rungs, other.rungs]))

    def take(self, index: NDArray[np.int64]) -> "Rows":
        return Rows(self.features[index], self.rungs[index])


class _Parameters(NamedTuple):
    lengths: Array
    amplitude: float
    memory: float
    """λ, in units of the whole ladder."""
    common: float
    noise: float


class GaussianProcess:
    """Regression of one objective. `groups` gives for each feature the hyperparameter it belongs to."""

    def __init__(self, groups: Sequence[int]) -> None:
        self._groups = np.array(groups)
        self._dimension = len(set(groups))
        lengths = np.full(self._dimension, np.log(0.35 * np.sqrt(self._dimension)))
        self._prior_mean = np.concatenate([lengths, [0.0, np.log(_MEMORY), np.log(0.3), np.log(1e-3)]])
        self._prior_sd = np.concatenate([np.ones(self._dimension), [0.7, 1.0, 1.0, 1.5]])
        self._theta = self._prior_mean
        self._fitted_rows = 0

    def fit(self, rows: Rows, targets: Array, rng: np.random.Generator) -> None:
        """Take (n,) targets as data; first fit the parameters, where there is much more data than last
        time."""
        self._centre = float(targets.mean())
        self._scale = float(targets.std()) or 1.0
        n = len(targets)
        if self.is_due(n):
            chosen = rng.permutation(n)[:_FIT_ROWS]
            self._optimise(rows.take(chosen), (targets[chosen] - self._centre) / self._scale)
            self._fitted_rows = n
        self.condition(rows, targets)

    def is_due(self, n: int) -> bool:
        """Whether `fit` would fit the parameters to so many targets."""
        return n > _GROWTH * self._fitted_rows

    def condition(self, rows: Rows, targets: Array) -> None:
        """Take the targets as data and leave the parameters."""
        self._rows = rows
        covariance = self._covariance(rows, rows)
        covariance[np.diag_indices_from(covariance)] += self._parameters().noise + _JITTER
        self._factor = np.linalg.cholesky(covariance)
        self._weights = cho_solve((self._factor, True), (targets - self._centre) / self._scale)

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Mean and standard deviation, (n,) each, of the value without noise."""
        cross = self._covariance(rows, self._rows)
        explained = solve_triangular(self._factor, cross.T, lower=True)
        parameters = self._parameters()
        variance = parameters.amplitude + parameters.common - np.einsum("ij,ij->j", explained, explained)
        mean = cross @ self._weights * self._scale + self._centre
        return mean, np.sqrt(np.maximum(variance, 1e-10)) * self._scale

    def _parameters(self) -> _Parameters:
        values = np.exp(self._theta)
        return _Parameters(values[: self._dimension], *values[self._dimension :])

    def _distance(self, one: Array, two: Array) -> Array:
        """√5 times the distance of features, each in units of its length."""
        per_feature = self._parameters().lengths[self._groups]
        a, b = one / per_feature, two / per_feature
        squared = a @ (-2 * b.T)
        squared += (a * a).sum(1)[:, None]
        squared += (b * b).sum(1)
        np.maximum(squared, 0.0, out=squared)
        root = np.sqrt(squared, out=squared)
        root *= _SQRT_5
        return root

    def _covariance(self, one: Rows, two: Rows) -> Array:
        parameters = self._parameters()
        root = self._distance(one.features, two.features)
        result = root * root
        result /= 3
        result += root
        result += 1
        result *= np.exp(np.negative(root, out=root), out=root)
        apart, spread = _apart(one.rungs, two.rungs)
        result *= spread(parameters.amplitude * np.exp(-apart / parameters.memory))
        result += spread(parameters.common * np.exp(-apart))
        return result

    def _optimise(self, rows: Rows, targets: Array) -> None:
        per_feature = (rows.features[:, None] - rows.features) ** 2
        squares = [per_feature[:, :, self._groups == j].sum(axis=2) for j in range(self._dimension)]

        def objective(theta: Array) -> tuple[float, Array]:
            self._theta = theta
            return self._loss(rows, targets, squares)

        start = self._theta
        bounds = list(
            zip(self._prior_mean - 4 * self._prior_sd, self._prior_mean + 4 * self._prior_sd, strict=True)
        )
        found = minimize(
            objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 25}
        )
        self._theta = found.x

    def _loss(self, rows: Rows, targets: Array, squares: list[Array]) -> tuple[float, Array]:
        """Negative log posterior of the parameters, up to a constant, and its gradient."""
        parameters, n = self._parameters(), len(targets)
        apart = np.abs(rows.rungs[:, None] - rows.rungs)
        root = self._distance(rows.features, rows.features)
        decay = np.exp(-root)
        kernel, slope = (1 + root + root * root / 3) * decay, 5 / 3 * (1 + root) * decay
        fading, common = np.exp(-apart / parameters.memory), parameters.common * np.exp(-apart)
        own = parameters.amplitude * kernel * fading
        factor = cho_factor(own + common + (parameters.noise + _JITTER) * np.eye(n), lower=True)
        weights = cho_solve(factor, targets)
        pull = np.outer(weights, weights) - cho_solve(factor, np.eye(n))
        by_distance = pull * parameters.amplitude * slope * fading
        gradient = [
            np.vdot(by_distance, squares[j]) / parameters.lengths[j] ** 2 for j in range(len(squares))
        ]
        gradient += [
            np.vdot(pull, own),
            np.vdot(pull, own * apart) / parameters.memory,
            np.vdot(pull, common),
            parameters.noise * np.trace(pull),
        ]
        off = (self._theta - self._prior_mean) / self._prior_sd
        loss = 0.5 * targets @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        return float(loss), -0.5 * np.array(gradient) + off / self._prior_sd


def _apart(one: Array, two: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Distances of the few different rungs, and what spreads a value for each of them over the matrix of all
    distances, or over its only different row."""
    rungs, rows = np.unique(one, return_inverse=True)
    others, columns = np.unique(two, return_inverse=True)

    def spread(values: Array) -> Array:
        return values[:, columns] if len(rungs) == 1 else values[np.ix_(rows, columns)]

    return np.abs(rungs[:, None] - others), spread
