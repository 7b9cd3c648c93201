"""What is known of configurations before training, and limits on it.

Modelled energy and size follow from the configuration alone. A limit on such a value is exact: what breaks it
is never trained. Where hardly any configuration keeps the limits, drawing from the space finds none, so those
that come nearest are mutated until some do.
"""

import numpy as np
from numpy.typing import NDArray

from jouleshift.errors import BadInput
from jouleshift.hpo.encoding import Encoding, Vectors
from jouleshift.hpo.scheduler import Problem

Array = NDArray[np.float64]

_ROUNDS, _PARENTS = 30, 20
"""Of the way to configurations that keep the limits."""
_LOOKED_AT = 100


class Known:
    """Known values of vectors, in the order of `problem.needed`, q of them; the others count as 0."""

    def __init__(self, problem: Problem, encoding: Encoding) -> None:
        self._functions = {j: problem.known[n] for j, n in enumerate(problem.needed) if n in problem.known}
        self._encoding = encoding
        self._limits = np.array(
            [problem.constraints.get(n, np.inf) if n in problem.known else np.inf for n in problem.needed]
        )

    def values(self, vectors: Vectors) -> Array:
        """(n, q)."""
        values = np.zeros((len(vectors), len(self._limits)))
        if self._functions and len(vectors):
            configs = self._encoding.values(vectors)
            for j, function in self._functions.items():
                values[:, j] = [function(config) for config in configs]
        return values

    def keeps(self, values: Array) -> NDArray[np.bool_]:
        """Which rows (n, q) keep every limit."""
        return np.all(values <= self._limits, axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> Vectors:
        """Random vectors that keep the limits; where hardly any does, some that were led there."""
        vectors = self._encoding.sample(n, rng)
        bounded = np.isfinite(self._limits)
        if not bounded.any():
            return vectors
        limits = self._limits[bounded]
        for _ in range(_ROUNDS):
            known = self.values(vectors)
            if self.keeps(known).sum() >= min(_PARENTS, n):
                break
            excess = np.maximum(known[:, bounded] - limits, 0) / np.where(limits == 0, 1, np.abs(limits))
            parents = vectors[np.argsort(excess.sum(axis=1), kind="stable")[:_PARENTS]]
            children = self._encoding.mutate(parents[rng.integers(len(parents), size=n)], rng)
            vectors = np.vstack([parents, children])
        return vectors[self.keeps(self.values(vectors))]


def refuse_impossible(problem: Problem) -> None:
    """Raise BadInput where no configuration is found that keeps the known limits."""
    limits, rng = problem.known_limits, np.random.default_rng(problem.seed)
    if limits and not len(Known(problem, Encoding(problem.space)).sample(_LOOKED_AT, rng)):
        raise BadInput(
            f"no configuration was found that keeps {limits}; loosen the constraint or widen the space"
        )
