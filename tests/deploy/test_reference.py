"""The oracle against a slower one: Python integers, pixel by pixel, straight from the definition."""

from dataclasses import replace

import numpy as np
import pytest

from jouleshift.deploy import nodes as p
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.reference import evaluate
from jouleshift.quant.fixed_point import FixedPoint

SIGNED, UNSIGNED = FixedPoint(3, 5), FixedPoint(3, 5, signed=False)


def program_of(source: p.Value, node: p.Node) -> IntegerProgram:
    return IntegerProgram(source, (node,), node.output.name)


def one(node: p.Node, values: np.ndarray, fmt: FixedPoint | None) -> np.ndarray:
    """The node alone, on values of a format."""
    source = p.Value("x", values.shape[1:], fmt)
    return evaluate(node, {"x": values}, program_of(source, node))


def half_even(numerator: int, right: int) -> int:
    """numerator / 2^right, rounded half to even, in exact arithmetic."""
    quotient, rest = divmod(numerator, 1 << right)
    half = 1 << right >> 1
    return quotient + (rest > half or (rest == half and right > 0 and quotient % 2 == 1))


def random_layer(rng: np.random.Generator, geometry: p.Geometry, channels: int, out: int) -> p.ShiftLayer:
    shape = (out, channels // geometry.groups, *geometry.kernel)
    distances = rng.integers(0, 7, shape).astype(np.int8)
    signs = rng.integers(-1, 2, shape).astype(np.int8)
    distances[signs == 0] = 0
    weights = p.ShiftWeights("PS", 4, signs, distances, distances.reshape(out, -1).max(1))
    return p.ShiftLayer(
        ("x",), p.Value("y", (), SIGNED), -128, 127, "layer", weights, rng.integers(-500, 500, out),
        (rng.random(out) * 0.01 + 0.001).astype(np.float32), geometry, 32, -(1 << 30), 1 << 30,
    )  # fmt: skip


def by_pixels(layer: p.ShiftLayer, image: np.ndarray) -> np.ndarray:
    """A convolution written out: every tap of every window, sign · (q << shift)."""
    g, (_, height, width) = layer.geometry, image.shape
    assert g is not None
    top, left, bottom, right = g.padding
    out, fan = layer.weights.signs.shape[:2]
    rows = (height + top + bottom - g.dilation[0] * (g.kernel[0] - 1) - 1) // g.stride[0] + 1
    columns = (width + left + right - g.dilation[1] * (g.kernel[1] - 1) - 1) // g.stride[1] + 1
    made = np.zeros((out, rows, columns), np.int64)
    for o, y, x in np.ndindex(out, rows, columns):
        total = int(layer.bias[o])
        for c, i, j in np.ndindex(fan, *g.kernel):
            row = y * g.stride[0] + i * g.dilation[0] - top
            column = x * g.stride[1] + j * g.dilation[1] - left
            if 0 <= row < height and 0 <= column < width:
                q = int(image[o // (out // g.groups) * fan + c, row, column])
                total += int(layer.weights.signs[o, c, i, j]) * (q << int(layer.weights.shifts[o, c, i, j]))
        scaled = np.float32(np.float32(total) * layer.multiplier[o])
        made[o, y, x] = min(max(round(float(scaled)), layer.lowest), layer.highest)
    return made


@pytest.mark.parametrize("seed", range(12))
def test_convolutions_of_any_geometry(seed):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 2, 4]))
    geometry = p.Geometry(
        tuple(rng.integers(1, 4, 2)), tuple(rng.integers(1, 3, 2)), tuple(rng.integers(0, 3, 4)),
        tuple(rng.integers(1, 3, 2)), groups,
    )  # fmt: skip
    layer = random_layer(rng, geometry, channels=4, out=4 * int(rng.integers(1, 3)))
    image = rng.integers(-128, 128, (4, 7, 6))
    expected = by_pixels(layer, image)
    layer = replace(layer, output=p.Value("y", expected.shape, SIGNED))
    np.testing.assert_array_equal(one(layer, image[None], SIGNED)[0], expected)


def test_a_linear_layer_is_a_convolution_of_one_pixel():
    rng = np.random.default_rng(0)
    layer = random_layer(rng, p.Geometry((1, 1)), channels=6, out=5)
    image = rng.integers(-128, 128, (6, 1, 1))
    weights = p.ShiftWeights(
        "PS", 4, layer.weights.signs[:, :, 0, 0], layer.weights.distances[:, :, 0, 0], layer.weights.furthest
    )
    linear = p.ShiftLayer(
        ("x",), p.Value("y", (5,), SIGNED), -128, 127, "layer", weights, layer.bias, layer.multiplier,
        None, 32, layer.smallest, layer.largest,
    )  # fmt: skip
    np.testing.assert_array_equal(
        one(linear, image[None, :, 0, 0], SIGNED)[0], by_pixels(layer, image)[:, 0, 0]
    )


@pytest.mark.parametrize("finer", [-4, -1, 0, 2])
def test_formats_change_by_exact_arithmetic(finer):
    values = np.arange(-128, 128).reshape(1, 256, 1, 1)
    fmt = FixedPoint(8 - 5 - finer, 5 + finer)
    node = p.Requantise(("x",), p.Value("y", (256, 1, 1), fmt))
    expected = [
        min(max(q << finer if finer >= 0 else half_even(q, -finer), -128), 127) for q in range(-128, 128)
    ]
    np.testing.assert_array_equal(one(node, values, SIGNED).ravel(), expected)


def test_quantising_rounds_half_to_even_and_saturates():
    values = np.array([[0.015625, 0.046875, -0.015625, -0.046875, 99, -99, np.inf, 3.97]], np.float32)
    node = p.Quantise(("x",), p.Value("y", (8,), SIGNED))
    np.testing.assert_array_equal(one(node, values, None)[0], [0, 2, 0, -2, 127, -128, 127, 127])


def test_sums_of_different_formats_are_exact_before_they_are_rounded():
    coarse, fine = FixedPoint(5, 3), FixedPoint(3, 5)
    pairs = [(a, b) for a in range(-128, 128, 5) for b in range(-128, 128, 7)]
    left, right = (np.array([pair[i] for pair in pairs])[None] for i in (0, 1))
    node = p.Add(("a", "b"), p.Value("y", left.shape[1:], FixedPoint(4, 4)), 0, 127)
    other = p.Clamp(("a",), p.Value("b", left.shape[1:], fine), None, None)
    program = IntegerProgram(p.Value("a", left.shape[1:], coarse), (other, node), "y")
    expected = [min(max(half_even((a << 2) + b, 1), 0), 127) for a, b in pairs]
    np.testing.assert_array_equal(evaluate(node, {"a": left, "b": right}, program)[0], expected)


def test_pools():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 2, 6, 6))
    shape = (2, 3, 3)
    window = p.Geometry((2, 2), (2, 2))
    blocks = image.reshape(1, 2, 3, 2, 3, 2)
    largest = one(p.MaxPool(("x",), p.Value("y", shape, UNSIGNED), window), image, UNSIGNED)
    np.testing.assert_array_equal(largest, blocks.max((3, 5)))
    mean = one(p.AveragePool(("x",), p.Value("y", shape, UNSIGNED), window, 0.25), image, UNSIGNED)
    expected = [half_even(int(total), 2) for total in blocks.sum((3, 5)).ravel()]
    np.testing.assert_array_equal(mean.ravel(), expected)


def test_padding_never_wins_a_maximum():
    image = np.full((1, 1, 2, 2), -100)
    node = p.MaxPool(("x",), p.Value("y", (1, 2, 2), SIGNED), p.Geometry((3, 3), (1, 1), (1, 1, 1, 1)))
    assert (one(node, image, SIGNED) == -100).all()


def test_wrong_bounds_are_noticed():
    rng = np.random.default_rng(0)
    layer = random_layer(rng, p.Geometry((1, 1)), channels=4, out=4)
    tight = replace(layer, output=p.Value("y", (4, 1, 1), SIGNED), largest=-(1 << 29))
    with pytest.raises(AssertionError, match="bounds"):
        one(tight, np.ones((1, 4, 1, 1), np.int64), SIGNED)
