"""Ways to train a shift network, by name: what `train.recipe` can add, put together.

| recipe | learning rate | added |
| --- | --- | --- |
| plain | constant | nothing |
| paper | constant | ½λ Σ (2^P)² over PS layers' shifts, λ the weight decay (DeepShift's training script) |
| modern | one-cycle | label smoothing 0.1, bit progression, batch norm re-estimated, bfloat16 if native |

*Bit progression*: a network that is to end at 2 bits starts at 5 and loses one every so many epochs, so that
the weights settle on a fine grid before they must on a coarse one (as in incremental quantisation, Zhou et
al., 2017). The second half of the full budget belongs to the final bits. A trial that ends earlier is judged
at the final bits all the same, and continues where it was.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from jouleshift.config import StudyConfig
from jouleshift.nn.layers import ShiftLayer
from jouleshift.nn.shift_sign import PSWeight
from jouleshift.train.recipe import Recipe

FIRST_BITS = 5
LABEL_SMOOTHING = 0.1
REESTIMATED_BATCHES = 20


def training_settings(study: StudyConfig) -> dict[str, Any]:
    """What a study and its recipe decide of `TrainConfig`."""
    modern = study.recipe == "modern"
    return {
        "schedule": study.schedule or ("one-cycle" if modern else "constant"),
        "label_smoothing": LABEL_SMOOTHING if modern else 0.0,
        "augment": study.augment,
    }


def recipe_for(
    study: StudyConfig, model: nn.Module, weight_decay: float, teacher: nn.Module | None = None
) -> Recipe:
    """What training `model`, as converted and not yet trained, adds to plain cross-entropy."""
    modern = study.recipe == "modern"
    return Recipe(
        teacher=teacher,
        penalty=ShiftPenalty(weight_decay) if study.recipe == "paper" else None,
        stages=BitProgression(model, study.max_budget) if modern else None,
        reestimate_batches=REESTIMATED_BATCHES if modern else 0,
        precision=study.precision or ("auto" if modern else "float32"),
        compile=study.compile,
    )


class ShiftPenalty:
    """½λ Σ (2^P)² over every PS weight of a model."""

    def __init__(self, weight_decay: float) -> None:
        self.weight_decay = weight_decay

    def __call__(self, model: nn.Module) -> Tensor:
        norms = [module.shift_norm() for module in model.modules() if isinstance(module, PSWeight)]
        return 0.5 * self.weight_decay * (torch.stack(norms).sum() if norms else torch.zeros(()))


def bits_at(final: int, epoch: int, horizon: int) -> int:
    """Weight bits in epoch 1, 2, … of `horizon`: one fewer at a time from 5 to `final`, reached half way.

    >>> [bits_at(3, epoch, 8) for epoch in range(1, 9)]
    [5, 5, 4, 4, 3, 3, 3, 3]
    """
    steps = range(FIRST_BITS, final, -1)
    stage = int((epoch - 1) * 2 * len(steps) / horizon)
    return steps[stage] if stage < len(steps) else final


class BitProgression:
    """The stages of a network that is to end at the bits it is built with, each layer at its own."""

    def __init__(self, model: nn.Module, horizon: int) -> None:
        self.final = {name: layer.shift_config.weight_bits for name, layer in _shift_layers(model)}
        self.horizon = horizon

    def before_epoch(self, model: nn.Module, epoch: int) -> None:
        for name, layer in _shift_layers(model):
            final = self.final[name]
            if epoch > 1:
                layer.declare_weight_bits(bits_at(final, epoch - 1, self.horizon))
            layer.change_weight_bits(bits_at(final, epoch, self.horizon))

    def after_training(self, model: nn.Module, epoch: int) -> None:
        for name, layer in _shift_layers(model):
            layer.declare_weight_bits(bits_at(self.final[name], epoch, self.horizon))
            layer.change_weight_bits(self.final[name])


def _shift_layers(model: nn.Module) -> Iterator[tuple[str, ShiftLayer]]:
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, ShiftLayer))
