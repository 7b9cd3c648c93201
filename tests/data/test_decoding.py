"""Images of every kind in, one uint8 tensor out; broken ones named."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from jouleshift.data.builtin import array_listing
from jouleshift.data.decoding import DEFAULT_SIZE, Form, common_form, decode_all
from jouleshift.data.listing import Listing
from jouleshift.data.sources import load
from jouleshift.errors import BadInput
from tests.data.tiny_images import coloured, encoded, write_classes


def listing_of(*items):
    labels = np.zeros(len(items), dtype=np.int64)
    return Listing(labels, lambda indices: (items[i] for i in indices), lambda i: f"item {i}")


def decoded(*items, form=None, refuse=True):
    listing = listing_of(*items)
    form = form or common_form(listing, None)
    return decode_all(listing, np.arange(len(items)), form, refuse=refuse)


def test_pixels_survive_in_order(random_images):
    out = decoded(*(encoded(pixels) for pixels in random_images))
    assert torch.equal(out.images, torch.from_numpy(random_images).permute(0, 3, 1, 2))
    assert out.images.permute(0, 2, 3, 1).is_contiguous()


def test_more_images_than_a_block():
    pixels = np.arange(5000, dtype=np.uint16)
    images = np.stack([pixels >> 8, pixels & 255, pixels & 0], axis=1).astype(np.uint8)[:, None, None, :]
    listing = array_listing(np.broadcast_to(images, (5000, 2, 2, 3)).copy(), np.zeros(5000, np.int64), "x")
    out = decode_all(listing, np.arange(5000), Form(3, 2, 2), refuse=True)
    numbers = out.images[:, 0, 0, 0].int() * 256 + out.images[:, 1, 1, 1]
    assert torch.equal(numbers, torch.arange(5000, dtype=torch.int32))


def test_all_grey_gives_one_channel():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert decoded(encoded(grey), encoded(grey + 100)).images.shape == (2, 1, 8, 8)


def test_grey_among_colour_becomes_rgb():
    grey = np.arange(36, dtype=np.uint8).reshape(6, 6)
    out = decoded(encoded(coloured(9)), encoded(grey)).images
    assert out.shape == (2, 3, 6, 6)
    assert torch.equal(out[1], torch.from_numpy(grey).expand(3, 6, 6))


def test_sixteen_bits_keep_the_upper_eight():
    pixels = np.array([[0, 255, 256], [32768, 65280, 65535]], dtype=np.uint16)
    out = decoded(encoded(pixels)).images
    assert out[0, 0].tolist() == [[0, 0, 1], [128, 255, 255]]


def test_palette_is_looked_up():
    image = coloured(200).quantize(4)
    assert image.mode == "P"
    assert decoded(encoded(image)).images[0, :, 0, 0].tolist() == [200, 128, 55]


def test_transparency_lies_over_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (10, 20, 30, 255))
    assert decoded(encoded(image)).images[0].permute(1, 2, 0).tolist() == [[[255] * 3, [10, 20, 30]]]


def keyed(image, key):
    image.save(buffer := io.BytesIO(), "PNG", transparency=key)
    return buffer.getvalue()


def test_what_a_png_names_as_transparent_is_white():
    assert decoded(keyed(Image.new("RGB", (2, 2), (1, 2, 3)), (1, 2, 3))).images.unique().tolist() == [255]
    assert decoded(keyed(Image.new("L", (2, 2), 7), 7)).images.unique().tolist() == [255]
    assert decoded(keyed(Image.new("L", (2, 2), 7), 8)).images.unique().tolist() == [7]
    wide = Image.fromarray(np.full((2, 2), 700, np.uint16))
    assert decoded(keyed(wide, 700)).images.unique().tolist() == [255]


def test_wide_integers_below_256_stay_as_they_are():
    narrow, wide = (np.array([[0, 7], [200, top]], np.int32) for top in (255, 256))
    assert decoded(encoded(narrow, "TIFF")).images[0, 0].tolist() == [[0, 7], [200, 255]]
    assert decoded(encoded(wide, "TIFF")).images[0, 0].tolist() == [[0, 0], [0, 1]]


def test_cmyk_and_one_bit():
    cmyk = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    red = decoded(encoded(cmyk, "TIFF")).images[0, :, 0, 0].tolist()
    assert red == [255, 0, 0]
    assert decoded(encoded(Image.new("1", (4, 4), 1))).images.unique().tolist() == [255]


def test_exif_rotation_is_applied():
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise
    image.save(buffer := io.BytesIO(), "PNG", exif=exif)
    out = decoded(buffer.getvalue()).images
    assert out.shape == (1, 3, 4, 2)
    assert out[0, 0, 0, 1] == 255


def test_shrinking_averages():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    out = decoded(encoded(board), form=Form(1, 8, 8)).images[0, 0, 1:-1, 1:-1]
    assert (out.int() - 128).abs().max() <= 2


def test_a_large_photograph_is_shrunk_to_what_it_shows():
    ramp = np.linspace(0, 255, 2400).astype(np.uint8)
    photo = np.broadcast_to(ramp[None, :, None], (1800, 2400, 3)).copy()
    photo[900:] = 255 - photo[900:]
    out = decoded(encoded(photo, "JPEG"), form=Form(3, 32, 32)).images[0].int()
    expected = torch.linspace(0, 255, 65)[1::2]
    assert (out[:, :15] - expected.int()).abs().max() <= 3
    assert (out[:, 17:] - (255 - expected).int()).abs().max() <= 3


def test_size_is_the_datas_own_where_uniform():
    assert common_form(listing_of(encoded(coloured(1, (7, 5)))), None) == Form(3, 5, 7)


def test_size_falls_back_where_it_differs_or_is_large():
    mixed = listing_of(encoded(coloured(1, (7, 5))), encoded(coloured(1, (7, 6))))
    large = listing_of(encoded(coloured(1, (300, 300))))
    assert common_form(mixed, None) == common_form(large, None) == Form(3, DEFAULT_SIZE, DEFAULT_SIZE)
    assert common_form(large, 32) == Form(3, 32, 32)


BROKEN = {
    "empty": (b"", "zero bytes"),
    "text": (b"label,img\n1,2\n" * 50, "not an image"),
    "html": (b"<html><body>404</body></html>", "not an image"),
    "truncated": (encoded(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[:3000], ""),
    "truncated-jpeg": (
        encoded(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), "JPEG")[:2000],
        "truncated",
    ),
    "float": (encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "floats"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_images_are_named_or_left_out(kind):
    broken, reason = BROKEN[kind]
    good = encoded(coloured(3))
    with pytest.raises(BadInput, match=f"^item 1: .*{reason}"):
        decoded(good, broken, good)
    out = decoded(good, broken, good, refuse=False)
    assert out.kept.tolist() == [0, 2]
    assert len(out.images) == 2
    assert len(out.skipped) == 1
    assert out.skipped[0].startswith("item 1: ")


def test_every_cut_of_a_file_is_refused_or_decoded_never_a_crash():
    whole = encoded(np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8))
    out = decoded(encoded(coloured(3)), *(whole[:n] for n in range(0, len(whole), 7)), refuse=False)
    assert 0 in out.kept
    assert len(out.kept) + len(out.skipped) == 1 + len(range(0, len(whole), 7))


def test_every_flipped_byte_is_refused_or_decoded_never_a_crash():
    whole = bytearray(encoded(coloured(3, (8, 8))))
    flipped = []
    for at in range(0, len(whole), 3):
        copy = bytearray(whole)
        copy[at] ^= 0xFF
        flipped.append(bytes(copy))
    decoded(*flipped, form=Form(3, 8, 8), refuse=False)


def test_decompression_bomb_is_refused_by_its_header():
    """Its header alone: had anything else been read, the message would be another."""
    with pytest.raises(BadInput, match="item 0"):
        decoded(png_of_size(20_000), form=Form(1, 8, 8))
    with pytest.raises(BadInput, match="9000×9000 pixels"):  # below Pillow's own bound
        decoded(png_of_size(9_000), form=Form(1, 8, 8))


def png_of_size(side):
    """A PNG that says it is side × side black and white pixels, and holds none."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_skipped_images_keep_their_neighbours_labels(tmp_path):
    root = write_classes(tmp_path / "d", {"a": 8, "b": 8})
    (root / "a" / "003.png").write_bytes(b"not an image")
    (root / "b" / "012.png").write_bytes(b"")
    splits = load(str(root), seed=0, on_corrupt="skip")
    assert len(splits.skipped) == 2
    for part in (splits.train, splits.val, splits.test):
        for number, label in zip(part.images[:, 0, 0, 0].tolist(), part.labels.tolist(), strict=True):
            assert label == int(number >= 8)
            assert number not in (3, 12)
    with pytest.raises(BadInput, match=r"(003|012)\.png: .*--on-corrupt skip"):
        load(str(root), seed=0)
