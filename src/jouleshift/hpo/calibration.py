"""What a result at a low budget says about full budget, learned from the trials that were promoted.

Each promoted trial gives a pair: its value at a rung and at the next. A line per rung through these pairs,
drawn towards slope 1 while they are few, and chained up to the top, maps every value to the scale of full
budget; the scatter around the lines is how far that can be trusted. It is the autoregressive link of
multi-fidelity kriging (Kennedy and O'Hagan, 2000) with one slope per rung.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PRIOR_PAIRS = 4
"""Weight of the prior slope 1, in pairs that spread as the whole rung does."""


@dataclass(frozen=True)
class Calibration:
    """value at full budget ≈ offset[rung] + slope[rung] · value at rung; all (rungs, targets).

    `residual` is the standard deviation of the error, NaN where no trial was promoted yet.
    """

    offset: Array
    slope: Array
    residual: Array

    def to_full(self, rungs: NDArray[np.int64], values: Array) -> Array:
        """(n, t) values observed at n rungs, on the scale of full budget."""
        return self.offset[rungs] + self.slope[rungs] * values


def calibrate(
    n_rungs: int, rungs: NDArray[np.int64], values: Array, pairs: Sequence[tuple[int, int]]
) -> Calibration:
    """Fit the lines. `values` is (n, t), observed at `rungs`; `pairs` are rows (parent, promoted)."""
    shape = (n_rungs, values.shape[1])
    offset, slope, residual = np.zeros(shape), np.ones(shape), np.full(shape, np.nan)
    residual[-1] = 0.0
    for rung in range(n_rungs - 2, -1, -1):
        above = rung + 1
        here = [(low, high) for low, high in pairs if rungs[low] == rung and rungs[high] == above]
        if not here:
            offset[rung], slope[rung] = offset[above], slope[above]
            residual[rung] = residual[above] if above < n_rungs - 1 else np.nan
            continue
        low, high = values[[a for a, _ in here]], values[[b for _, b in here]]
        spread = values[rungs == rung].var(axis=0) + 1e-12
        step, start, scatter = _line(low, high, spread)
        slope[rung] = step * slope[above]
        offset[rung] = offset[above] + slope[above] * start
        residual[rung] = np.hypot(scatter * slope[above], np.nan_to_num(residual[above]))
    return Calibration(offset, slope, residual)


def _line(low: Array, high: Array, spread: Array) -> tuple[Array, Array, Array]:
    """Slope, intercept and scatter of high over low, (t,) each, shrunk by the rung's variance `spread`."""
    prior = _PRIOR_PAIRS * spread
    centred = low - low.mean(axis=0)
    covariance = (centred * (high - high.mean(axis=0))).sum(axis=0)
    slope = (covariance + prior) / ((centred**2).sum(axis=0) + prior)
    intercept = high.mean(axis=0) - slope * low.mean(axis=0)
    errors = ((high - intercept - slope * low) ** 2).sum(axis=0)
    return slope, intercept, np.sqrt((errors + spread / 4) / (len(low) + 1))
