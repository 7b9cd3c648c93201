"""Expected hypervolume improvement in closed form, for any number of objectives, known ones included.

The hypervolume of a front is the volume of objective space it dominates, up to a reference point; what a
new point adds is the part of the *non-dominated* region that it dominates. Cut that region into disjoint
boxes [l, u): then a point y, everything minimised, adds in each box a volume of Π_j (u_j − max(l_j, y_j))⁺,
and each factor is (u_j − y_j)⁺ − (l_j − y_j)⁺. If the objectives of a candidate are predicted as
independent normals N(μ_j, σ_j²), the expectation of the product is the product of the expectations,

    EHVI = Σ_boxes Π_j [ψ(u_j) − ψ(l_j)],    ψ(a) = E (a − y)⁺ = (a − μ) Φ(z) + σ φ(z),  z = (a − μ) / σ,

(Emmerich, Deutz and Klinkenberg, 2011; the box form: Yang et al., 2019). An objective known before training
is the case σ = 0, where ψ(a) = (a − μ)⁺: nothing else changes, and with energy known and error predicted,
the sum runs over the steps of the front. One evaluation is a few array operations, so hundreds of
candidates are screened for a proposal.

An upper limit of an objective needs no term of its own: with the reference point at the limit, only the
volume below it counts, and EHVI is the expected gain of *feasible* volume.

The number of boxes is that of the front's points for two objectives and grows with their (m − 1)-th power, so
a front of many points is thinned to those that lie furthest apart.
"""

from itertools import pairwise

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from jouleshift.hpo.acquisition.situation import Array, Gain, Situation

_MOST_POINTS = {2: 400, 3: 40, 4: 14}
"""Of the front, by the number of objectives."""


def ehvi(situation: Situation) -> Gain:
    """Expected hypervolume improvement over the front."""
    most = _MOST_POINTS.get(len(situation.reference), min(_MOST_POINTS.values()))
    boxes = free_boxes(spread(situation.front, situation.reference, most), situation.reference)
    return lambda mean, sd: expected_improvement(mean, sd, boxes)


def pareto_mask(points: Array) -> NDArray[np.bool_]:
    """Which rows of (n, m) no other row dominates; of equal rows the first. Everything is minimised."""
    mask = np.zeros(len(points), dtype=bool)
    if len(points):
        distinct, first = np.unique(points, axis=0, return_index=True)
        mask[first[moocore.is_nondominated(distinct)]] = True
    return mask


def spread(front: Array, reference: Array, most: int) -> Array:
    """At most so many points of a front below the reference: the best in each objective, then always the one
    furthest from those chosen."""
    front = front[np.all(front < reference, axis=1)]
    if len(front) <= most:
        return front
    low = front.min(axis=0)
    scaled = (front - low) / np.maximum(reference - low, 1e-300)
    chosen = list(dict.fromkeys(int(i) for i in scaled.argmin(axis=0)))[:most]
    apart = np.min([((scaled - scaled[i]) ** 2).sum(axis=1) for i in chosen], axis=0)
    while len(chosen) < most:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return front[np.sort(chosen)]


def free_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Lower and upper corners, (k, m) each, of disjoint boxes that fill what `front` leaves below
    `reference`.

    Lower corners may be −∞. The region is sliced along the last objective at the front's values; in a slice
    the points below it count, in one objective less.
    """
    inside = front[np.all(front < reference, axis=1)]
    if len(reference) == 1:
        best = np.min(inside, axis=0, initial=reference[0])
        return np.array([[-np.inf]]), best.reshape(1, 1)
    inside = inside[pareto_mask(inside)]
    cuts = np.concatenate([[-np.inf], np.unique(inside[:, -1]), reference[-1:]])
    lowers, uppers = [], []
    for low, high in pairwise(cuts):
        lower, upper = free_boxes(inside[inside[:, -1] <= low, :-1], reference[:-1])
        lowers.append(np.column_stack([lower, np.full(len(lower), low)]))
        uppers.append(np.column_stack([upper, np.full(len(upper), high)]))
    return np.vstack(lowers), np.vstack(uppers)


def expected_improvement(mean: Array, sd: Array, boxes: tuple[Array, Array]) -> Array:
    """Expected hypervolume gain of n candidates with predictions `mean` and `sd`, both (n, m); sd 0 is
    exact."""
    lower, upper = boxes
    product = np.ones((len(mean), len(lower)))
    for j in range(mean.shape[1]):
        product *= _overlap(mean[:, j], sd[:, j], lower[:, j], upper[:, j])
    return product.sum(axis=1)


def _overlap(mean: Array, sd: Array, lower: Array, upper: Array) -> Array:
    """E (u − y)⁺ − E (l − y)⁺ for each candidate and box, (n, k); equal ends are computed once."""
    ends, where = np.unique(np.concatenate([lower, upper]), return_inverse=True)
    finite = np.isfinite(ends)
    values = np.zeros((len(mean), len(ends)))
    gap = ends[None, finite] - mean[:, None]
    if np.any(sd > 0):
        scale = np.maximum(sd, 1e-12 * (1 + np.abs(mean)))[:, None]
        z = gap / scale
        values[:, finite] = gap * ndtr(z) + scale * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    else:
        values[:, finite] = np.maximum(gap, 0)
    return values[:, where[len(lower) :]] - values[:, where[: len(lower)]]
