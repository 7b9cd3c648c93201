"""One training loop for any network.

    result = train(network, prepare(splits), TrainConfig(), epochs=3, horizon=9, seed=0)

An epoch is: seed the global generator (layers may draw from it: dropout, stochastic rounding), every training
image once, the validation images once, one `records.Epoch`. All of it follows from the arguments, so that
3 epochs and then 6 more from the checkpoint equal 9 in one go, bit for bit on the CPU, and 3 epochs of a
horizon of 9 are the first third of the full run.

A run that cannot succeed ends early with a `Failure` value: "diverged" where a loss is not finite, or where
every batch of the first epoch lost more than twice what guessing at random would (ln K nats for K classes),
and "out-of-memory". Everything else that goes wrong is a bug and raises.

Networks run channels-last, and memory that a step frees is kept for the next one (`memory.py`).
"""

import contextlib
import hashlib
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift.config import TrainConfig
from jouleshift.data.batches import (
    Batch,
    Prepared,
    batch_bounds,
    evaluation_batches,
    prepare,
    training_batches,
)
from jouleshift.data.randomness import derived_seed
from jouleshift.data.sources import Splits
from jouleshift.errors import BadInput
from jouleshift.records import Epoch, Failure
from jouleshift.train import checkpoint as checkpoints
from jouleshift.train.checkpoint import Checkpoint
from jouleshift.train.memory import keep_freed_memory, make_channels_last
from jouleshift.train.optim import learning_rate, make_optimizer
from jouleshift.train.recipe import Recipe, classification_loss, reestimate_batch_norm

HOPELESS = 2.0
"""A first epoch whose every batch loses more than this multiple of chance has diverged …"""
_HOPELESS_STEPS = 20
"""… if it has this many steps."""
_SAVE_EVERY_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """`error` and `val_loss` are those of the network as it now is, batch norm re-estimated if asked for.

    `trained_epochs` are those that `checkpoint_in` did not have; `train_s` is the wall time of this call.
    """

    curve: tuple[Epoch, ...]
    error: float
    val_loss: float
    trained_epochs: int
    train_s: float


class _Diverged(Exception):  # noqa: N818 - ends a run from inside a step
    pass


def train(
    model: nn.Module,
    data: Splits | Prepared,
    config: TrainConfig,
    *,
    epochs: int,
    horizon: int,
    seed: int,
    device: torch.device | str = "cpu",
    checkpoint_in: str | Path | None = None,
    checkpoint_out: str | Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    recipe: Recipe | None = None,
) -> TrainResult | Failure:
    """Train `model` in place up to epoch `epochs`, counted from its first one; leave it in evaluation mode.

    Schedules end at epoch `horizon` ≥ `epochs`. Where `checkpoint_in` holds the same run after fewer epochs,
    training continues from there; a missing, broken or foreign one is reported in the log and not used.
    `checkpoint_out` gets the state after the last epoch, and about once a minute before, from which a killed
    run goes on when it is started again.
    """
    if not 0 < epochs <= horizon:
        raise ValueError(f"epochs {epochs} not in 1 … {horizon}, the horizon")
    started, device = time.perf_counter(), torch.device(device)
    begin, end = (None if path is None else Path(path) for path in (checkpoint_in, checkpoint_out))
    keep_freed_memory()
    try:
        prepared = data if isinstance(data, Prepared) else prepare(data, device)
        make_channels_last(model.to(device))
        with _reproducible(device):
            run = _Run(model, prepared, config, horizon, seed, device, recipe or Recipe())
            run.start(epochs, begin, end)
            run.advance(epochs, end, on_epoch)
            val_loss, error = run.finish()
    except _Diverged as reason:
        return Failure("diverged", str(reason))
    except (MemoryError, RuntimeError) as problem:
        if not _is_out_of_memory(problem):
            raise
        return Failure("out-of-memory", _first_line(problem))
    trained = epochs - run.parent_epochs
    return TrainResult(tuple(run.curve), error, val_loss, trained, time.perf_counter() - started)


class _Run:
    """A training run under way: network, optimizer and curve, which a checkpoint can replace."""

    def __init__(
        self,
        model: nn.Module,
        data: Prepared,
        config: TrainConfig,
        horizon: int,
        seed: int,
        device: torch.device,
        recipe: Recipe,
    ) -> None:
        self.model, self.data, self.config, self.seed, self.recipe = model, data, config, seed, recipe
        self.device = device
        self.optimizer = make_optimizer(model, config)
        self.autocasts = recipe.autocasts(device)
        self.forward = torch.compile(model, dynamic=True) if recipe.compile else model
        self.steps = len(batch_bounds(len(data.train), config.batch_size))
        self.horizon_steps = horizon * self.steps
        self.augmentation = data.augmentation if config.augment else None
        self.curve: list[Epoch] = []
        self.parent_epochs = 0
        self.fingerprint = _fingerprint(model, data, config, horizon, seed, recipe)

    def start(self, epochs: int, checkpoint_in: Path | None, checkpoint_out: Path | None) -> None:
        """Continue from the furthest usable checkpoint: of this run if it was killed, or of its parent."""
        for path, own in ((checkpoint_out, True), (checkpoint_in, False)):
            if path is None or (own and not path.exists()):
                continue
            try:
                self._restore(checkpoints.load(path, self.device), epochs, own=own)
            except BadInput as reason:
                _log.warning("not continued: %s", reason)
            else:
                return

    def _restore(self, saved: Checkpoint, epochs: int, *, own: bool) -> None:
        if saved.fingerprint != self.fingerprint:
            raise BadInput("the checkpoint is of another network, data set or configuration")
        if saved.epoch > epochs:
            raise BadInput(f"the checkpoint is at epoch {saved.epoch}, past {epochs}")
        self.model.load_state_dict(saved.model)
        self.optimizer.load_state_dict(dict(saved.optimizer))
        self.curve = list(saved.curve)
        self.parent_epochs = saved.parent_epochs if own else saved.epoch

    def advance(
        self, epochs: int, checkpoint_out: Path | None, on_epoch: Callable[[Epoch], None] | None
    ) -> None:
        saved_at = time.perf_counter()
        for epoch in range(len(self.curve) + 1, epochs + 1):
            self.curve.append(self._epoch(epoch))
            if on_epoch is not None:
                on_epoch(self.curve[-1])
            if checkpoint_out is not None and (
                epoch == epochs or time.perf_counter() - saved_at > _SAVE_EVERY_S
            ):
                self._save(checkpoint_out)
                saved_at = time.perf_counter()

    def _save(self, path: Path) -> None:
        state = self.model.state_dict(), self.optimizer.state_dict()
        checkpoints.save(path, Checkpoint(self.fingerprint, *state, tuple(self.curve), self.parent_epochs))

    def finish(self) -> tuple[float, float]:
        """Last stage, batch norm re-estimated if asked for; (loss, error) on the validation images."""
        self.model.eval()
        last = self.curve[-1]
        stages, batches = self.recipe.stages, self.recipe.reestimate_batches
        if stages is None and not batches:
            return last.val_loss, last.val_error
        if stages is not None:
            stages.after_training(self.model, last.epoch)
        if batches:
            torch.manual_seed(derived_seed(self.seed, "batch-norm", last.epoch))
            reestimate_batch_norm(self.model, itertools.islice(self._batches(last.epoch + 1), batches))
        return validate(self.model, evaluation_batches(self.data.val))

    def _epoch(self, epoch: int) -> Epoch:
        started = time.perf_counter()
        torch.manual_seed(derived_seed(self.seed, "layers", epoch))
        if self.recipe.stages is not None:
            self.recipe.stages.before_epoch(self.model, epoch)
        train_loss = self._train(epoch)
        torch.manual_seed(derived_seed(self.seed, "validation", epoch))
        val_loss, val_error = validate(self.model, evaluation_batches(self.data.val))
        if not math.isfinite(val_loss):
            raise _Diverged(f"epoch {epoch}: the validation loss is {val_loss}")
        rate = learning_rate(self.config, epoch * self.steps - 1, self.horizon_steps)
        return Epoch(epoch, train_loss, val_loss, val_error, rate, time.perf_counter() - started)

    def _train(self, epoch: int) -> float:
        """One pass over the training images; their mean loss."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        lowest = torch.full((), math.inf, device=self.device)
        for number, (images, labels) in enumerate(self._batches(epoch)):
            rate = learning_rate(self.config, (epoch - 1) * self.steps + number, self.horizon_steps)
            loss = self._step(images, labels, rate)
            total += loss * len(labels)
            lowest = torch.minimum(lowest, loss)
            if (number % 50 == 0 or self.device.type == "cpu") and not math.isfinite(total.item()):
                break
        self._check(epoch, total.item(), lowest.item())
        return total.item() / len(self.data.train)

    def _check(self, epoch: int, total: float, lowest: float) -> None:
        if not math.isfinite(total):
            raise _Diverged(f"epoch {epoch}: the training loss is {total}")
        chance = math.log(len(self.data.class_names))
        if epoch == 1 and self.steps >= _HOPELESS_STEPS and lowest > HOPELESS * chance:
            raise _Diverged(
                f"epoch 1: the loss was never below {lowest:.3g}, and guessing at random loses {chance:.3g}"
            )

    def _step(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocasts):
            logits = self.forward(images)
        loss = classification_loss(self.recipe, self.config.label_smoothing, images, logits, labels)
        penalty = 0.0 if self.recipe.penalty is None else self.recipe.penalty(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        self.optimizer.step()
        return loss.detach()

    def _batches(self, epoch: int) -> Iterator[Batch]:
        return training_batches(
            self.data.train, self.config.batch_size, self.augmentation, seed=self.seed, epoch=epoch
        )


@torch.no_grad()
def validate(model: nn.Module, batches: Iterable[Batch]) -> tuple[float, float]:
    """Mean cross-entropy in nats and share of wrong answers, in evaluation mode, which the model keeps."""
    model.eval()
    losses, wrong, n = [], [], 0
    for images, labels in batches:
        logits = model(images).float()
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        wrong.append((logits.argmax(dim=1) != labels).sum())
        n += len(labels)
    return torch.stack(losses).sum().item() / n, torch.stack(wrong).sum().item() / n


def _fingerprint(
    model: nn.Module, data: Prepared, config: TrainConfig, horizon: int, seed: int, recipe: Recipe
) -> str:
    """Equal for two runs that do the same; the data count by their labels, mean and standard deviation."""
    shapes = [(name, tuple(value.shape), value.dtype) for name, value in model.state_dict().items()]
    parts = [repr(model), shapes, config.model_dump(), horizon, seed, recipe.identity(), data.name]
    digest = hashlib.sha256(repr(parts).encode())
    for split in (data.train, data.val):
        for values in (split.labels, split.mean, split.std):
            digest.update(values.cpu().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels inside; the global generators as they were afterwards."""
    gpus = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(gpus),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        yield


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error).lower() for sign in ("can't allocate memory", "out of memory"))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
