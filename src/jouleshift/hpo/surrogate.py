"""One forest over (configuration, log budget): every rung's results inform the prediction at full budget.

Hyperband's usual surrogate throws the cheap results away. Here each observation is a row of the
configuration's features and the logarithm of its budget, so the trees find for themselves where a ranking
carries over between budgets and where it does not. The spread of a prediction is the variance between the
trees plus the mean variance within their leaves (the law of total variance; Hutter et al., 2014).

Trees are replaced a few at a time, all while data is scarce and one per proposal once there are thousands
of rows, and a tree sees at most `_MAX_ROWS` of them, so the time of a proposal stays bounded.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import ExtraTreeRegressor

Array = NDArray[np.float64]
Features = NDArray[np.float32]

_MAX_ROWS = 4000
_ROWS_PER_REFRESH = 2000
"""Rows that all trees fitted for one proposal see together, about; at least one tree is fitted."""


class Forest:
    """A regression forest with random splits on bootstrap samples, for several targets at once."""

    def __init__(self, n_trees: int = 20, min_leaf: int = 1) -> None:
        self._trees: list[ExtraTreeRegressor | None] = [None] * n_trees
        self._min_leaf = min_leaf
        self._next = 0

    def fit(self, features: Features, targets: Array, rng: np.random.Generator) -> None:
        """Refresh trees with all the data, (n, f) and (n, t)."""
        n = len(features)
        rows = min(n, _MAX_ROWS)
        empty = sum(tree is None for tree in self._trees)
        refreshed = max(empty, min(len(self._trees), -(-_ROWS_PER_REFRESH * 2 // rows)))
        for _ in range(refreshed):
            drawn = rng.integers(n, size=rows)
            tree = ExtraTreeRegressor(
                min_samples_leaf=self._min_leaf, max_features=None, random_state=int(rng.integers(2**31))
            )
            tree.fit(features[drawn], targets[drawn], check_input=False)
            self._trees[self._next] = tree
            self._next = (self._next + 1) % len(self._trees)

    def predict(self, features: Features) -> tuple[Array, Array]:
        """Mean and standard deviation, (n, t) each."""
        means = []
        for tree in self._trees:
            assert tree is not None, "fit comes before predict"
            inner = tree.tree_
            means.append(inner.value[inner.apply(features), :, 0])
        stacked = np.stack(means)
        return stacked.mean(axis=0), stacked.std(axis=0)
