"""Data sets known by name, with the files torchvision would have downloaded."""

import hashlib
import pickle
import urllib.error

import numpy as np
import pytest
import torch
import torchvision.datasets

from jouleshift.data import builtin
from jouleshift.data.sources import load
from jouleshift.errors import BadInput
from tests.data.tiny_images import coloured, write_classes

CLASSES = ("airplane", "automobile", "bird")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jouleshift"


@pytest.fixture
def cifar10(cache, monkeypatch):
    """CIFAR-10's own files with twelve pictures a batch, and their sums where torchvision checks them."""
    folder = cache / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def put(name, content):
        (folder / name).write_bytes(encoded := pickle.dumps(content))
        return hashlib.md5(encoded).hexdigest()

    def batch(name):
        data = rng.integers(0, 256, (12, 3072), dtype=np.uint8)
        return [name, put(name, {"data": data, "labels": [i % 3 for i in range(12)]})]

    fake = torchvision.datasets.CIFAR10
    monkeypatch.setattr(fake, "train_list", [batch(f"data_batch_{i}") for i in range(1, 6)])
    monkeypatch.setattr(fake, "test_list", [batch("test_batch")])
    md5 = put("batches.meta", {"label_names": list(CLASSES)})
    monkeypatch.setattr(fake, "meta", {"filename": "batches.meta", "key": "label_names", "md5": md5})
    return folder


def test_cifar10_keeps_its_published_split(cifar10):
    splits = load("cifar10", seed=0, val_fraction=0.25)
    assert splits.name == "cifar10"
    assert splits.class_names == CLASSES
    assert (len(splits.train), len(splits.val), len(splits.test)) == (45, 15, 12)
    raw = pickle.loads((cifar10 / "test_batch").read_bytes())["data"].reshape(12, 3, 32, 32)
    assert torch.equal(splits.test.images, torch.from_numpy(raw))
    assert splits.mirrorable


def test_caltech101_is_read_from_its_folders_without_the_background(cache):
    objects = cache / "caltech101" / "101_ObjectCategories"
    write_classes(objects, {"ant": 5, "BACKGROUND_Google": 5, "crab": 6})
    coloured(9, (30, 20)).save(objects / "ant" / "large.png")
    splits = load("caltech101", seed=0, image_size=16)
    assert splits.name == "caltech101"
    assert splits.class_names == ("ant", "crab")
    assert splits.train.images.shape[1:] == (3, 16, 16)
    assert len(splits.train) + len(splits.val) + len(splits.test) == 12


@pytest.mark.parametrize("name", ["cifar10", "caltech101"])
@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        TimeoutError("timed out"),
        RuntimeError("File not found or corrupted."),
        OSError(28, "No space left on device"),
    ],
)
def test_offline_says_what_to_do_instead(name, error, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    monkeypatch.setattr("torchvision.datasets.caltech.download_and_extract_archive", fail)
    with pytest.raises(BadInput) as caught:
        load(name, seed=0)
    message = str(caught.value)
    assert f"cannot download {name}" in message
    assert "Parquet file or an image folder" in message
    assert "\n" not in message
    reasons = ("not known", "timed out", "corrupted", "No space left")
    assert any(reason in message for reason in reasons)


def test_a_damaged_download_is_not_unpickled(cifar10, monkeypatch):
    """torchvision checks published sums first; what does not match is downloaded again, here in vain."""
    (cifar10 / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch /tmp/executed'\ntR.")

    def fail(*args, **kwargs):
        raise urllib.error.URLError("offline")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    with pytest.raises(BadInput, match="cannot download cifar10"):
        load("cifar10", seed=0)


def test_an_unwritable_cache_is_bad_input(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="cannot download caltech101 to"):
        load("caltech101", seed=0)


def test_the_cache_is_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert builtin.cache_folder() == tmp_path / ".cache" / "jouleshift"
