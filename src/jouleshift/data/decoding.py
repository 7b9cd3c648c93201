"""From encoded images of any kind to one uint8 tensor.

All images of a data set take one form, channels × height × width:

- *size*: the data's own where its images agree on one that is not larger than 224 pixels, else 64 × 64,
  unless the caller names a size. Resizing is Pillow's bilinear filter, which averages when it shrinks
  (antialiased), and does not keep the aspect ratio: nothing is cut off.
- *channels*: 1 where all images are grey, else 3 (RGB). Palettes are looked up, transparency is laid over
  white, 16-bit grey keeps its upper 8 bits, and so do 32-bit integers unless all of an image's fit 8 bits.
  CMYK and others are converted. EXIF rotation is applied.

Size and colour are judged from up to 512 images spread evenly over the data set, so that a million files
need not be opened twice; an image that differs from them is converted like any other.

An image that cannot be decoded (not an image, truncated, empty, more than 64 million pixels) is refused by
name or left out, as the caller chooses. Decoding runs in threads, whole chunks at a time: Pillow releases the
interpreter while it decompresses.
"""

import io
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from jouleshift.data.listing import Indices, Item, Listing
from jouleshift.errors import BadInput

LARGEST_OWN_SIZE = 224
DEFAULT_SIZE = 64
MAX_PIXELS = 64_000_000
_PROBES = 512
_CHUNK = 64
_CHUNKS_AT_A_TIME = 32
_ORIENTATION = 0x0112
_GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"}
_UNDECODABLE = (
    OSError,
    SyntaxError,  # what Pillow raises for a broken PNG
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Form:
    """The common shape of a data set's images, in pixels."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Decoded:
    """`images` is a uint8 tensor N×C×H×W, channels last in memory, of the images `kept`.

    `skipped` names the other images and says why they cannot be read.
    """

    images: torch.Tensor
    kept: Indices
    skipped: tuple[str, ...]


class _Undecodable(Exception):  # noqa: N818 - carries why an image cannot be decoded to the one who asked
    pass


def common_form(listing: Listing, image_size: int | None) -> Form:
    """The form of a data set's images, judged from up to 512 of them; unreadable ones are passed over."""
    chosen = np.unique(np.linspace(0, len(listing) - 1, min(len(listing), _PROBES)).astype(np.int64))
    sizes, grey = set(), True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in listing.items(chosen):
            try:
                with _opened(item) as image:
                    turned = image.getexif().get(_ORIENTATION, 1) >= 5
                    sizes.add(image.size[::-1] if turned else image.size)
                    grey &= image.mode in _GREY_MODES
            except (*_UNDECODABLE, _Undecodable):
                continue
    if image_size is not None:
        width = height = image_size
    elif len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_OWN_SIZE:
        width, height = next(iter(sizes))
    else:
        width = height = DEFAULT_SIZE
    return Form(1 if grey and sizes else 3, height, width)


def decode_all(listing: Listing, indices: Indices, form: Form, *, refuse: bool) -> Decoded:
    """Decode the images of the given ascending numbers. `BadInput` where `refuse` and one is unreadable."""
    _check_memory(len(indices), form)
    out = np.empty((len(indices), form.height, form.width, form.channels), dtype=np.uint8)
    good = np.ones(len(indices), dtype=bool)
    skipped: list[str] = []
    items = listing.items(indices)
    workers = min(8, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on EXIF, palettes and large images
        for chunks in _blocks(items):
            tasks = pool.map(lambda task: _decode_chunk(task[0], task[1], out, form), chunks)
            for position, reason in sorted(fault for faults in tasks for fault in faults):
                message = f"{listing.describe(int(indices[position]))}: {reason}"
                if refuse:
                    raise BadInput(f"{message} (--on-corrupt skip leaves such images out)")
                good[position] = False
                skipped.append(message)
    kept = out if good.all() else out[good]
    return Decoded(torch.from_numpy(kept).permute(0, 3, 1, 2), indices[good], tuple(skipped))


def _blocks(items: Iterator[Item]) -> Iterator[list[tuple[int, list[Item]]]]:
    """Blocks of (position, chunk) pairs, so that only one block of encoded images is in memory at a time."""
    position = 0
    while True:
        chunks = []
        for _ in range(_CHUNKS_AT_A_TIME):
            chunk = list(islice(items, _CHUNK))
            if chunk:
                chunks.append((position, chunk))
                position += len(chunk)
        if not chunks:
            return
        yield chunks


def _decode_chunk(
    position: int, chunk: Sequence[Item], out: NDArray[np.uint8], form: Form
) -> list[tuple[int, str]]:
    """Decode a chunk into `out` from `position` on; the positions and reasons of those that cannot be."""
    faults = []
    for offset, item in enumerate(chunk):
        try:
            out[position + offset] = _decode(item, form)
        except _Undecodable as error:
            faults.append((position + offset, str(error)))
        except UnidentifiedImageError:
            faults.append((position + offset, "not an image file"))
        except _UNDECODABLE as error:
            faults.append((position + offset, f"unreadable image: {error}"))
    return faults


def _opened(item: Item) -> Image.Image:
    """The image with its header read. `_Undecodable` for nothing at all, or for a decompression bomb."""
    if isinstance(item, np.ndarray):
        return Image.fromarray(item)
    encoded = item.read_bytes() if isinstance(item, Path) else item
    if not encoded:
        raise _Undecodable("empty, zero bytes")
    image = Image.open(io.BytesIO(encoded))
    if image.width * image.height > MAX_PIXELS:
        raise _Undecodable(f"{image.width}×{image.height} pixels, more than {MAX_PIXELS // 10**6} million")
    return image


def _decode(item: Item, form: Form) -> NDArray[np.uint8]:
    """One image as H×W×C."""
    with _opened(item) as image:
        wanted = (form.width, form.height)
        if image.size != wanted:
            image.draft(None, (2 * form.width, 2 * form.height))  # JPEG: decode at a coarser scale
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        image = _in_mode(image, "L" if form.channels == 1 else "RGB")
        if image.size != wanted:
            image = image.resize(wanted, Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[:, :, None] if form.channels == 1 else pixels


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(image))
    elif image.mode == "F":
        raise _Undecodable("pixels are floats of unknown range; save it with 8 or 16 bits")
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Of integers the upper 8 of 16 bits, or, of 32-bit ones that all fit 8 bits, those. A PNG may name one
    value that is transparent."""
    values = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
    fits = image.mode == "I" and values.max() <= 255
    return np.where(
        values == image.info.get("transparency", -1), 255, values if fits else values >> 8
    ).astype(np.uint8)


def _check_memory(n: int, form: Form) -> None:
    wanted = n * form.channels * form.height * form.width
    available = psutil.virtual_memory().available
    if wanted > 0.8 * available:
        raise BadInput(
            f"{n} images of {form.width}×{form.height} need {wanted / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are free; set a smaller image_size, limit_train or limit_val"
        )
