"""A search in TensorBoard: learning curves and results of each trial under RUN/tensorboard.

    tensorboard --logdir runs/photos/tensorboard

Each trial is a run of its own, `trial-0007`, with its configuration and result in the HPARAMS tab. Written by
tensorboardX, which needs neither TensorFlow nor torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from jouleshift.config import StudyConfig
from jouleshift.hpo.study import Progress
from jouleshift.records import Failure, Trial

CURVES = ("train_loss", "val_loss", "val_error", "learning_rate")


class Tensorboard:
    """Writes event files. Use as a context manager, which closes them."""

    def __init__(self) -> None:
        self._folder = Path()
        self._writers: dict[int, SummaryWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def started(self, config: StudyConfig, finished: int, notes: list[str]) -> None:
        assert config.out is not None
        self._folder = config.out / "tensorboard"

    def note(self, text: str) -> None:
        """Nothing that belongs there."""

    def epoch(self, trial: Trial, epoch: Mapping[str, Any]) -> None:
        writer = self._writer(trial)
        for name in CURVES:
            writer.add_scalar(name, epoch[name], epoch["epoch"])

    def progress(self, progress: Progress) -> None:
        if progress.result is None:
            return
        trial, result = progress.trial, progress.result
        writer = self._writer(trial)
        if isinstance(result, Failure):
            writer.add_text("failure", str(result), trial.budget)
        else:
            for summary in hparams({**trial.config, "budget": trial.budget}, result.values):
                writer.file_writer.add_summary(summary)
            for name, value in result.values.items():
                writer.add_scalar(name, value, trial.budget)
        self._writers.pop(trial.id).close()

    def _writer(self, trial: Trial) -> SummaryWriter:
        if trial.id not in self._writers:
            self._writers[trial.id] = SummaryWriter(str(self._folder / f"trial-{trial.id:04d}"))
        return self._writers[trial.id]
