"""The six studies of the paper: three networks on two data sets, and the one behind its Figure 4.

Table 1 is the space of ResNet20 on CIFAR-10. Of the other five the paper prints only the fronts (Tables 3 to
7), which tell that their spaces were others: no batch size among the hyperparameters, learning rates up to
0.199, no more than 5 weight bits. GoogLeNet's largest shift depth is 22, of 64 convolutions, as in
DeepShift's code.

The paper states neither epochs nor trials. Its code asks for budgets up to 50 epochs, its tables number
configurations up to 124; at full scale ours are 5, 15 and 45 epochs, which gives Hyperband three rungs, and
150 trials. `scaled` shrinks a study for a small machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

DataName = Literal["cifar10", "caltech101"]

FULL_TRIALS = 150
FULL_EPOCHS = 5
"""The lowest budget; the full one is nine times as much."""

FEWEST_TRIALS = 20
SMALL_CALTECH = 32
"""Pixels of a Caltech101 image where the scale is below a half."""

LAPTOP = 0.1
"""Below this scale images have 16 pixels and batches 32 images: a network that sees few images is far from
trained for want of steps, and GoogLeNet takes 0.1 s of a processor for each of 32 pixels."""
LAPTOP_PIXELS, LAPTOP_BATCH = 16, 32
LAPTOP_PRECISION: Mapping[str, str] = {"googlenet": "auto"}
"""An epoch of GoogLeNet is 1.5 times as fast in bfloat16 where that is native; MobileNetV2's is slower."""

FEWEST_A_CLASS, FEWEST_A_CLASS_ON_A_LAPTOP = 20, 10
"""Training images of a class."""

_IMAGES: Mapping[DataName, tuple[int, int, int]] = {
    "cifar10": (40_000, 10_000, 10),
    "caltech101": (5_553, 1_389, 101),
}
"""Training and validation images at full scale, and classes."""

_OTHER_SPACE: Mapping[str, Any] = {"batch_size": 128, "learning_rate": [0.001, 0.2], "weight_bits": [2, 5]}

_RATES_ONLY: Mapping[str, Any] = {
    "batch_size": 128, "optimizer": "SGD", "momentum": 0.9, "weight_decay": 1e-4, "weight_bits": 5,
    "activation_integer_bits": 16, "activation_fraction_bits": 16, "shift_depth": 20, "shift_type": "PS",
    "rounding": "deterministic",
}  # fmt: skip


@dataclass(frozen=True)
class Study:
    """One search of the paper, run once for each seed."""

    name: str
    model: str
    data: DataName
    space: Mapping[str, Any]
    table: int | None = None
    """The table that prints its front."""
    scheduler: str = "parego-hyperband"

    def scaled(self, scale: float) -> dict[str, Any]:
        """Settings of the search at a scale in 0 … 1: epochs, images and trials shrink together.

        Never below three rungs (1, 3 and 9 epochs), 20 trials, and 20 training images a class. Below
        `LAPTOP` images and batches are smaller too, and 10 images a class are enough.
        """
        train, val, classes = _IMAGES[self.data]
        fewest = FEWEST_A_CLASS_ON_A_LAPTOP if scale < LAPTOP else FEWEST_A_CLASS
        least = max(1, round(FULL_EPOCHS * scale))
        settings: dict[str, Any] = {
            "model": self.model,
            "scheduler": self.scheduler,
            "space": dict(self.space),
            "trials": max(FEWEST_TRIALS, round(FULL_TRIALS * scale)),
            "min_budget": least,
            "max_budget": 9 * least,
        }
        if scale < 1:
            settings["limit_train"] = max(fewest * classes, round(train * scale))
            settings["limit_val"] = min(val, max(5 * classes, round(val * scale)))
        if self.data == "caltech101":
            settings["image_size"] = 64 if scale >= 0.5 else SMALL_CALTECH
        if scale < LAPTOP:
            settings["image_size"] = LAPTOP_PIXELS
            settings["space"]["batch_size"] = LAPTOP_BATCH
            settings["precision"] = LAPTOP_PRECISION.get(self.model, "float32")
        return settings


STUDIES: Mapping[str, Study] = {
    study.name: study
    for study in (
        Study("resnet20-cifar10", "resnet20", "cifar10", {}, 2),
        Study("mobilenetv2-cifar10", "mobilenetv2", "cifar10", _OTHER_SPACE, 3),
        Study("googlenet-cifar10", "googlenet", "cifar10", {**_OTHER_SPACE, "shift_depth": [0, 22]}, 4),
        Study("resnet20-caltech101", "resnet20", "caltech101", _OTHER_SPACE, 5),
        Study("mobilenetv2-caltech101", "mobilenetv2", "caltech101", _OTHER_SPACE, 6),
        Study("googlenet-caltech101", "googlenet", "caltech101", {**_OTHER_SPACE, "shift_depth": [0, 22]}, 7),
        Study("learning-rates", "resnet20", "cifar10", _RATES_ONLY, scheduler="random"),
        Study(
            "default-rate", "resnet20", "cifar10", {**_RATES_ONLY, "learning_rate": [0.0999, 0.1]},
            scheduler="random",
        ),
    )
}  # fmt: skip
"""The last two are Figure 4's: the default configuration with random learning rates, and, as its control,
with rates within a thousandth of the default one."""
