"""Images from anywhere, as uint8 tensors in memory, split for training, validation and test.

DATA is one of

- a name: `digits`, `cifar10`, `caltech101`;
- a folder: `train/ val/ test/` of class folders, or one folder of class folders (`folders.py`);
- Parquet files: one, a folder of them, or a pattern such as "photos/*.parquet" (`parquet.py`).

Where the author gave a test split it is the test split. Where none was given, one fifth of each class is held
out by seed. The search never sees it: `load(…, with_test=False)` does not even read it. Validation images are
the author's, or `val_fraction` of each class of the training images, held out by seed.

>>> splits = load("digits", seed=0, val_fraction=0.2)
>>> splits.train.images.shape, splits.train.images.dtype, len(splits.class_names)
(torch.Size([1149, 1, 8, 8]), torch.uint8, 10)
"""

import glob
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from jouleshift.data.decoding import Form, common_form, decode_all
from jouleshift.data.listing import Indices, Listing, Listings, check_classes, hold_out, limit
from jouleshift.errors import BadInput, nearest

TEST_FRACTION = 0.2
"""Share of each class held out as the test split where the data set has none of its own."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSet:
    """Images, uint8 N×C×H×W, with C 1 (grey) or 3 (RGB), and their classes, int64 N."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """A data set ready for training. `skipped` names images left out because they cannot be read."""

    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    class_names: tuple[str, ...]
    name: str
    skipped: tuple[str, ...] = ()

    @property
    def mirrorable(self) -> bool:
        """Whether a mirrored image still belongs to its class.

        Judged from the class names: where all are numbers or single letters they are taken for characters
        (digits, MNIST, SVHN), and a mirrored 2 is no 2. Classes without names are numbers too.
        """
        return not all(name.isdigit() or len(name) == 1 for name in self.class_names)


def load(
    data: str,
    *,
    seed: int,
    val_fraction: float = 0.2,
    limit_train: int | None = None,
    limit_val: int | None = None,
    image_size: int | None = None,
    on_corrupt: Literal["refuse", "skip"] = "refuse",
    with_test: bool = True,
) -> Splits:
    """Read and split a data set. Raises `BadInput` in one line for whatever is wrong with it.

    The split depends on the data, `seed` and `val_fraction` only. `limit_train` and `limit_val` keep a
    stratified part of each; `image_size` is the side in pixels of the square images wanted, by default the
    data's own (see `decoding.py`). `with_test=False` leaves the test images unread and `test` None.
    """
    listings = _find(data)
    check_classes(listings, (listings.val is None) + (listings.test is None))
    parts = _split(listings, seed, val_fraction)
    (train, train_i), (val, val_i), (test, test_i) = parts
    train_i = limit(train.labels, train_i, limit_train, seed, "limit-train")
    val_i = limit(val.labels, val_i, limit_val, seed, "limit-val")
    form = common_form(listings.train, image_size)
    skipped: list[str] = []

    def images(listing: Listing, indices: Indices, part: str) -> ImageSet:
        return _decode(listing, indices, form, on_corrupt, skipped, f"{listings.name} {part}")

    return Splits(
        train=images(train, train_i, "train"),
        val=images(val, val_i, "val"),
        test=images(test, test_i, "test") if with_test else None,
        class_names=listings.class_names,
        name=listings.name,
        skipped=tuple(skipped),
    )


def _find(data: str) -> Listings:
    """Recognise what DATA names and list it."""
    from jouleshift.data.builtin import NAMED
    from jouleshift.data.folders import read_folder
    from jouleshift.data.parquet import read_parquet

    if data in NAMED:
        return NAMED[data]()
    if not data:
        raise BadInput("data is empty: expected a name, an image folder or a Parquet file")
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            files = [*path.glob("*.parquet"), *path.glob("*/*.parquet")]
            return read_parquet(files) if files else read_folder(path)
        if path.is_file():
            return read_parquet([path])
    except PermissionError as error:
        raise BadInput(f"cannot read {error.filename or path}: permission denied") from None
    if glob.has_magic(data):
        matches = [Path(match) for match in glob.glob(str(path))]  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise BadInput(f"no file matches {data}")
        return read_parquet(matches)
    hint = nearest(data, NAMED) if "/" not in data and "." not in data else ""
    raise BadInput(f"no data at {data}{hint}: expected a name, an image folder or a Parquet file")


def _split(
    listings: Listings, seed: int, val_fraction: float
) -> tuple[tuple[Listing, Indices], tuple[Listing, Indices], tuple[Listing, Indices]]:
    """(listing, numbers) of train, val and test; missing parts are held out of train, test first."""
    train = listings.train
    rest = np.arange(len(train))

    def part(own: Listing | None, fraction: float, stream: str) -> tuple[Listing, Indices]:
        nonlocal rest
        if own is not None:
            return own, np.arange(len(own))
        held = hold_out(train.labels, rest, fraction, seed, stream)
        rest = np.setdiff1d(rest, held)
        return train, held

    test = part(listings.test, TEST_FRACTION, "test")
    val = part(listings.val, val_fraction, "val")
    return (train, rest), val, test


def _decode(
    listing: Listing, indices: Indices, form: Form, on_corrupt: str, skipped: list[str], what: str
) -> ImageSet:
    decoded = decode_all(listing, indices, form, refuse=on_corrupt == "refuse")
    if decoded.skipped:
        _log.warning(
            "%s: %d unreadable image(s) left out: %s", what, len(decoded.skipped), decoded.skipped[0]
        )
        skipped.extend(decoded.skipped)
    if not len(decoded.kept):
        raise BadInput(f"{what}: no readable image")
    return ImageSet(decoded.images, torch.from_numpy(listing.labels[decoded.kept]))
