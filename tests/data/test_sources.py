"""Splits: sizes, disjointness, independence of order, limits, and what the user is told."""

import os
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleshift.data.listing import hold_out, limit
from jouleshift.data.sources import load
from jouleshift.errors import BadInput
from tests.data.tiny_images import coloured, write_classes


def red(images):
    """The numbers of the pictures that `write_classes` made."""
    return images.images[:, 0, 0, 0].tolist()


def test_digits_are_scaled_grey_and_split_in_three():
    splits = load("digits", seed=0, val_fraction=0.2)
    assert splits.train.images.shape[1:] == (1, 8, 8)
    assert splits.train.images.dtype == torch.uint8
    assert splits.train.labels.dtype == torch.int64
    assert splits.train.images.max() == 255
    assert splits.train.images.min() == 0
    assert len(splits.train) + len(splits.val) + len(splits.test) == 1797
    assert len(splits.test) == pytest.approx(0.2 * 1797, abs=5)
    assert splits.class_names == tuple("0123456789")


def test_parts_are_disjoint_stratified_and_complete(photos):
    splits = load(str(photos), seed=3, val_fraction=0.25)
    numbers = red(splits.train) + red(splits.val) + red(splits.test)
    assert sorted(numbers) == list(range(60))
    assert splits.class_names == ("cat", "dog", "emu")
    # a fifth of 20, 30, 10 for the test; a quarter of the other 16, 24, 8 for validation
    assert torch.bincount(splits.test.labels).tolist() == [4, 6, 2]
    assert torch.bincount(splits.val.labels).tolist() == [4, 6, 2]
    for part in (splits.train, splits.val, splits.test):
        for number, label in zip(red(part), part.labels.tolist(), strict=True):
            assert label == (0 if number < 20 else 1 if number < 50 else 2)


def test_seed_decides_the_split(photos):
    one, same, other = (load(str(photos), seed=seed) for seed in (1, 1, 2))
    assert red(one.train) == red(same.train)
    assert set(red(one.test)) != set(red(other.test))


def test_file_system_order_changes_nothing(photos, tmp_path, monkeypatch):
    before = load(str(photos), seed=1)
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *a: list(reversed(real(*a))))
    copy = tmp_path / "copy" / "photos"
    for path in sorted(photos.rglob("*.png"), reverse=True):
        (copy / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.parent.name / path.name)
    after = load(str(copy), seed=1)
    assert red(before.train) == red(after.train)
    assert red(before.val) == red(after.val)


def test_limits_do_not_move_the_split_and_nest(photos):
    whole = load(str(photos), seed=1)
    small, middle = (load(str(photos), seed=1, limit_train=n, limit_val=4) for n in (9, 18))
    assert set(red(small.train)) <= set(red(middle.train)) <= set(red(whole.train))
    assert set(red(small.val)) <= set(red(whole.val))
    assert red(small.test) == red(whole.test)
    assert (len(small.train), len(middle.train), len(small.val)) == (9, 18, 4)
    assert torch.bincount(middle.train.labels).tolist() == [6, 9, 3]


def test_the_search_can_leave_the_test_split_unread(photos):
    test = load(str(photos), seed=1).test
    broken = sorted(photos.rglob("*.png"))[red(test)[0]]
    broken.write_bytes(b"")
    splits = load(str(photos), seed=1, with_test=False)
    assert splits.test is None
    with pytest.raises(BadInput, match="empty, zero bytes"):
        load(str(photos), seed=1)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=200).filter(
        lambda labels: min(np.bincount(labels)[np.unique(labels)]) >= 2
    ),
    st.floats(0.01, 0.99),
    st.integers(0, 2**31 - 1),
)
def test_hold_out_takes_of_each_class_and_leaves_of_each(labels, fraction, seed):
    labels = np.array(labels)
    held = hold_out(labels, np.arange(len(labels)), fraction, seed, "test")
    assert (np.diff(held) > 0).all()
    for label in np.unique(labels):
        n, of = (labels[held] == label).sum(), (labels == label).sum()
        assert 1 <= n <= of - 1
        assert abs(n - fraction * of) <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=100), st.integers(1, 120), st.integers(0, 2**31 - 1))
def test_limit_is_exact_and_proportional(labels, n, seed):
    labels = np.array(labels)
    kept = limit(labels, np.arange(len(labels)), n, seed, "limit")
    assert len(np.unique(kept)) == len(kept) == min(n, len(labels))
    for label in np.unique(labels):
        share = (labels == label).mean() * len(kept)
        assert abs((labels[kept] == label).sum() - share) < 1


# --- layouts of folders


def test_author_split_is_kept(tmp_path):
    root = tmp_path / "own"
    write_classes(root / "train", {"a": 5, "b": 5})
    write_classes(root / "val", {"a": 2, "b": 2}, start=100)
    write_classes(root / "test", {"a": 3, "b": 1}, start=200)
    splits = load(str(root), seed=0, val_fraction=0.9)
    assert red(splits.train) == list(range(10))
    assert red(splits.val) == [100, 101, 102, 103]
    assert red(splits.test) == [200, 201, 202, 203]


def test_missing_val_is_held_out_of_train_only(tmp_path):
    root = tmp_path / "own"
    write_classes(root / "train", {"a": 5, "b": 5})
    write_classes(root / "test", {"a": 3, "b": 1}, start=200)
    splits = load(str(root), seed=0, val_fraction=0.2)
    assert sorted(red(splits.train) + red(splits.val)) == list(range(10))
    assert torch.bincount(splits.val.labels).tolist() == [1, 1]
    assert red(splits.test) == [200, 201, 202, 203]


def test_a_class_may_be_called_train(tmp_path):
    root = write_classes(tmp_path / "vehicles", {"bus": 5, "car": 5, "train": 5})
    assert load(str(root), seed=0).class_names == ("bus", "car", "train")


def test_two_folders_for_one_split_are_refused(tmp_path):
    """One of them would be passed over in silence."""
    for part in ("train", "training", "val"):
        write_classes(tmp_path / part, {"a": 5, "b": 5})
    assert "has train/ and training/: only one of them can be the train split" in refusal(tmp_path)


@pytest.mark.parametrize("parts", [("val", "test"), ("test",)])
def test_val_and_test_without_train_are_no_classes(tmp_path, parts):
    for part in parts:
        write_classes(tmp_path / part, {"a": 5, "b": 5})
    assert f"has {' and '.join(f'{part}/' for part in parts)} and no train/" in refusal(tmp_path)


def test_a_class_name_that_is_not_utf8_is_made_legible(tmp_path):
    root = write_classes(tmp_path / "odd", {os.fsdecode(b"caf\xe9"): 5, "thé": 5})
    splits = load(str(root), seed=0)
    assert splits.class_names == ("caf\ufffd", "thé")
    broken = os.fsencode(root) + b"/caf\xe9/\xe9.png"
    with open(broken, "wb") as file:  # noqa: PTH123 - a name in bytes
        file.write(b"no image")
    skipped = load(str(root), seed=0, on_corrupt="skip").skipped
    assert all(line.encode() for line in skipped)
    write_classes(root, {os.fsdecode(b"caf\xe8"): 5})
    assert "two class folders are named 'caf\ufffd'" in refusal(root)


def test_tiny_imagenet_layout(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    for wnid, start in (("n01", 0), ("n02", 50), ("n03", 100)):
        write_classes(root / "train" / wnid, {"images": 6}, start=start)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("0\t0\t5\t5\n")
    write_classes(root / "val", {"images": 3}, start=200)
    lines = ["202.png\tn01\t0\t0\t5\t5", "200.png\tn03\t0\t0\t5\t5", "201.png\tn02\t0\t0\t5\t5"]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    write_classes(root / "test", {"images": 4})
    (root / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\nn99\tnone\n")
    splits = load(str(root), seed=0)
    assert splits.class_names == ("goldfish", "n02", "n03")
    assert red(splits.test) == [200, 201, 202]
    assert splits.test.labels.tolist() == [2, 1, 0]
    assert sorted(red(splits.train) + red(splits.val)) == [*range(6), *range(50, 56), *range(100, 106)]


def test_hidden_files_junk_and_link_loops_are_harmless(photos):
    expected = red(load(str(photos), seed=0).train)
    (photos / ".DS_Store").write_bytes(b"\0")
    (photos / "cat" / ".DS_Store").write_bytes(b"\0")
    (photos / "cat" / "Thumbs.db").write_bytes(b"\0")
    (photos / ".git").mkdir()
    (photos / "dog" / "again").symlink_to(photos / "dog", target_is_directory=True)
    (photos / "emu" / "up").symlink_to(photos / "emu" / "up", target_is_directory=True)
    with pytest.raises(BadInput, match="up"):  # a link to itself is no image
        load(str(photos), seed=0)
    (photos / "emu" / "up").unlink()
    assert red(load(str(photos), seed=0).train) == expected


def test_folders_inside_a_class_folder_are_of_that_class(photos):
    before = load(str(photos), seed=0)
    (photos / "cat" / "indoors" / "asleep").mkdir(parents=True)
    for number, image in enumerate(sorted((photos / "cat").glob("*.png"))):
        image.rename(photos / "cat" / "indoors" / ("asleep" if number % 2 else "") / image.name)
    after = load(str(photos), seed=0)
    assert after.class_names == before.class_names
    for part in ("train", "val", "test"):
        found, expected = (getattr(splits, part).labels.bincount().tolist() for splits in (after, before))
        assert found == expected


def test_a_linked_class_folder_counts(photos, tmp_path):
    elsewhere = write_classes(tmp_path / "elsewhere", {"fox": 6}, start=100)
    (photos / "fox").symlink_to(elsewhere / "fox", target_is_directory=True)
    assert "fox" in load(str(photos), seed=0).class_names


# --- bad input: one line that names what and where


def refusal(data, **options):
    with pytest.raises(BadInput) as caught:
        load(str(data), seed=0, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_path(tmp_path):
    assert "no data at" in refusal(tmp_path / "nowhere")


def test_no_name_at_all():
    assert "data is empty" in refusal("")


def test_pipes_are_passed_over_and_broken_links_named(photos):
    os.mkfifo(photos / "cat" / "pipe")
    assert len(load(str(photos), seed=0).train) > 0
    (photos / "cat" / "gone.png").symlink_to(photos / "nowhere.png")
    assert "gone.png" in refusal(photos)


def test_misspelt_name():
    assert "did you mean 'digits'" in refusal("digit")


def test_folder_without_classes(tmp_path):
    coloured(1).save(tmp_path / "a.png")
    message = refusal(tmp_path)
    assert "no class folders" in message
    assert str(tmp_path) in message


def test_a_single_class(tmp_path):
    assert "at least two" in refusal(write_classes(tmp_path / "d", {"only": 9}))


def test_an_empty_class_folder(photos):
    (photos / "yak").mkdir()
    message = refusal(photos)
    assert "yak" in message
    assert "no images" in message


def test_a_class_too_small_to_split(tmp_path):
    message = refusal(write_classes(tmp_path / "d", {"big": 9, "small": 2}))
    assert "'small'" in message
    assert "2 image" in message


def test_a_test_class_unknown_to_training(tmp_path):
    write_classes(tmp_path / "train", {"a": 5, "b": 5})
    write_classes(tmp_path / "test", {"a": 3, "c": 1})
    assert "without training images" in refusal(tmp_path)


def test_a_file_that_is_not_parquet(tmp_path):
    (tmp_path / "x.csv").write_text("label,img\n")
    assert "not a Parquet file" in refusal(tmp_path / "x.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(photos):
    (photos / "cat").chmod(0)
    try:
        assert "ermission denied" in refusal(photos)
    finally:
        (photos / "cat").chmod(0o755)


def test_permission_denied_as_the_system_says_it(photos, monkeypatch):
    from pathlib import Path

    real = Path.iterdir

    def denied(self):
        if self.name == "cat":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "iterdir", denied)
    message = refusal(photos)
    assert "Permission denied" in message
    assert "cat" in message


def test_images_that_do_not_fit_in_memory(photos, monkeypatch):
    import psutil

    free = psutil.virtual_memory()._replace(available=10_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert "limit_train" in refusal(photos, image_size=64)


# --- which images may be mirrored


@pytest.mark.parametrize(
    ("names", "mirrorable"),
    [(("cat", "dog"), True), (("0", "10"), False), (("A", "b"), False), (("7", "seven"), True)],
)
def test_characters_are_not_mirrored(tmp_path, names, mirrorable):
    root = write_classes(tmp_path / "d", dict.fromkeys(names, 3))
    assert load(str(root), seed=0).mirrorable is mirrorable
