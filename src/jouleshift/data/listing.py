"""What a data set holds before anything is decoded, and how it is split.

A `Listing` knows each image's class and where its bytes are. Splitting and limiting work on listings, so only
the images that are asked for are ever read, and a split depends on nothing but the names or row numbers of
the images and the seed: not on the file system's order, the limits, or the image size.

Splits are stratified: each class gives the same share, rounded, of at least one image. Limits are nested:
the images of a small limit are, class by class, among those of a larger one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jouleshift.data.randomness import derived_seed
from jouleshift.errors import BadInput

Item = bytes | Path | NDArray[np.uint8]
"""One image: an encoded file's content, its path, or pixels H×W or H×W×3."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Listing:
    """Images by number: `labels[i]` is the class of image i, `describe(i)` its name in messages.

    `items` yields the images of the given ascending numbers, in that order.
    """

    labels: NDArray[np.int64]
    items: Callable[[Indices], Iterator[Item]]
    describe: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Listings:
    """A data set as its author laid it out; a missing part is held out of `train` later."""

    name: str
    class_names: tuple[str, ...]
    train: Listing
    val: Listing | None = None
    test: Listing | None = None


def hold_out(labels: NDArray[np.int64], among: Indices, fraction: float, seed: int, stream: str) -> Indices:
    """The ascending numbers of a stratified share of the images `among`, at least one of each class."""
    held = []
    for members in _members_by_class(labels, among, seed, stream):
        n = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held.append(members[:n])
    return np.sort(np.concatenate(held))


def limit(labels: NDArray[np.int64], among: Indices, n: int | None, seed: int, stream: str) -> Indices:
    """At most n of the images `among`, each class by its share (largest remainders, ties by seed)."""
    if n is None or n >= len(among):
        return among
    members = _members_by_class(labels, among, seed, stream)
    shares = np.array([len(m) for m in members]) * n / len(among)
    quotas = np.floor(shares).astype(np.int64)
    tie_break = np.random.default_rng(derived_seed(seed, stream, "ties")).permutation(len(members))
    by_remainder = np.lexsort((tie_break, -(shares - quotas).round(9)))
    quotas[by_remainder[: n - quotas.sum()]] += 1
    return np.sort(np.concatenate([m[:q] for m, q in zip(members, quotas, strict=True)]))


def check_classes(listings: Listings, held_out_parts: int) -> None:
    """Refuse a data set that has no two classes, or a class too small to appear in each part of a split."""
    counts = np.bincount(listings.train.labels, minlength=len(listings.class_names))
    present = int((counts > 0).sum())
    if present < 2:
        raise BadInput(f"{listings.name}: {present} class with images; classification needs at least two")
    needed = 1 + held_out_parts
    for name, count in zip(listings.class_names, counts, strict=True):
        if 0 < count < needed:
            raise BadInput(
                f"{listings.name}: class {name!r} has {count} image(s), too few to split into {needed} "
                "parts; add images or remove the class"
            )


def _members_by_class(
    labels: NDArray[np.int64], among: Indices, seed: int, stream: str
) -> list[NDArray[np.int64]]:
    """The numbers of each class present, each class in a random order of its own."""
    members = []
    for label in np.unique(labels[among]):
        rng = np.random.default_rng(derived_seed(seed, stream, int(label)))
        members.append(rng.permutation(among[labels[among] == label]))
    return members
