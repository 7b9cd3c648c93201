"""What a training run may add to plain cross-entropy, each by its own hook.

- *Paper mode* is the default `Recipe()` with a constant learning rate; the authors' regularisation of shift
  parameters (½λ Σ (2^P)², in their training script) comes in as `penalty`, a function of the model, so that
  training stays ignorant of shift layers.
- *Distillation* (Hinton et al., 2015): the loss is (1 − α) · CE + α T² · KL(teacher/T ‖ student/T).
- *Bit progression* and the like, `stages`: `before_epoch(model, epoch)` runs before each epoch, counted from
  1, and `after_training(model, epoch)` when the last one, `epoch`, has ended. They must follow from `epoch`
  alone, since a continued run calls them for the remaining epochs only, on a network as built plus a
  checkpoint.
- *Batch-norm re-estimation*: the running statistics lag behind weights that move, more so where weights are
  rounded; after training they are computed anew as plain averages over training batches.

A checkpoint holds the network before `after_training` and re-estimation, so that continuing it is not
disturbed. `jouleshift.recipes` puts these together by name.

Mixed precision (bfloat16 in the forward pass, "auto" where the hardware computes in it) and compilation
change speed and rounding; both are off unless asked for. docs/training.md says where they pay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift.config import Precision


class Stages(Protocol):
    """Changes a network between epochs."""

    def before_epoch(self, model: nn.Module, epoch: int) -> None: ...
    def after_training(self, model: nn.Module, epoch: int) -> None: ...


@dataclass(frozen=True)
class Recipe:
    """Additions to plain training; the default adds nothing."""

    teacher: nn.Module | None = None
    """A trained network, on the training device, in evaluation mode."""
    teacher_weight: float = 0.5
    """α, the share of the teacher in the loss, 0 … 1."""
    temperature: float = 4.0
    penalty: Callable[[nn.Module], Tensor] | None = None
    """A scalar added to the loss of every step."""
    stages: Stages | None = None
    reestimate_batches: int = 0
    """Training batches over which batch norm is re-estimated after the last epoch; 0 is none."""
    precision: Precision = "float32"
    compile: bool = False

    def autocasts(self, device: torch.device) -> bool:
        """Whether the forward pass runs in bfloat16 on this device."""
        return self.precision == "bf16" or (self.precision == "auto" and computes_in_bf16(device))

    def identity(self) -> str:
        """What of the recipe a checkpoint must agree with; networks and functions count by their name."""
        numbers = (self.teacher_weight, self.temperature, self.reestimate_batches)
        hooks = (type(self.teacher).__name__, _name(self.penalty), type(self.stages).__name__)
        return repr((numbers, hooks, self.precision, self.compile))


def computes_in_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native there. Emulated it is slow: a tenth of float32's speed with AVX2."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _name(hook: Callable[..., object] | None) -> str:
    return "" if hook is None else getattr(hook, "__qualname__", type(hook).__qualname__)


def classification_loss(
    recipe: Recipe, label_smoothing: float, images: Tensor, logits: Tensor, labels: Tensor
) -> Tensor:
    """Mean loss of a batch, the penalty left out: cross-entropy, mixed with the teacher's if there is one."""
    logits = logits.float()
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if recipe.teacher is None:
        return loss
    with torch.no_grad():
        taught = recipe.teacher(images).float()
    t = recipe.temperature
    divergence = F.kl_div(
        F.log_softmax(logits / t, dim=1),
        F.log_softmax(taught / t, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - recipe.teacher_weight) * loss + recipe.teacher_weight * t * t * divergence


@torch.no_grad()
def reestimate_batch_norm(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Replace every batch norm's running statistics by their plain averages over the batches."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    tracked = [m for m in norms if m.track_running_stats]
    if not tracked:
        return
    momenta = [norm.momentum for norm in tracked]
    for norm in tracked:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's sign for a cumulative average
    model.train()
    for images, _ in batches:
        model(images)
    for norm, momentum in zip(tracked, momenta, strict=True):
        norm.momentum = momentum
