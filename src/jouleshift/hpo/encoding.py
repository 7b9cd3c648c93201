"""A configuration space as arrays: a thousand candidates in a millisecond.

ConfigSpace keeps each hyperparameter as one number (0 … 1 for numbers, an index for choices, NaN where
inactive). Building its `Configuration` objects costs a third of a millisecond each, so candidates stay
arrays of these numbers, "vectors", until one is chosen. `features` turns vectors into what distances make
sense in: choices one-hot, since their order means nothing, and inactive in the middle of the range.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration
from ConfigSpace.exceptions import ForbiddenValueError
from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, OrdinalHyperparameter
from numpy.typing import NDArray

from jouleshift.hpo.scheduler import plain
from jouleshift.records import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

Vectors = NDArray[np.float64]
"""(n, d): n configurations of d hyperparameters in ConfigSpace's own coding."""

_STEP = 0.2
"""Standard deviation of a mutated number, as a share of its range."""


class Encoding:
    """Vectors, features and plain configurations of one space."""

    def __init__(self, space: "ConfigurationSpace") -> None:
        self.space = deepcopy(space)
        self.names = list(self.space.keys())
        self._hyperparameters = list(self.space.values())
        self._conditions = list(self.space.conditions)
        self._column = {name: i for i, name in enumerate(self.names)}
        self.free = [i for i, hp in enumerate(self._hyperparameters) if hp.size > 1]

    def sample(self, n: int, rng: np.random.Generator) -> Vectors:
        """Random vectors by the space's own priors, inactive hyperparameters as NaN."""
        return self._deactivated(self._columns(n, rng))

    def sample_allowed(self, n: int, rng: np.random.Generator) -> Vectors:
        """Random vectors that no forbidden clause rules out, by the space's own sampler, a thousand times
        slower. Where it has no such clause `sample` gives those already, and this one none."""
        if not self.space.forbidden_clauses:
            return np.empty((0, len(self.names)))
        self.space.seed(int(rng.integers(2**31)))
        return np.stack([np.array(self.space.sample_configuration().get_array()) for _ in range(n)])

    def mutate(self, parents: Vectors, rng: np.random.Generator) -> Vectors:
        """Each parent with one hyperparameter changed for certain and any other with a chance of one in d."""
        fresh = self._columns(len(parents), rng)
        children = np.where(np.isnan(parents), fresh, parents)
        if not self.free or not len(parents):
            return self._deactivated(children)
        changes = rng.random(parents.shape) < 1 / len(self.free)
        changes[np.arange(len(parents)), rng.choice(self.free, len(parents))] = True
        for i in self.free:
            rows = changes[:, i]
            hp = self._hyperparameters[i]
            if isinstance(hp, CategoricalHyperparameter):
                children[rows, i] = fresh[rows, i]
            elif isinstance(hp, OrdinalHyperparameter):
                moved = children[rows, i] + rng.choice([-1, 1], rows.sum())
                children[rows, i] = np.clip(moved, 0, hp.size - 1)
            else:
                steps = max(_STEP, 1 / (hp.size - 1)) if np.isfinite(hp.size) else _STEP
                moved = np.clip(children[rows, i] + steps * rng.standard_normal(rows.sum()), 0, 1)
                children[rows, i] = hp.to_vector(hp.to_value(moved)) if rows.any() else moved
        return self._deactivated(children)

    def values(self, vectors: Vectors) -> list[dict[str, Value]]:
        """Vectors as plain configurations, for functions of a configuration."""
        columns: list[list[Any]] = []
        for i, hp in enumerate(self._hyperparameters):
            active = ~np.isnan(vectors[:, i])
            column: list[Any] = [None] * len(vectors)
            if active.any():
                found = _plain_values(np.asarray(hp.to_value(vectors[active, i])))
                for row, value in zip(np.flatnonzero(active).tolist(), found, strict=True):
                    column[row] = value
            columns.append(column)
        return [
            {name: value for name, value in zip(self.names, row, strict=True) if value is not None}
            for row in zip(*columns, strict=True)
        ]

    @property
    def groups(self) -> list[int]:
        """For each feature the number of the hyperparameter it comes from, constants not counted."""
        varying = [hp for hp in self._hyperparameters if not isinstance(hp, Constant)]
        return [k for k, hp in enumerate(varying) for _ in range(_width(hp))] or [0]

    def features(self, vectors: Vectors) -> NDArray[np.float64]:
        """(n, f): numbers and two-way choices as they are, other choices one-hot, inactive ½."""
        columns: list[NDArray[np.float64]] = []
        for i, hp in enumerate(self._hyperparameters):
            column = vectors[:, i]
            if isinstance(hp, Constant):
                continue
            if _width(hp) > 1:
                hot = (column[:, None] == np.arange(hp.size)).astype(float)
                columns += list(np.where(np.isnan(column)[:, None], 0.5, hot).T)
            elif isinstance(hp, OrdinalHyperparameter):
                columns.append(np.where(np.isnan(column), 0.5, column / max(1, hp.size - 1)))
            else:
                columns.append(np.where(np.isnan(column), 0.5, column))
        return np.column_stack(columns) if columns else np.zeros((len(vectors), 1))

    def vector(self, config: Mapping[str, Value]) -> NDArray[np.float64]:
        return np.array(Configuration(self.space, values=dict(config)).get_array())

    def configuration(self, vector: NDArray[np.float64]) -> dict[str, Value] | None:
        """The plain configuration of a vector, or None where the space forbids it."""
        try:
            configuration = Configuration(self.space, vector=vector)
            configuration.check_valid_configuration()
        except ForbiddenValueError:
            return None
        return plain(configuration)

    def _columns(self, n: int, rng: np.random.Generator) -> Vectors:
        state = np.random.RandomState(rng.integers(2**32))
        return np.column_stack([np.asarray(hp.sample_vector(n, seed=state)) for hp in self._hyperparameters])

    def _deactivated(self, vectors: Vectors) -> Vectors:
        """Children of unmet conditions set to NaN, until nothing changes."""
        changed = bool(self._conditions)
        while changed:
            changed = False
            for condition in self._conditions:
                column = self._column[condition.child.name]
                for row in np.flatnonzero(~np.isnan(vectors[:, column])):
                    if not condition.satisfied_by_vector(vectors[row]):
                        vectors[row, column] = np.nan
                        changed = True
        return vectors


def _plain_values(values: NDArray[Any]) -> list[Any]:
    """An array as plain Python values."""
    if values.dtype == object:
        return [getattr(value, "item", lambda v=value: v)() for value in values]
    return values.tolist()


def _width(hp: "Hyperparameter") -> int:
    """How many features a hyperparameter becomes."""
    return hp.size if isinstance(hp, CategoricalHyperparameter) and hp.size > 2 else 1
