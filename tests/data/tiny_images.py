"""Makes tiny data sets on disk."""

import io
from pathlib import Path

from PIL import Image


def encoded(pixels, kind="PNG"):
    """Pixels (array or Pillow image) as an encoded file's bytes."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def coloured(value, size=(6, 6)):
    """An RGB image of one colour that identifies it: `value` in red."""
    return Image.new("RGB", size, (value, 128, 255 - value))


def write_classes(root: Path, counts, size=(6, 6), start=0):
    """root/CLASS/N.png, the N-th picture of all with N as its red value."""
    number = start
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for _ in range(count):
            coloured(number, size).save(root / name / f"{number:03d}.png")
            number += 1
    return root
