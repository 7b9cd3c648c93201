"""Batches against a slow oracle, and as a pure function of (seed, epoch)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleshift.data.batches import (
    Augmentation,
    Resident,
    augmentation_for,
    batch_bounds,
    channel_statistics,
    evaluation_batches,
    prepare,
    training_batches,
)
from jouleshift.data.randomness import derived_seed
from jouleshift.data.sources import ImageSet, Splits, load


def resident(n=50, height=7, width=6, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, height, width, channels), generator=generator, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(n)  # a name for each image
    return Resident(pixels, torch.arange(n), torch.zeros(channels), torch.ones(channels))


def test_every_crop_and_mirror_is_numpys():
    data, augmentation = resident(), Augmentation(padding=2, mirror=True)
    padded = np.pad(data.pixels.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    seen = set()
    for epoch in range(20):
        for images, labels in training_batches(data, 16, augmentation, seed=1, epoch=epoch):
            for image, label in zip(images.permute(0, 2, 3, 1).numpy(), labels.tolist(), strict=True):
                moves = [
                    (dy, dx, flip)
                    for dy in range(5)
                    for dx in range(5)
                    for flip in (False, True)
                    if np.array_equal(_oracle(padded[label], dy, dx, flip), image)
                ]
                assert len(moves) == 1
                seen.add(moves[0])
    assert len(seen) == 50  # all crops, both ways


def _oracle(padded, dy, dx, flip):
    crop = padded[dy : dy + 7, dx : dx + 6]
    return crop[:, ::-1] if flip else crop


def test_shifts_and_mirrors_are_drawn_evenly():
    data, augmentation = resident(n=250), Augmentation(padding=1, mirror=True)
    mirrored = 0
    for epoch in range(20):
        for images, labels in training_batches(data, 50, augmentation, seed=2, epoch=epoch):
            middle = data.pixels[labels].permute(0, 3, 1, 2)[:, :, 2:5, 1:5].float()
            windows = images.unfold(2, 3, 1).unfold(3, 4, 1).permute(0, 2, 3, 1, 4, 5)
            mirrored += (windows.flip(5) == middle[:, None, None]).all((3, 4, 5)).any((1, 2)).sum().item()
    assert mirrored == pytest.approx(2500, abs=5 * 2500**0.5 / 2**0.5)


def test_an_epoch_is_a_pure_function_of_seed_and_epoch():
    data, augmentation = resident(), Augmentation(2, True)

    def epoch(seed, number):
        return torch.cat([x for x, _ in training_batches(data, 8, augmentation, seed=seed, epoch=number)])

    first = epoch(3, 7)
    torch.rand(5)  # the global generator is none of its business
    assert torch.equal(first, epoch(3, 7))
    assert not torch.equal(first, epoch(3, 8))
    assert not torch.equal(first, epoch(4, 7))


def test_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(training_batches(resident(), 8, Augmentation(1, True), seed=0, epoch=1))
    assert torch.equal(before, torch.get_rng_state())


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 130))
def test_bounds_cover_every_image_once_without_a_single_one_left(n, batch_size):
    bounds = batch_bounds(n, batch_size)
    assert [i for start, end in bounds for i in range(start, end)] == list(range(n))
    sizes = [end - start for start, end in bounds]
    assert max(sizes) <= batch_size + 1
    if batch_size > 1 and n > 1:
        assert min(sizes) > 1


@pytest.mark.parametrize("augmentation", [None, Augmentation(1, False)])
def test_every_image_once_with_its_label(augmentation):
    data = resident(n=33)
    labels = torch.cat([y for _, y in training_batches(data, 8, augmentation, seed=0, epoch=1)])
    assert sorted(labels.tolist()) == list(range(33))


def test_without_augmentation_images_are_as_they_were():
    data = resident()
    for images, labels in training_batches(data, 16, None, seed=0, epoch=1):
        assert torch.equal(images, data.pixels[labels].permute(0, 3, 1, 2).float())
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_normalised_training_images_have_mean_zero_and_deviation_one():
    data = prepare(load("digits", seed=0)).train
    images = torch.cat([x for x, _ in evaluation_batches(data, 100)]).double()
    assert images.mean().abs() < 1e-5
    assert images.std(correction=0) == pytest.approx(1, abs=1e-5)


def test_statistics_are_torchs():
    images = torch.randint(0, 256, (30, 3, 8, 8), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    assert torch.allclose(mean.double(), images.double().mean((0, 2, 3)), rtol=1e-6)
    assert torch.allclose(std.double(), images.double().std((0, 2, 3), correction=0), rtol=1e-6)


def test_a_constant_channel_can_be_divided_by():
    images = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
    assert channel_statistics(images)[1].tolist() == [1, 1, 1]


def test_validation_uses_the_training_statistics():
    ones = torch.ones(2, 1, 4, 4, dtype=torch.uint8)
    train = ImageSet(torch.cat([ones * 10, ones * 30]), torch.tensor([0, 0, 1, 1]))
    val = ImageSet(ones * 40, torch.tensor([0, 1]))
    prepared = prepare(Splits(train, val, None, ("cat", "dog"), "x"))
    images, labels = next(evaluation_batches(prepared.val))
    assert images.unique().tolist() == [2.0]  # (40 − 20) / 10
    assert labels.tolist() == [0, 1]
    assert prepared.test is None


def test_digits_are_cropped_by_a_pixel_and_not_mirrored():
    assert augmentation_for(load("digits", seed=0)) == Augmentation(padding=1, mirror=False)


@pytest.mark.parametrize("side", [1, 2, 3, 8, 64])
def test_images_of_any_size_can_be_cropped(side):
    part = ImageSet(torch.zeros(4, 1, side, side + 1, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]))
    prepared = prepare(Splits(part, part, None, ("cat", "dog"), "x"))
    for images, _ in training_batches(prepared.train, 2, prepared.augmentation, seed=0, epoch=1):
        assert images.shape == (2, 1, side, side + 1)


def test_streams_of_one_seed_differ_and_are_fixed():
    seeds = {derived_seed(s, name, e) for s in range(5) for name in ("a", "b") for e in range(5)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(0, "batches", 1) == 7893778469664959987
