"""How far the sums of a layer can reach, over all images and all orders of adding.

A partial sum is largest where every positive weight meets the largest input and every negative one the
smallest, and no other term has been added yet; zero padding adds nothing. In Python's integers, which know no
overflow.
"""

import numpy as np
from numpy.typing import NDArray

from jouleshift.deploy.nodes import Int64Array, limits
from jouleshift.quant.fixed_point import FixedPoint

IntegerArray = NDArray[np.object_]
"""Python integers."""


def partial_sums(
    integers: Int64Array, fmt: FixedPoint, bias: Int64Array | int = 0
) -> tuple[IntegerArray, IntegerArray]:
    """The smallest and largest partial sum of each channel (out,), for weights (out, …) and inputs of `fmt`.

    The weights of one channel must not add up to more than 63 bits.
    """
    lowest, highest = limits(fmt)
    by_channel = integers.reshape(len(integers), -1)
    positive = np.maximum(by_channel, 0).sum(1).astype(object)
    negative = np.minimum(by_channel, 0).sum(1).astype(object)
    low = positive * min(lowest, 0) + negative * highest + np.minimum(bias, 0)
    high = positive * highest + negative * min(lowest, 0) + np.maximum(bias, 0)
    return low, high
