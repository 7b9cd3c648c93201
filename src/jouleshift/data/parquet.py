"""Parquet files of images, in the layout of the Hugging Face Hub.

An image column is a struct {bytes, path} or plain binary, holding encoded images; a label column holds class
numbers, names, or true and false. The schema's `huggingface` metadata, where present, says which columns
these are and what the classes are called. Without it the one image column and a column named `label` (or the
only integer or string column) are taken, and the distinct labels, in order, are the classes.

A data set may be several files. Their names say which split they belong to (`cifar10-train.parquet`,
`test-00000-of-00002.parquet`, `validation/0000.parquet`); beside those for validation or test, a file whose
name says nothing is for training. For a file named `…train…` the siblings of the same
name with `test` and `val` are found without being asked for.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jouleshift.data.folders import SPLIT_NAMES
from jouleshift.data.listing import Indices, Item, Listing, Listings
from jouleshift.errors import BadInput
from jouleshift.words import legible

_LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "y")
_SPLIT_OF = {word: part for part, words in SPLIT_NAMES.items() for word in words}


@dataclass(frozen=True)
class _Columns:
    """Which columns hold images and labels; `class_names` is None where the file does not say."""

    image: str
    label: str
    class_names: tuple[str, ...] | None


def read_parquet(files: Sequence[Path]) -> Listings:
    """The listings of a data set in one or several Parquet files, and in their siblings."""
    roles = [(_role(path), path) for path in sorted(files)]
    names = sorted({name for (name, _), _ in roles})
    if len(names) > 1:
        raise BadInput(
            f"{files[0].parent} holds several data sets ({', '.join(names)}); name the files of one"
        )
    parts: dict[str, list[Path]] = {}
    for (_, part), path in roles:
        parts.setdefault(part, []).append(path)
    parts = _with_training_files(parts, files[0].parent)
    if len(parts) == 1 and "train" in {part for (_, part), _ in roles}:
        parts |= _siblings(parts["train"])
    tables = {part: [_open(path) for path in paths] for part, paths in parts.items()}
    columns = _columns(tables["train"][0], parts["train"][0])
    labels = {part: _labels(tables[part], paths, columns) for part, paths in parts.items()}
    class_names, numbers = _classes(labels, parts, columns)
    listings = {part: _listing(tables[part], paths, columns, numbers[part]) for part, paths in parts.items()}
    name = legible(names[0] or files[0].resolve().parent.name)
    return Listings(name, class_names, listings["train"], listings.get("val"), listings.get("test"))


def _with_training_files(parts: dict[str, list[Path]], where: Path) -> dict[str, list[Path]]:
    """Files by split. One whose name says nothing is for training beside those for validation or test."""
    if len(parts) == 1 and "train" not in parts:  # one set, to be split
        return {"train": next(iter(parts.values()))}
    if "all" in parts and "train" in parts:
        raise BadInput(f"{where}: of which split is {parts['all'][0].name}, beside {parts['train'][0].name}?")
    if "all" not in parts and "train" not in parts:
        raise BadInput(f"{where} has files for {' and '.join(sorted(parts))}, and none for training")
    return {"train" if part == "all" else part: paths for part, paths in parts.items()}


def _role(path: Path) -> tuple[str, str]:
    """A file's data set and split by its name: ("cifar10", "train") for cifar10-train.parquet."""
    words = [word for word in re.split(r"[-_. ]+", path.stem) if word]
    part = next((_SPLIT_OF[w.lower()] for w in words if w.lower() in _SPLIT_OF), "")
    if not part:
        part = _SPLIT_OF.get(path.parent.name.lower(), "")
    kept = []
    for word in words:
        if word.lower() in _SPLIT_OF or re.fullmatch(r"\d{3,}|of|part", word):
            break
        kept.append(word)
    return "-".join(kept), part or "all"


def _siblings(train: Sequence[Path]) -> dict[str, list[Path]]:
    """Files beside the training files that hold the same data set's other splits."""
    name, _ = _role(train[0])
    found: dict[str, list[Path]] = {}
    for path in sorted(train[0].parent.glob("*.parquet")):
        other, part = _role(path)
        if other == name and part in ("val", "test"):
            found.setdefault(part, []).append(path)
    return found


def _open(path: Path) -> pq.ParquetFile:
    try:
        if path.stat().st_size == 0:
            raise BadInput(f"{path} is empty, zero bytes")
        file = pq.ParquetFile(path)
    except pa.ArrowException:
        raise BadInput(f"{path} is not a Parquet file, or is cut off") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from None
    if file.metadata.num_rows == 0:
        raise BadInput(f"{path} has no rows")
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what a damaged page of a file raises into bad input."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is damaged: {error}") from None


def _columns(file: pq.ParquetFile, path: Path) -> _Columns:
    schema = file.schema_arrow
    features = _features(schema)
    image = _choose_image(schema, features)
    if image is None:
        raise BadInput(
            f"{path} has no image column (a struct with bytes, or binary); columns: {', '.join(schema.names)}"
        )
    label = _choose_label(schema, features)
    if label is None:
        raise BadInput(
            f"{path} has no label column (an integer column named label); columns: {', '.join(schema.names)}"
        )
    names = features.get(label, {}).get("names")
    return _Columns(image, label, tuple(map(str, names)) if isinstance(names, list) else None)


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """The columns' descriptions in the `huggingface` metadata; empty where there are none."""
    try:
        described = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in described.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _choose_image(schema: pa.Schema, features: dict[str, dict[str, Any]]) -> str | None:
    usable = [field.name for field in schema if _holds_images(field.type)]
    described = [n for n in usable if features.get(n, {}).get("_type") == "Image"]
    return next(iter(described + [n for n in ("image", "img") if n in usable] + usable), None)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _holds_images(kind.field(at).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _choose_label(schema: pa.Schema, features: dict[str, dict[str, Any]]) -> str | None:
    plain = [f.name for f in schema if pa.types.is_integer(f.type) or _is_text(f.type)]
    usable = [f.name for f in schema if f.name in plain or _is_coded(f.type)]
    described = [n for n in usable if features.get(n, {}).get("_type") == "ClassLabel"]
    named = [n for n in _LABEL_NAMES if n in usable]
    best = [n for n in named if n in described] + described + named
    return next(iter(best), next((names[0] for names in (plain, usable) if len(names) == 1), None))


def _is_coded(kind: pa.DataType) -> bool:
    """True and false, or numbers or words from a dictionary: what pandas makes of a categorical column."""
    if pa.types.is_dictionary(kind):
        return pa.types.is_integer(kind.value_type) or _is_text(kind.value_type)
    return pa.types.is_boolean(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _labels(files: Sequence[pq.ParquetFile], paths: Sequence[Path], columns: _Columns) -> list[Any]:
    labels: list[Any] = []
    for file, path in zip(files, paths, strict=True):
        missing = {columns.image, columns.label} - set(file.schema_arrow.names)
        if missing:
            raise BadInput(f"{path} has no column {min(missing)!r}, unlike the training file")
        with _readable(path):
            found = file.read(columns=[columns.label])[columns.label].to_pylist()
        if None in found:
            raise BadInput(f"{path} row {found.index(None)}: no label in column {columns.label!r}")
        labels += found
    return labels


def _classes(
    labels: dict[str, list[Any]], parts: dict[str, list[Path]], columns: _Columns
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    """Class names, and each split's labels as numbers into them. Drops splits published without labels."""
    for part in ("val", "test"):
        if set(labels.get(part, ())) == {-1}:
            del labels[part], parts[part]
    known: list[Any] = (
        list(range(len(columns.class_names))) if columns.class_names else sorted(set(labels["train"]))
    )
    number_of = {label: number for number, label in enumerate(known)}
    numbers = {}
    for part, values in labels.items():
        for row, value in enumerate(values):
            if value not in number_of or value == -1:
                raise BadInput(
                    f"{parts[part][0]} row {row}: label {value!r} in column {columns.label!r} is none of the "
                    f"{len(known)} classes"
                )
        numbers[part] = np.array([number_of[value] for value in values], dtype=np.int64)
    return columns.class_names or tuple(map(str, known)), numbers


def _listing(
    files: Sequence[pq.ParquetFile], paths: Sequence[Path], columns: _Columns, labels: NDArray[np.int64]
) -> Listing:
    starts = np.cumsum([0] + [file.metadata.num_rows for file in files])

    def items(indices: Indices) -> Iterator[Item]:
        for file, path, (start, end) in zip(files, paths, pairwise(starts), strict=True):
            wanted = indices[(indices >= start) & (indices < end)] - start
            yield from _encoded(file, path, columns.image, wanted)

    def describe(i: int) -> str:
        at = int(np.searchsorted(starts, i, side="right")) - 1
        return f"{legible(str(paths[at]))} row {i - starts[at]}"

    return Listing(labels, items, describe)


def _encoded(file: pq.ParquetFile, path: Path, column: str, wanted: Indices) -> Iterator[bytes]:
    """The encoded images in the wanted rows (ascending), reading only row groups that have any."""
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        rows = wanted[(wanted >= start) & (wanted < end)] - start
        if len(rows):
            with _readable(path):
                chosen = file.read_row_group(group, columns=[column])[column].take(pa.array(rows))
            for value in chosen:
                image = value.as_py()
                yield (image.get("bytes") if isinstance(image, dict) else image) or b""
        start = end
