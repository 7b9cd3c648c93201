"""Energy and latency of one network on this machine, for a person who asks.

An exported model is first checked: it must give all the logits that lie beside it, bit for bit, or where it
has float layers nearly so for most images; C is compiled for that, here and with optimisation. A network by
name is measured as PyTorch runs it, unconverted, on images of a stated size, and priced on a hardware profile
as float32, as 8-bit integers and as a shift network, so that the three can be compared before training.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from jouleshift import models
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.deploy.artefact import FORMS, check_path
from jouleshift.deploy.measured import Conditions, Latency, Ran, observe, run_alone
from jouleshift.deploy.nodes import Float32Array
from jouleshift.deploy.program import NEARLY
from jouleshift.energy.hardware import load_profile, model_energy
from jouleshift.energy.workload import trace
from jouleshift.errors import BadInput
from jouleshift.models.fit import refuse_misfit, usual_size
from jouleshift.records import EnergyReading
from jouleshift.train.memory import make_channels_last
from jouleshift.words import count

_DEPLOYED_FORMAT = ShiftConfig(weight_bits=4, act_integer_bits=3, act_fraction_bits=5)


@dataclass(frozen=True)
class Measured:
    """One way to run a network. `latency` is of a whole batch, `energy` of one image."""

    network: str
    runtime: str
    batch: int | None
    latency: Latency | None
    energy: EnergyReading
    task: str = ""
    """Size of the images and number of classes, in words."""
    check: str = ""


@dataclass(frozen=True)
class Named:
    """What a network's name leaves open; None is 10 classes, 3 channels, 32 pixels (224 for `…_224`) and the
    profile asic-45nm. An exported file has its own."""

    image_size: int | None = None
    classes: int | None = None
    channels: int | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        for name, value in self.given.items():
            if isinstance(value, int) and value < 1:
                raise BadInput(f"{name} {value}: expected at least 1")

    @property
    def given(self) -> dict[str, int | str]:
        return {name: value for name, value in vars(self).items() if value is not None}


def measure_model(model: str, conditions: Conditions, named: Named = Named()) -> list[Measured]:
    """Measure an exported file, or that of a folder, or a network by name. Raises `BadInput`."""
    path = Path(model)
    if path.is_dir():
        path = _only_network(path)
    if path.suffix in FORMS:
        if named.given:
            raise BadInput(f"{path} is an exported file: {next(iter(named.given))} is for networks by name")
        return [_exported(path, conditions)]
    if path.exists():
        raise BadInput(f"{path}: measure takes {', '.join(FORMS)} or the name of a network")
    return _by_name(model, conditions, named)


def _only_network(folder: Path) -> Path:
    found = _networks(folder)
    if len(found) != 1:
        names = f" ({', '.join(path.name for path in found)})" if found else ""
        raise BadInput(f"{folder} holds {count(len(found), 'exported network')}{names}: give a file of one")
    return found[0]


def _networks(folder: Path) -> list[Path]:
    """The exported files of a folder: those beside which lie images to check them with."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise BadInput(f"cannot read {folder}: {error.strerror or error}") from None
    return [path for path in files if path.suffix in FORMS and check_path(path).is_file()]


def _refuse_check(path: Path) -> None:
    """Raise `BadInput` where a file is not a network but the images that one is checked with."""
    if path.name.endswith(".check.safetensors") and not check_path(path).is_file():
        checked = [beside.name for beside in _networks(path.parent) if check_path(beside) == path]
        which = f": give {' or '.join(checked)}" if checked else ", which is not beside it"
        raise BadInput(f"{path} holds the images to check a network with, not the network{which}")


def _exported(path: Path, conditions: Conditions) -> Measured:
    if not path.is_file():
        raise BadInput(f"no file {path}")
    _refuse_check(path)
    images, logits, exact = _check_images(path)
    wanted = conditions.batch * -(-len(images) // conditions.batch)
    batches = np.resize(images, (wanted, *images.shape[1:]))  # repeats them to fill whole batches
    ran = run_alone(path, batches, conditions)
    verdict, passed = _compared(ran.logits[: len(logits)], logits, exact)
    if not passed:
        raise BadInput(f"{path}: {verdict}; this file or its runtime does not compute the network exported")
    task = _task(images.shape[1:], logits.shape[1])
    return Measured(path.name, ran.runtime, conditions.batch, ran.latency, ran.energy, task, verdict)


def _compared(found: Float32Array, logits: Float32Array, exact: bool) -> tuple[str, bool]:
    """How many images have the logits they should, and whether they are enough: all to the bit, or with float
    layers most of them nearly."""
    same = int((found == logits).all(1).sum())
    verdict = f"bit match: {same} of {count(len(logits), 'image')}"
    if exact or same == len(logits):
        return verdict, same == len(logits)
    near = int((abs(found - logits).max(1) <= NEARLY * np.ptp(logits)).sum())
    return f"{verdict}, {near} within {100 * NEARLY:.0f} %: it has float layers", 2 * near > len(logits)


def _task(image_shape: tuple[int, ...], classes: int) -> str:
    return f"images of {' × '.join(map(str, image_shape))}, {count(classes, 'class', 'classes')}"


def _check_images(path: Path) -> tuple[Float32Array, Float32Array, bool]:
    """Images, their logits, and whether these are integers' throughout."""
    from safetensors import SafetensorError, safe_open

    beside = check_path(path)
    try:
        with safe_open(beside, framework="numpy") as kept:
            images, logits = kept.get_tensor("images"), kept.get_tensor("logits")
            exact = (kept.metadata() or {}).get("integers", "throughout") == "throughout"
    except FileNotFoundError:
        raise BadInput(f"no {beside.name} beside {path}: it holds the images to run and check with") from None
    except (SafetensorError, KeyError, OSError):
        raise BadInput(f"{beside} is broken or not from an export") from None
    if images.ndim != 4 or logits.ndim != 2 or len(images) != len(logits) or not len(images):
        raise BadInput(f"{beside} does not hold images and their logits")
    return images.astype(np.float32), logits.astype(np.float32), exact


def _by_name(name: str, conditions: Conditions, named: Named) -> list[Measured]:
    side = named.image_size or usual_size(name)
    classes, channels = named.classes or 10, named.channels or 3
    profile = load_profile(named.profile or "asic-45nm")
    network = models.create(name, classes, channels).eval()
    refuse_misfit(name, network, (channels, side, side), classes)
    example = torch.zeros(1, channels, side, side)
    ran = _eager(network, example.expand(conditions.batch, -1, -1, -1), conditions)
    task, plain = _task(example.shape[1:], classes), trace(network, example)
    measured = Measured(f"{name}, float32", "torch", conditions.batch, ran.latency, ran.energy, task)
    shifted = trace(convert(network, _DEPLOYED_FORMAT), example)
    priced = [
        (f"{name}, float32", plain),
        (f"{name}, 8-bit integers", plain.as_integer(8)),
        (f"{name}, {_DEPLOYED_FORMAT.weight_bits}-bit shifts, 8-bit activations", shifted),
    ]
    return [measured] + [
        Measured(what, "–", None, None, model_energy(workload, profile).reading())
        for what, workload in priced
    ]


def _eager(network: nn.Module, images: torch.Tensor, conditions: Conditions) -> Ran:
    torch.set_num_threads(conditions.threads)
    make_channels_last(network)
    batch = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return observe("torch", partial(_logits, network, batch), len(batch), conditions)


def _logits(network: nn.Module, batch: torch.Tensor) -> Float32Array:
    return np.asarray(network(batch).numpy(), np.float32)
