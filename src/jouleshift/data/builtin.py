"""Data sets known by name.

- `digits`: scikit-learn's 1,797 handwritten digits, 8×8, grey, part of its package: no download. Values
  0 … 16 are scaled to 0 … 255. It has no published split, so all three parts are split by seed.
- `cifar10`, `caltech101`: through torchvision, downloaded once into a cache folder.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from jouleshift.data.listing import Indices, Item, Listing, Listings


def read_digits() -> Listings:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    listing = array_listing(pixels, bunch.target.astype(np.int64), "digits")
    return Listings("digits", tuple(str(name) for name in bunch.target_names), listing)


def array_listing(pixels: NDArray[np.uint8], labels: NDArray[np.int64], name: str) -> Listing:
    """A listing of decoded images, N×H×W or N×H×W×3."""

    def items(indices: Indices) -> Iterator[Item]:
        return (pixels[i] for i in indices)

    return Listing(labels, items, lambda i: f"{name} image {i}")
