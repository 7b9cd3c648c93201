"""The rows of the accuracy table: which network, trained how.

Every row sees the same images for the same number of epochs, in the same loop. *ours* start from scratch like
the float network and are trained exactly as it is. DeepShift's own layers get what serves them best of what
was tried (LOG.md): their authors' optimizer for each kind (SGD for Q, RAdam for PS) at the best of several
rates, and the better of their schedule and ours. Their shift and sign parameters are exempt from weight decay
and punished by ½λ Σ (2^P)² instead, as in their training script.

`recipe_rows` ask something else: what the parts of the recipe `modern`, a teacher, and 8 bits in the first
and last layers are worth at 2 bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jouleshift import conversion, models
from jouleshift.config import ShiftConfig, ShiftType, TrainConfig
from jouleshift.recipes import LABEL_SMOOTHING, REESTIMATED_BATCHES, BitProgression
from jouleshift.train.recipe import Recipe

CLASSES = 10
KINDS: tuple[ShiftType, ShiftType] = ("Q", "PS")
EIGHT_BITS = {"act_integer_bits": 3, "act_fraction_bits": 5}
FOUR_BITS = {"act_integer_bits": 2, "act_fraction_bits": 2}


@dataclass(frozen=True)
class Training:
    """What a recipe may depend on: the network as built, epochs in all, and the float network trained so."""

    network: nn.Module
    epochs: int
    teacher: Callable[[], nn.Module]


@dataclass(frozen=True)
class Row:
    """A line of the table: `build` gives a network ready to train, weights drawn from torch's generator."""

    name: str
    build: Callable[[], nn.Module]
    optimizer: dict[str, Any]
    recipe: Callable[[Training], Recipe] = lambda _: Recipe()


def float_network() -> nn.Module:
    return models.create("resnet20", num_classes=CLASSES)


def ours(
    kind: ShiftType, bits: int, activations: dict[str, int], ends: int | None = None
) -> Callable[[], nn.Module]:
    """All layers shifted, the first and the last with `ends` bits where they differ."""
    config = ShiftConfig(kind=kind, weight_bits=bits, **activations)
    layers = None if ends is None else {"first": ends, "last": ends}
    return lambda: conversion.convert(float_network(), config, layers=layers)


def deepshift(kind: ShiftType, bits: int) -> Callable[[], nn.Module]:
    """ResNet20 of DeepShift's own layers; its folder `pytorch` must be on the path."""

    def build() -> nn.Module:
        from deepshift.convert import convert_to_shift

        formats = {"weight_bits": bits, "act_integer_bits": 3, "act_fraction_bits": 5}
        network, _ = convert_to_shift(
            float_network(), 1000, kind, use_kernel=False, use_cuda=False, **formats
        )
        for module in network.modules():
            if hasattr(module, "shift"):
                module.undecayed = ("shift", "sign")
        return network

    return build


def shift_norm(weight_decay: float) -> Callable[[nn.Module], Tensor]:
    """DeepShift's regularisation of shift parameters: ½λ Σ (2^P)²."""

    def penalty(network: nn.Module) -> Tensor:
        shifts = [value for name, value in network.named_parameters() if name.endswith(".shift")]
        return 0.5 * weight_decay * sum(torch.sum(4.0**shift) for shift in shifts)

    return penalty


def as_deepshift(_: Training) -> Recipe:
    return Recipe(penalty=shift_norm(TrainConfig().weight_decay))


@dataclass(frozen=True)
class Rates:
    """Peaks of the one-cycle schedules: of float and ours, of DeepShift's Q, of its PS under RAdam."""

    ours: float
    peer_q: float
    peer_ps: float


def rows(rates: Rates) -> list[Row]:
    """All rows, the most telling first."""
    plain = {"optimizer": "SGD", "learning_rate": rates.ours, "schedule": "one-cycle"}
    peer_q = {**plain, "learning_rate": rates.peer_q}
    peer_ps = {**plain, "optimizer": "RAdam", "learning_rate": rates.peer_ps}
    table = [Row("float", float_network, plain)]
    for bits in (5, 4, 3, 2):
        for kind in KINDS:
            table.append(Row(f"ours {kind} {bits}", ours(kind, bits, EIGHT_BITS), plain))
    for kind in KINDS:
        table.append(Row(f"ours {kind} 4, 4-bit activations", ours(kind, 4, FOUR_BITS), plain))
    for bits in (5, 4, 3, 2):
        table.append(Row(f"DeepShift Q {bits}", deepshift("Q", bits), peer_q))
        table.append(Row(f"DeepShift PS {bits}", deepshift("PS", bits), peer_ps, as_deepshift))
    return table


def recipe_rows(rates: Rates) -> list[Row]:
    """The float network and ours at 2 bits, with the parts of the recipe `modern`, with a teacher, and with
    8 bits at both ends."""
    plain = {"optimizer": "SGD", "learning_rate": rates.ours, "schedule": "one-cycle"}
    smooth = {**plain, "label_smoothing": LABEL_SMOOTHING}
    additions: dict[str, tuple[dict[str, Any], Callable[[Training], Recipe]]] = {
        "label smoothing": (smooth, lambda _: Recipe()),
        "re-estimation": (plain, lambda _: Recipe(reestimate_batches=REESTIMATED_BATCHES)),
        "progression": (plain, lambda run: Recipe(stages=BitProgression(run.network, run.epochs))),
        "modern": (
            smooth,
            lambda run: Recipe(
                stages=BitProgression(run.network, run.epochs), reestimate_batches=REESTIMATED_BATCHES
            ),
        ),
        "teacher": (plain, lambda run: Recipe(teacher=run.teacher())),
    }
    networks = {f"ours {kind} 2": ours(kind, 2, EIGHT_BITS) for kind in KINDS}
    table = [Row(name, build, plain) for name, build in {"float": float_network, **networks}.items()]
    table.append(Row("float, label smoothing", float_network, smooth))
    for name, build in networks.items():
        table += [Row(f"{name}, {added}", build, *how) for added, how in additions.items()]
    for kind in KINDS:
        table.append(Row(f"ours {kind} 2, first and last 8 bits", ours(kind, 2, EIGHT_BITS, 8), plain))
    return table
