import pytest
import torch

from jouleshift.data.batches import prepare
from jouleshift.data.sources import ImageSet, Splits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


def stripes(n, seed):
    """Two classes of 8×8 images: horizontal and vertical stripes under noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    wave = (torch.arange(8) % 2 * 160).expand(8, 8)
    clean = torch.where(labels[:, None, None].bool(), wave, wave.T)
    noise = torch.randint(0, 96, (n, 8, 8), generator=generator)
    return ImageSet((clean + noise).to(torch.uint8)[:, None], labels)


@pytest.fixture(scope="session")
def splits():
    return Splits(stripes(101, 0), stripes(40, 1), stripes(40, 2), ("horizontal", "vertical"), "stripes")


@pytest.fixture(scope="session")
def data(splits):
    return prepare(splits)
