"""What an acquisition is given: the front so far, and which proposal this is.

An acquisition is a function of a `Situation` that returns a `Gain`: the worth of candidates whose objectives
are predicted as independent normals. It is prepared once a proposal and then called on all candidates. What
is known before training has standard deviation 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

Gain = Callable[[Array, Array], Array]
"""From means and standard deviations, both (n, m), to n values ≥ 0, larger is better."""


@dataclass(frozen=True)
class Situation:
    """m objectives, everything minimised."""

    front: Array
    """(k, m): the non-dominated results at full budget that keep every constraint; k may be 0."""
    reference: Array
    """(m,): the worst that counts, no objective's upper limit exceeded."""
    limits: Array
    """(m,): upper limits, ∞ where there is none."""
    number: int
    """Of the proposal: what is drawn per proposal, such as a preference, follows from it."""


Acquisition = Callable[[Situation], Gain]


def probability_within(mean: Array, sd: Array, limits: Array) -> Array:
    """The probability (n,) that each of independent normals (n, m) keeps its limit (m,)."""
    bounded = np.isfinite(limits)
    gap = limits[bounded] - mean[:, bounded]
    exact = sd[:, bounded] <= 0
    z = gap / np.where(exact, 1.0, sd[:, bounded])
    return np.where(exact, gap >= 0, ndtr(z)).prod(axis=1)
