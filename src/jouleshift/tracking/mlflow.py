"""A search in MLflow: one parent run, and a nested run for each trial with its configuration and results.

    mlflow ui --backend-store-uri sqlite:///runs/photos/mlflow.db

Where MLFLOW_TRACKING_URI is set it goes there instead. A continued search finds its parent run again by the
run directory, which is a tag of it: of several, as `--fresh` leaves, the newest. Nothing global of MLflow is
touched.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from jouleshift.config import StudyConfig
from jouleshift.hpo.study import Progress
from jouleshift.records import Evaluation, Failure, Trial

EXPERIMENT = "jouleshift"
DIRECTORY_TAG = "jouleshift.directory"
PARENT_TAG = "mlflow.parentRunId"
CURVES = ("train_loss", "val_loss", "val_error")


class Mlflow:
    """Writes to an MLflow tracking store. Use as a context manager, which ends the runs left open."""

    def __init__(self) -> None:
        self._client: MlflowClient
        self._experiment = ""
        self._parent = ""
        self._open: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for run_id in self._open.values():
            self._client.set_terminated(run_id, "KILLED")
        if self._parent:
            self._client.set_terminated(self._parent, "FINISHED" if kind is None else "KILLED")

    def started(self, config: StudyConfig, finished: int, notes: list[str]) -> None:
        assert config.out is not None
        out = Path(config.out).resolve()
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or store_in(out))
        known = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)
        directory = str(out).replace("'", "%27")  # a filter has no way to write the quote
        found = self._newest(f"tags.`{DIRECTORY_TAG}` = '{directory}'") if finished else None
        if found is not None:
            self._parent = found.info.run_id
            self._client.update_run(self._parent, "RUNNING")
            return
        self._parent = self._create(config.out.name, {DIRECTORY_TAG: directory})
        self._log_params(self._parent, config.model_dump(mode="json"))

    def _newest(self, which: str) -> Run | None:
        newest = ["attributes.start_time DESC"]
        found = self._client.search_runs([self._experiment], which, max_results=1, order_by=newest)
        return next(iter(found), None)

    def note(self, text: str) -> None:
        """Nothing that belongs there."""

    def epoch(self, trial: Trial, epoch: Mapping[str, Any]) -> None:
        run_id = self._run_of(trial)
        for name in CURVES:
            self._client.log_metric(run_id, name, epoch[name], step=epoch["epoch"])

    def progress(self, progress: Progress) -> None:
        if progress.result is None:
            return
        trial, result = progress.trial, progress.result
        run_id = self._run_of(trial)
        if isinstance(result, Evaluation):
            for name, value in {**result.values, "accuracy": result.accuracy}.items():
                self._client.log_metric(run_id, name, value, step=trial.budget)
            for name in ("source", "kind", "origin"):
                self._client.set_tag(run_id, f"energy_{name}", getattr(result.energy, name))
        else:
            self._client.set_tag(run_id, "failure", str(result))
        self._client.set_terminated(run_id, "FAILED" if isinstance(result, Failure) else "FINISHED")
        del self._open[trial.id]

    def _run_of(self, trial: Trial) -> str:
        if trial.id not in self._open:
            run_id = self._create(f"trial {trial.id}", {PARENT_TAG: self._parent})
            own = {"trial": trial.id, "budget": trial.budget, "seed": trial.seed, "rung": trial.rung}
            self._log_params(run_id, {**own, **trial.config})
            self._open[trial.id] = run_id
        return self._open[trial.id]

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        made: Run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return made.info.run_id

    def _log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if value is not None:
                self._client.log_param(run_id, name, value)


def store_in(directory: Path) -> str:
    """The address of a store in a run directory, whatever signs that has in its name.

    The driver is named because MLflow takes what follows a plain `sqlite:///` for a path as it stands, and
    would make a folder `what%3F` beside `what?`.
    """
    from sqlalchemy import URL

    return URL.create("sqlite+pysqlite", database=str(directory / "mlflow.db")).render_as_string()
