"""Data sets known by name.

- `digits`: scikit-learn's 1,797 handwritten digits, 8×8, grey, part of its package: no download. Values
  0 … 16 are scaled to 0 … 255. It has no published split, so all three parts are split by seed.
- `cifar10`: 50,000 training and 10,000 test images, 32×32 (Krizhevsky, 2009).
- `caltech101`: 8,677 images of 101 classes, of many sizes (Fei-Fei et al., 2004), without the background
  class and without a published split.

The last two come through torchvision, which downloads them once and checks them against published sums, into
`$XDG_CACHE_HOME/jouleshift` (default ~/.cache/jouleshift).
"""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jouleshift.data.folders import read_folder
from jouleshift.data.listing import Indices, Item, Listing, Listings
from jouleshift.errors import BadInput

_PATIENCE_S = 20.0


def read_digits() -> Listings:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    listing = array_listing(pixels, bunch.target.astype(np.int64), "digits")
    return Listings("digits", tuple(str(name) for name in bunch.target_names), listing)


def read_cifar10() -> Listings:
    from torchvision.datasets import CIFAR10

    train, test = (_downloaded("cifar10", CIFAR10, train=part) for part in (True, False))
    listings = [
        array_listing(part.data, np.array(part.targets, dtype=np.int64), f"cifar10 {name}")
        for part, name in ((train, "train"), (test, "test"))
    ]
    return Listings("cifar10", tuple(train.classes), listings[0], test=listings[1])


def read_caltech101() -> Listings:
    from torchvision.datasets import Caltech101

    root = Path(_downloaded("caltech101", Caltech101).root) / "101_ObjectCategories"
    return read_folder(root, name="caltech101", without=("BACKGROUND_Google",))


NAMED: dict[str, Callable[[], Listings]] = {
    "digits": read_digits,
    "cifar10": read_cifar10,
    "caltech101": read_caltech101,
}
"""How each data set known by name is read."""


def cache_folder() -> Path:
    """Where downloads are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "jouleshift"


def _downloaded(name: str, dataset: Callable[..., Any], **options: Any) -> Any:
    """A torchvision data set, downloaded on first use. `BadInput` says how to do without the network."""
    folder = cache_folder()
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE_S)
    try:
        return dataset(folder, download=True, **options)
    except (OSError, RuntimeError, EOFError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise BadInput(
            f"cannot download {name} to {folder} ({reason}); offline, name a Parquet file or an image folder "
            f"with its images instead, e.g. jouleshift search {name}-train.parquet"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def array_listing(pixels: NDArray[np.uint8], labels: NDArray[np.int64], name: str) -> Listing:
    """A listing of decoded images, N×H×W or N×H×W×3."""

    def items(indices: Indices) -> Iterator[Item]:
        return (pixels[i] for i in indices)

    return Listing(labels, items, lambda i: f"{name} image {i}")
