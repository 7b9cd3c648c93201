"""Image folders: one folder a class.

    photos/CLASS/….jpg                          one folder of class folders
    photos/{train,val,test}/CLASS/….jpg         split by its author; val and test may be missing
    tiny-imagenet-200/                          train/WNID/images, val/val_annotations.txt, words.txt

A class folder may have folders inside. Hidden files and folders, `Thumbs.db` and `desktop.ini` are passed
over; every other file counts as an image, so that a stray one is named rather than silently lost. Links are
followed, loops are not.

TinyImageNet publishes no labels for its test images. Its validation images, the ones that published figures
are measured on, become the test split, and validation images are held out of the training ones.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from jouleshift.data.listing import Indices, Item, Listing, Listings
from jouleshift.errors import BadInput
from jouleshift.words import legible

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_JUNK = {"thumbs.db", "desktop.ini"}
_ANNOTATIONS = "val_annotations.txt"
_BOXES = "_boxes.txt"  # TinyImageNet has one in each class folder


def read_folder(root: Path, *, name: str | None = None, without: Collection[str] = ()) -> Listings:
    """The listings of an image folder in one of the three layouts above, `without` some classes."""
    parts = _split_folders(root)
    train = parts.get("train", root)
    classes = [folder.name for folder in _subfolders(train) if folder.name not in without]
    if not classes:
        raise BadInput(f"{train} has no class folders; expected {train}/CLASS/IMAGE for each class")
    name = legible(name or root.resolve().name)
    if "val" in parts and (parts["val"] / _ANNOTATIONS).is_file():
        annotated = _annotated(parts["val"], classes)
        return Listings(name, _lemmas(root, classes), _class_folders(train, classes), test=annotated)
    return Listings(
        name,
        _class_names(classes, train),
        _class_folders(train, classes, without),
        val=_class_folders(parts["val"], classes) if "val" in parts else None,
        test=_labelled_or_none(parts["test"], classes) if "test" in parts else None,
    )


def _class_names(folders: Sequence[str], where: Path) -> tuple[str, ...]:
    """The folders' names as text. `BadInput` where two are the same then: neither is UTF-8."""
    names = tuple(map(legible, folders))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(
            f"{legible(str(where))}: two class folders are named {twice!r}; give them names in UTF-8"
        )
    return names


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders named train, val and test, unless they look like classes among others. `BadInput` where
    there is nothing but val and test, or two for one of the three."""
    folders = _subfolders(root)
    named = {
        part: [folder for folder in folders if folder.name.lower() in names]
        for part, names in SPLIT_NAMES.items()
    }
    parts = {part: found[0] for part, found in named.items() if found}
    if parts and "train" not in parts and len(parts) == len(folders):
        raise BadInput(
            f"{root} has {' and '.join(f'{folder.name}/' for folder in parts.values())} and no train/; "
            "add the training images, or name one of the folders inside"
        )
    if "train" not in parts or (len(parts) == 1 and len(folders) > 1):
        return {}
    for part, found in named.items():
        if len(found) > 1:
            both = " and ".join(f"{folder.name}/" for folder in found)
            raise BadInput(f"{root} has {both}: only one of them can be the {part} split")
    return parts


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    except OSError as error:
        raise BadInput(f"cannot read folder {folder}: {error.strerror}") from None


def _class_folders(folder: Path, classes: Sequence[str], without: Collection[str] = ()) -> Listing:
    """The images under `folder`/CLASS, classes numbered as in `classes`."""
    paths: list[Path] = []
    labels: list[int] = []
    for class_folder in _subfolders(folder):
        if class_folder.name in without:
            continue
        if class_folder.name not in classes:
            raise BadInput(f"{class_folder} is a class without training images")
        images = sorted(_files(class_folder, set()))
        if not images:
            raise BadInput(f"class folder {class_folder} has no images")
        paths += images
        labels += [classes.index(class_folder.name)] * len(images)
    if not paths:
        raise BadInput(f"{folder} has no class folders with images")
    return _listing(paths, labels)


def _labelled_or_none(folder: Path, classes: Sequence[str]) -> Listing | None:
    """A test folder's images, or None where it has no class folders: published without labels."""
    if not {sub.name for sub in _subfolders(folder)} & set(classes):
        return None
    return _class_folders(folder, classes)


def _annotated(folder: Path, classes: Sequence[str]) -> Listing:
    """TinyImageNet's val folder: a line "file, class, box" a picture, separated by tabs."""
    paths: list[Path] = []
    labels: list[int] = []
    lines = (folder / _ANNOTATIONS).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if len(fields) < 2 or fields[1] not in classes:
            raise BadInput(f"{folder / _ANNOTATIONS} line {number}: expected file, class and box")
        paths.append(folder / "images" / fields[0])
        labels.append(classes.index(fields[1]))
    if not paths:
        raise BadInput(f"{folder / _ANNOTATIONS} is empty")
    order = sorted(range(len(paths)), key=lambda i: paths[i])
    return _listing([paths[i] for i in order], [labels[i] for i in order])


def _lemmas(root: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """Each WordNet id's first word in words.txt, or the id itself where that is missing or ambiguous."""
    words = root / "words.txt"
    if not words.is_file():
        return tuple(classes)
    lines = words.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = [line.split("\t", 1) for line in lines if "\t" in line]
    first = {wnid: text.split(",")[0].strip() for wnid, text in pairs}
    names = [first.get(wnid, wnid) for wnid in classes]
    return tuple(n if names.count(n) == 1 else wnid for n, wnid in zip(names, classes, strict=True))


def _files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Every visible file under a folder; a folder that was already visited (a loop of links) is skipped."""
    try:
        status = folder.stat()
        entries = list(folder.iterdir())
    except OSError as error:
        raise BadInput(f"cannot read folder {folder}: {error.strerror}") from None
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _JUNK or entry.name.endswith(_BOXES):
            continue
        if entry.is_dir():
            yield from _files(entry, seen)
        elif entry.is_file() or entry.is_symlink():  # no pipes or sockets; a broken link is worth naming
            yield entry


def _listing(paths: list[Path], labels: list[int]) -> Listing:
    def items(indices: Indices) -> Iterator[Item]:
        return (paths[i] for i in indices)

    return Listing(np.array(labels, dtype=np.int64), items, lambda i: legible(str(paths[i])))
