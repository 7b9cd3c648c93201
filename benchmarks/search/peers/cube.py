"""A space as a unit cube, for peers that know nothing but numbers: choices one-hot, the largest wins."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from ConfigSpace.hyperparameters import CategoricalHyperparameter
from numpy.typing import NDArray

from jouleshift.hpo.encoding import Encoding
from jouleshift.records import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Array = NDArray[np.float64]


class Cube:
    """Points in [0, 1]^width and the nearest configurations. Without conditions and forbidden clauses."""

    def __init__(self, space: "ConfigurationSpace") -> None:
        self._encoding = Encoding(space)
        self._hyperparameters = list(space.values())
        self.width = len(self._encoding.groups)

    def point(self, config: Mapping[str, Value]) -> Array:
        return self._encoding.features(self._encoding.vector(config)[None])[0]

    def configuration(self, point: Array) -> dict[str, Value]:
        vector, column = [], 0
        for hp in self._hyperparameters:
            if not isinstance(hp, CategoricalHyperparameter):
                vector.append(float(hp.to_vector(hp.to_value(np.clip(point[column : column + 1], 0, 1)))[0]))
                column += 1
            elif hp.size == 2:
                vector.append(float(point[column] > 0.5))
                column += 1
            else:
                vector.append(float(np.argmax(point[column : column + hp.size])))
                column += hp.size
        config = self._encoding.configuration(np.array(vector))
        assert config is not None
        return config
