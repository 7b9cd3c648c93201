"""The model card's code makes of a file what the network was trained on."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jouleshift.data.decoding import Form, decode_all
from jouleshift.data.listing import Listing
from jouleshift.deploy.card import Card, _input
from jouleshift.records import CarbonIntensity

CARD = Card(
    name="n",
    network="tiny",
    data="d",
    image_shape=(1, 8, 8),
    class_names=("a", "b"),
    mean=(0.0,),
    std=(1.0,),
    accuracy={},
    energy=(),
    intensity=CarbonIntensity(1.0, "DEU", 2024, "test"),
    configuration={},
    versions={},
)


def pixels(*shape, highest=256, kind=np.uint8):
    return np.random.default_rng(0).integers(0, highest, shape).astype(kind)


def images():
    grey, colour, wide = pixels(8, 8), pixels(8, 8, 3), pixels(8, 8, highest=65536, kind=np.uint16)
    alpha = Image.fromarray(pixels(8, 8, 4), "RGBA")
    yield "L", Image.fromarray(grey), "png", {}
    yield "L with a key", Image.fromarray(grey), "png", {"transparency": int(grey[2, 3])}
    yield "LA", alpha.convert("LA"), "png", {}
    yield "P", Image.fromarray(colour).quantize(8), "png", {}
    yield "P with a key", Image.fromarray(colour).quantize(8), "png", {"transparency": 2}
    yield "RGB", Image.fromarray(colour), "png", {}
    yield "RGB with a key", Image.fromarray(colour), "png", {"transparency": tuple(map(int, colour[4, 5]))}
    yield "RGBA", alpha, "png", {}
    yield "CMYK", Image.fromarray(colour).convert("CMYK"), "tiff", {}
    yield "I;16", Image.fromarray(wide), "png", {}
    yield "I;16 with a key", Image.fromarray(wide), "png", {"transparency": int(wide[2, 3])}
    yield "I;16 TIFF", Image.fromarray(wide), "tiff", {}
    yield "I", Image.fromarray(wide.astype(np.int32)), "tiff", {}
    yield "I of 8 bits", Image.fromarray(grey.astype(np.int32)), "tiff", {}
    yield "1", Image.fromarray(grey > 99), "png", {}
    yield "of another size", Image.fromarray(pixels(20, 30, 3)), "png", {}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("image", "suffix", "options"), [pytest.param(*case, id=n) for n, *case in images()])
def test_prepare_is_the_librarys_decoding(image, suffix, options, channels, tmp_path):
    file = tmp_path / f"x.{suffix}"
    image.save(file, **options)
    listing = Listing(np.zeros(1, np.int64), lambda _: iter([file]), lambda _: "x")
    expected = decode_all(listing, np.arange(1), Form(channels, 8, 8), refuse=True).images.numpy()
    card = replace(CARD, image_shape=(channels, 8, 8), mean=(0.0,) * channels, std=(1.0,) * channels)
    code = re.search(r"```python\n(.*?)```", _input(card), re.DOTALL)
    names = {}
    exec(code[1], names)
    assert np.array_equal(names["prepare"](file), expected.astype(np.float32))
    if "transparency" in options and channels == 1 and image.mode in ("L", "I;16"):
        assert expected[0, 0, 2, 3] == 255
