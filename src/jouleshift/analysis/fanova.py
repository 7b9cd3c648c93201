"""Functional analysis of variance of random forests, exactly.

How much does a hyperparameter matter? Average the objective over all others: what is left is a curve, the
*marginal*. The more that curve varies, the more the hyperparameter matters by itself; its variance as a share
of the objective's total variance over the space is the *main effect*. What a pair explains beyond its two
curves is their *interaction* (Hutter, Hoos and Leyton-Brown, ICML 2014).

A regression tree cuts the space into boxes with a constant in each, so averages over it are sums over boxes
and need no sampling. For a hyperparameter j, a box of volume w that spans the width d in j adds its value
times w/d to the marginal all along its span: one entry where it starts, one taken back where it ends, and a
running sum. That is linear in the number of boxes; pairs are the same in two dimensions.

A tree grown on few results cuts coarsely and adds interactions of its own, so with little data all shares are
too low together, more so in many dimensions; their order is what to rely on.

One forest answers for one objective. A forest on several cuts where the sum of their variances falls most,
that is, along what the least noisy one depends on, and shows the others mostly through those cuts: for a
noisy error beside an exact energy and 126 trials, the error's true cause had 8 % instead of 55 %.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """A tree as a partition of the unit cube: n boxes with corners `low`, `high` (n, d) and values (n,)."""

    low: FloatArray
    high: FloatArray
    value: FloatArray

    @property
    def volume(self) -> FloatArray:
        """The share of the cube of each box, shape (n,)."""
        return np.prod(self.high - self.low, axis=1)


def boxes_of(tree: Any, levels: NDArray[np.intp]) -> Boxes:
    """The boxes of a fitted scikit-learn tree (its `tree_`) on the unit cube.

    `levels` has the number of levels of each axis, 0 for a continuous one. A cut between two levels is moved
    to the border of their equal shares.
    """
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    low = np.zeros((tree.node_count, len(levels)))
    high = np.ones((tree.node_count, len(levels)))
    size = levels[np.maximum(feature, 0)]  # a leaf has feature −2 and no cut
    cut = np.where(size > 0, _border(tree.threshold, np.maximum(size, 1)), tree.threshold)
    nodes = np.array([0]) if left[0] >= 0 else np.array([], dtype=int)
    while nodes.size:
        for child, bound in ((left[nodes], high), (right[nodes], low)):
            low[child], high[child] = low[nodes], high[nodes]
            bound[child, feature[nodes]] = cut[nodes]
        below = np.concatenate((left[nodes], right[nodes]))
        nodes = below[left[below] >= 0]
    leaves = np.flatnonzero(left < 0)
    return Boxes(low[leaves], high[leaves], tree.value[leaves].ravel())


def _border(threshold: FloatArray, size: NDArray[np.intp]) -> FloatArray:
    """The border above all of `size` levels that a threshold sends left, compared as scikit-learn does."""
    below = np.floor(threshold * size - 0.5 + 1e-6)
    misses = ((below + 0.5) / size).astype(np.float32) > threshold
    return (below + 1 - misses) / size


@dataclass(frozen=True)
class Marginal:
    """The mean over all other axes as a step function: `edges` (k + 1,), `value` (k,) between them."""

    edges: FloatArray
    value: FloatArray

    def __call__(self, places: FloatArray) -> FloatArray:
        """The values at places in 0 … 1."""
        at = np.searchsorted(self.edges, places, side="left") - 1
        return self.value[np.clip(at, 0, len(self.value) - 1)]


@dataclass(frozen=True)
class Decomposition:
    """A tree's variance by its causes."""

    mean: float
    total: float
    main: FloatArray
    """(d,)"""
    pairs: FloatArray
    """(d (d − 1) / 2,): what pairs explain beyond their main effects, in the order of combinations."""
    marginals: tuple[Marginal, ...]


def decompose(boxes: Boxes, pairs: bool = True) -> Decomposition:
    """Split the variance of a tree into main effects and, if wanted, interactions of pairs."""
    share = boxes.volume
    weighted = boxes.value * share
    mean = float(weighted.sum())
    spans = [_Span.of(boxes, axis) for axis in range(boxes.low.shape[1])]
    marginals = tuple(span.marginal(weighted) for span in spans)
    main = [_variance(m.value - mean, np.diff(m.edges)) for m in marginals]
    joint = [
        _joint(spans[i], spans[j], weighted, mean) - main[i] - main[j]
        for i, j in combinations(range(len(spans)), 2)
        if pairs
    ]
    total = _variance(boxes.value - mean, share)
    return Decomposition(mean, total, np.array(main), np.array(joint), marginals)


@dataclass(frozen=True)
class _Span:
    """Where the boxes start and end along one axis, as indices into the borders that occur there."""

    edges: FloatArray
    start: NDArray[np.intp]
    end: NDArray[np.intp]
    width: FloatArray

    @classmethod
    def of(cls, boxes: Boxes, axis: int) -> "_Span":
        low, high = boxes.low[:, axis], boxes.high[:, axis]
        edges = np.unique(np.concatenate((low, high)))
        return cls(edges, np.searchsorted(edges, low), np.searchsorted(edges, high), high - low)

    def marginal(self, weighted: FloatArray) -> Marginal:
        """The mean of the other axes; `weighted` is value × volume of each box, (n,)."""
        amount = weighted / self.width
        steps = np.bincount(self.start, amount, len(self.edges)).astype(np.float64)
        steps -= np.bincount(self.end, amount, len(self.edges))
        return Marginal(self.edges, np.cumsum(steps)[:-1])


def _joint(one: _Span, two: _Span, weighted: FloatArray, mean: float) -> float:
    """Variance of the mean over all axes but two."""
    shape = (len(one.edges), len(two.edges))
    corners = (
        (one.start, two.start, 1),
        (one.start, two.end, -1),
        (one.end, two.start, -1),
        (one.end, two.end, 1),
    )
    flat = np.concatenate([rows * shape[1] + columns for rows, columns, _ in corners])
    amount = weighted / (one.width * two.width)
    signed = np.concatenate([sign * amount for _, _, sign in corners])
    grid = np.bincount(flat, signed, shape[0] * shape[1]).reshape(shape)
    values = grid.cumsum(axis=0).cumsum(axis=1)[:-1, :-1].ravel()
    return _variance(values - mean, np.outer(np.diff(one.edges), np.diff(two.edges)).ravel())


def _variance(centred: FloatArray, share: FloatArray) -> float:
    return float(centred**2 @ share)


def grow(x: FloatArray, y: FloatArray, trees: int, seed: int) -> list[Any]:
    """The trees of a scikit-learn forest on (n, d) places and (n,) values, each with its `tree_`."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(trees, random_state=seed).fit(x, y)
    return [member.tree_ for member in forest.estimators_]
