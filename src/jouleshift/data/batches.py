"""Batches that are already on the device.

A data set of this size fits in memory as bytes, so an epoch needs no loader: the pixels lie on the device,
uint8, channels last, and a batch is one gather. Random crop and mirroring are part of that gather. The
pixel (y, x) of an augmented image is the pixel

    (reflect(y + dy), reflect(x + dx)),  x running backwards where mirrored,  −padding ≤ dy, dx ≤ padding

of the original, that is: pad by reflection, crop at random, flip, as in He et al. (2016), section 4.2, except
that the border is reflected and not black. Then the bytes become floats, normalised by the training
images' mean and standard deviation per channel.

Order and augmentation of an epoch are drawn on the CPU from (seed, epoch) alone: the same on every device,
and epoch 7 is the same whether or not epochs 1 to 6 ran in this process.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from jouleshift.data.listing import limit
from jouleshift.data.randomness import derived_seed
from jouleshift.data.sources import ImageSet, Splits

EVALUATION_BATCH = 128

Batch = tuple[Tensor, Tensor]
"""Images, float32 N×C×H×W, channels last, normalised; and labels, int64 N."""


@dataclass(frozen=True)
class Augmentation:
    """Random crop out of an image padded by `padding` pixels on each side; mirrored half of the time."""

    padding: int
    mirror: bool


@dataclass(frozen=True)
class Resident:
    """One split on a device. `pixels` is uint8 N×H×W×C; `mean` and `std` are per channel, in 0 … 255."""

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Prepared:
    """A data set on a device, ready for `train`. `augmentation` is what suits it, used where configured."""

    name: str
    train: Resident
    val: Resident
    test: Resident | None
    class_names: tuple[str, ...]
    augmentation: Augmentation


def prepare(splits: Splits, device: torch.device | str = "cpu") -> Prepared:
    """Move a data set to a device, with the training images' mean and standard deviation."""
    mean, std = (t.to(device) for t in channel_statistics(splits.train.images))

    def resident(images: ImageSet) -> Resident:
        pixels = images.images.permute(0, 2, 3, 1).contiguous().to(device)
        return Resident(pixels, images.labels.to(device), mean, std)

    return Prepared(
        name=splits.name,
        train=resident(splits.train),
        val=resident(splits.val),
        test=None if splits.test is None else resident(splits.test),
        class_names=splits.class_names,
        augmentation=augmentation_for(splits),
    )


def reduced(data: Prepared, fraction: float, seed: int) -> Prepared:
    """The data set with a share 0 … 1 of its training images, stratified, at least one a class.

    Nested: a smaller share of the same seed is part of a larger one. Mean and standard deviation stay those
    of all training images.
    """
    if fraction >= 1:
        return data
    labels = data.train.labels.cpu().numpy()
    n = max(round(fraction * len(labels)), len(np.unique(labels)))
    chosen = torch.from_numpy(limit(labels, np.arange(len(labels)), n, seed, "fidelity"))
    chosen = chosen.to(data.train.pixels.device)
    train = replace(data.train, pixels=data.train.pixels[chosen], labels=data.train.labels[chosen])
    return replace(data, train=train)


def augmentation_for(splits: Splits) -> Augmentation:
    """Crop by an eighth of the shorter side; mirror where a mirrored image keeps its class."""
    side = min(splits.train.images.shape[2:])
    return Augmentation(padding=min(max(1, side // 8), side - 1), mirror=splits.mirrorable)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of uint8 images N×C×H×W, in 0 … 255, exact sums.

    A channel without any variation has standard deviation 1, so that it can be divided by.
    """
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])
    share = counts.double() / counts.sum(dim=1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64)
    mean = share @ values
    std = (share * (values - mean[:, None]) ** 2).sum(dim=1).sqrt()
    return mean.float(), torch.where(std > 0, std, torch.ones_like(std)).float()


def training_batches(
    data: Resident, batch_size: int, augmentation: Augmentation | None, *, seed: int, epoch: int
) -> Iterator[Batch]:
    """One epoch: every image once, in an order and with an augmentation that (seed, epoch) decide.

    The last batch takes what is left. A single left-over image joins the batch before it, since batch
    normalisation cannot be computed over one.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "batches", epoch))
    n, device = len(data), data.pixels.device
    order = torch.randperm(n, generator=generator).to(device)
    moves = None if augmentation is None else _draw(n, augmentation, generator).to(device)
    for start, end in batch_bounds(n, batch_size):
        chosen = order[start:end]
        pixels = data.pixels[chosen] if moves is None else _gather(data.pixels, chosen, moves[start:end])
        yield _normalised(data, pixels), data.labels[chosen]


def evaluation_batches(data: Resident, batch_size: int = EVALUATION_BATCH) -> Iterator[Batch]:
    """Every image once, in order, as it is."""
    for start in range(0, len(data), batch_size):
        end = start + batch_size
        yield _normalised(data, data.pixels[start:end]), data.labels[start:end]


def batch_bounds(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Where the batches of an epoch of n images start and end.

    >>> batch_bounds(9, 4)
    [(0, 4), (4, 9)]
    """
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] == 1 and batch_size > 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


def _draw(n: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """(dy, dx, mirrored) of n images, int64 n×3."""
    p = augmentation.padding
    shifts = torch.randint(-p, p + 1, (n, 2), generator=generator)
    mirrored = torch.randint(0, 2, (n, 1), generator=generator) * int(augmentation.mirror)
    return torch.cat([shifts, mirrored], dim=1)


def _gather(pixels: Tensor, chosen: Tensor, moves: Tensor) -> Tensor:
    """The chosen images, cropped and mirrored as `moves` says: uint8 B×H×W×C."""
    _, height, width, channels = pixels.shape
    dy, dx, mirrored = moves.unbind(1)
    rows = _reflected(torch.arange(height, device=pixels.device) + dy[:, None], height)
    columns = _reflected(torch.arange(width, device=pixels.device) + dx[:, None], width)
    columns = torch.where(mirrored[:, None].bool(), columns.flip(1), columns)
    at = (chosen[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    taken = pixels.view(-1, channels).index_select(0, at.view(-1))
    return taken.view(len(chosen), height, width, channels)


def _reflected(positions: Tensor, size: int) -> Tensor:
    """Positions outside 0 … size − 1 mirrored at the first or last pixel."""
    positions = positions.abs()
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


def _normalised(data: Resident, pixels: Tensor) -> Tensor:
    return pixels.float().sub_(data.mean).div_(data.std).permute(0, 3, 1, 2)
