import numpy as np
import pytest

from tests.data.tiny_images import write_classes


@pytest.fixture
def photos(tmp_path):
    return write_classes(tmp_path / "photos", {"cat": 20, "dog": 30, "emu": 10})


@pytest.fixture
def random_images():
    return np.random.default_rng(0).integers(0, 256, (40, 8, 9, 3), dtype=np.uint8)
