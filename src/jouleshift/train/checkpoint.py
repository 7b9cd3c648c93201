"""A training run's state on disk: continuing it equals never having stopped.

A checkpoint holds the network's state, the optimizer's, the learning curve, and a fingerprint of everything
that decides what the next epochs do (configuration, seed, horizon, data, network). It is written to a
temporary file, flushed to disk and renamed, so that a kill leaves the old one or the new one, never half of
one. It is a plain PyTorch file, read with `weights_only=True`: nothing in it can run. PyTorch does not notice
a flipped bit in a tensor, so a digest of the whole content is inside.

A broken or foreign checkpoint is refused. For a trial that means training from the first epoch, which gives
the same result later.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from jouleshift.errors import BadInput, Unwritable
from jouleshift.records import Epoch

_FORMAT = "jouleshift-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """The state after `curve`'s last epoch. `parent_epochs` of them were trained by another trial."""

    fingerprint: str
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    curve: tuple[Epoch, ...]
    parent_epochs: int = 0

    @property
    def epoch(self) -> int:
        return len(self.curve)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically. `Unwritable` where the disk is full or the directory cannot be written."""
    content = {
        "format": _FORMAT,
        "fingerprint": checkpoint.fingerprint,
        "model": dict(checkpoint.model),
        "optimizer": dict(checkpoint.optimizer),
        "curve": [asdict(point) for point in checkpoint.curve],
        "parent_epochs": checkpoint.parent_epochs,
    }
    content["digest"] = _digest(content)
    serialised = io.BytesIO()
    torch.save(content, serialised)  # into memory: on a full disk its own file writer ends the process
    temporary = path.with_name(f".{path.name}.part")  # one name, so that kills do not leave many behind
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(serialised.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Unwritable(
            f"cannot write checkpoint {path}: {error.strerror or error}; finished trials are kept, and the "
            "same command continues once this is mended"
        ) from None


def load(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint onto a device. `BadInput` says what is wrong with the file."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"no checkpoint at {path}") from None
    except Exception:  # noqa: BLE001 - a flipped bit can make the reader of pickles raise anything
        raise BadInput(f"{path} is broken or not a checkpoint") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise BadInput(f"{path} is not a checkpoint of this version")
    if not _is_whole(content):
        raise BadInput(f"{path} is damaged: its digest does not match")
    try:
        return Checkpoint(
            fingerprint=content["fingerprint"],
            model=content["model"],
            optimizer=content["optimizer"],
            curve=tuple(Epoch(**point) for point in content["curve"]),
            parent_epochs=content["parent_epochs"],
        )
    except (KeyError, TypeError):
        raise BadInput(f"{path} lacks parts of a checkpoint") from None


def _is_whole(content: dict[str, Any]) -> bool:
    """Whether the digest is that of the rest; damage may also have made values that have none."""
    try:
        return content.pop("digest", None) == _digest(content)
    except Exception:  # noqa: BLE001 - of tensors that are no longer what was saved
        return False


def _digest(content: Any) -> str:
    """A digest of nested mappings and sequences of tensors and plain values."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, Mapping):
            for key in value:
                digest.update(repr(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            digest.update(f"{len(value)}".encode())
            for part in value:
                add(part)
        else:
            digest.update(repr(value).encode())

    add(content)
    return digest.hexdigest()
