"""A trained network judged as what would ship: its error and its energy as integers, in a real runtime.

One without shift layers is judged as the float32 network that it is, in the same runtimes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from jouleshift.data.batches import Prepared, Resident, evaluation_batches
from jouleshift.deploy import nodes as p
from jouleshift.deploy.lower import CALIBRATION_IMAGES, program_of
from jouleshift.deploy.measured import Conditions, run_alone
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.runtime import load
from jouleshift.deploy.storage import save_program
from jouleshift.records import EnergyReading


@dataclass(frozen=True)
class Deployed:
    """A network's integer program and the data it is judged on."""

    program: IntegerProgram
    data: Prepared

    @classmethod
    def of(cls, model: nn.Module, data: Prepared) -> "Deployed":
        """Lower a network; the first training images decide number formats. Raises `BadInput`."""
        return cls(program_of(model, calibration_images(data)), data)

    def error(self, split: Resident) -> float:
        """The share of a split's images that the program gets wrong, 0 … 1."""
        return judged(load(self.program, "torch"), split)

    def measured(self, conditions: Conditions) -> tuple[EnergyReading, float]:
        """Joules and seconds of one image in a runtime, batch by batch of training images (their values do
        not matter).

        Raises `BadInput` where no runtime can execute the program.
        """
        images = next(evaluation_batches(self.data.train))[0][: conditions.batch].cpu()
        with TemporaryDirectory(prefix="jouleshift-") as folder:
            path = Path(folder) / "network.safetensors"
            save_program(self.program, path)
            ran = run_alone(path, images.contiguous().numpy(), conditions)
        return ran.energy, ran.latency.median_s / len(images)


def calibration_images(data: Prepared) -> Tensor:
    """The first training images, as evaluation sees them: not augmented."""
    images, _ = next(evaluation_batches(data.train))
    return images[:CALIBRATION_IMAGES].cpu()


def judged(run: Callable[[p.Float32Array], p.Float32Array], split: Resident) -> float:
    """The error of an executor on a split, 0 … 1."""
    wrong = 0
    for images, labels in evaluation_batches(split):
        logits = torch.from_numpy(run(images.cpu().contiguous().numpy()))
        wrong += int((logits.argmax(1) != labels.cpu()).sum())
    return wrong / len(split)
