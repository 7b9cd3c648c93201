"""ParEGO's preferences on separate models: one weight vector a proposal, spread evenly over the simplex.

ParEGO (Knowles, 2006) turns m objectives into one with a random weight vector, here of objectives scaled to
0 … 1 between the best seen and the reference,

    s(y) = max_j λ_j y_j + 0.05 Σ_j λ_j y_j

and takes the candidate of the largest expected improvement of s. The paper's code fits one model to s; here
the models of the single objectives give the distribution of s, whose expectation is taken over the same
quasi-random draws for every candidate. The weights are not random either: they follow Roberts' sequence,
whose every stretch covers the simplex evenly, so no preference waits long for its turn.
"""

import numpy as np
from scipy.special import ndtri

from jouleshift.hpo.acquisition.situation import Array, Gain, Situation, probability_within

_RHO = 0.05
_DRAWS = 64


def parego(situation: Situation) -> Gain:
    """Expected improvement of this proposal's weighted objective."""
    m = len(situation.reference)
    weights = preference(situation.number, m)
    low = np.vstack([situation.front, situation.reference]).min(axis=0)
    span = situation.reference - low
    span[span <= 0] = np.maximum(np.abs(situation.reference[span <= 0]), 1e-300)
    draws = ndtri(np.stack([_roberts(k, m) for k in range(1, _DRAWS + 1)]))

    def scalar(points: Array) -> Array:
        weighted = weights * (points - low) / span
        return weighted.max(axis=-1) + _RHO * weighted.sum(axis=-1)

    best = scalar(np.vstack([situation.front, situation.reference])).min()

    def gain(mean: Array, sd: Array) -> Array:
        values = scalar(mean[:, None] + sd[:, None] * draws)
        expected: Array = np.maximum(best - values, 0).mean(axis=1)
        return expected * probability_within(mean, sd, situation.limits)

    return gain


def preference(number: int, m: int) -> Array:
    """The weights (m,) of a proposal: positive, of sum 1.

    Uniform on the simplex: the gaps between sorted uniform numbers.
    """
    cuts = np.sort(_roberts(number, m - 1))
    return np.diff(np.concatenate([[0.0], cuts, [1.0]]))


def _roberts(number: int, d: int) -> Array:
    """Point `number` of Roberts' additive sequence in (0, 1)^d: multiples of powers of 1 / φ_d."""
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (d + 1))
    steps = root ** -np.arange(1, d + 1)
    return np.clip((0.5 + number * steps) % 1, 1e-9, 1 - 1e-9)
