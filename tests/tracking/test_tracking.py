"""Trackers fed a made-up search, read back by the tools' own means."""

import re
import struct
import sys
from dataclasses import replace
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
from sqlalchemy import make_url

from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.hpo.study import Progress
from jouleshift.records import Failure, Trial, to_json
from jouleshift.tracking import tracked
from tests.analysis.synthetic import DEFAULT, evaluation

GOOD, BAD = Trial(1, DEFAULT, 3, 0, bracket=-1), Trial(2, DEFAULT, 1, 0)


class Recording:
    """A watcher that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, config, finished, notes):
        self.told.append("started")

    def note(self, text):
        self.told.append(text)

    def epoch(self, trial, epoch):
        self.told.append(f"epoch {epoch['epoch']} of {trial.id}")

    def progress(self, progress):
        self.told.append(f"{'begun' if progress.result is None else 'ended'} {progress.trial.id}")


def play(watcher, out, finished=0):
    """One trial with a result, and one that fails."""
    result = replace(evaluation(0.25, 2e-9, budget=3), latency_s=0.004)
    watcher.started(StudyConfig(data="digits", out=out, trials=2), finished, [])
    watcher.progress(Progress(GOOD, None, 0, 2))
    for point in result.curve:
        watcher.epoch(GOOD, to_json(point))
    watcher.progress(Progress(GOOD, result, 1, 2))
    watcher.progress(Progress(BAD, None, 1, 2))
    watcher.progress(Progress(BAD, Failure("diverged", "loss is NaN"), 2, 2))
    return result


def test_every_watcher_is_told_everything_in_order(tmp_path):
    one, two = Recording(), Recording()
    with tracked([], one, two) as watcher:
        play(watcher, tmp_path)
    assert one.told == two.told
    assert one.told == [
        "started", "begun 1", "epoch 1 of 1", "epoch 2 of 1", "epoch 3 of 1", "ended 1", "begun 2", "ended 2",
    ]  # fmt: skip


def test_an_unknown_or_missing_tracker_is_one_line(monkeypatch):
    with (
        pytest.raises(BadInput, match=r"unknown tracker 'mflow' \(did you mean 'mlflow'\?\)"),
        tracked(["mflow"]),
    ):
        pass
    monkeypatch.setitem(sys.modules, "jouleshift.tracking.mlflow", None)
    with pytest.raises(BadInput, match=r"pip install 'jouleshift\[mlflow\]'"), tracked(["mlflow"]):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "o'brien 100%41?"])
def test_mlflow_holds_a_run_for_each_trial_under_one_parent_also_when_continued(tmp_path, monkeypatch, name):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = tmp_path / name
    out.mkdir()
    for finished in (0, 2):
        with tracked(["mlflow"]) as watcher:
            result = play(watcher, out, finished)
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "no folder of another name"
    (out / "mlflow.db").rename(tmp_path / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("jouleshift").experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert parents[0].info.status == "FINISHED"
    assert parents[0].data.params["trials"] == "2"
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert sorted(run.info.status for run in trials) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    good = next(run for run in trials if run.info.status == "FINISHED")
    known = {"error": 0.25, "accuracy": 0.75, "energy_j": 2e-9, "latency_s": 0.004, "size_bytes": 50_000}
    assert known.items() <= good.data.metrics.items()
    assert good.data.params["weight_bits"] == "5"
    history = client.get_metric_history(good.info.run_id, "val_error")
    assert [(p.step, p.value) for p in history] == [(e.epoch, e.val_error) for e in result.curve]
    bad = next(run for run in trials if run.info.status == "FAILED")
    assert bad.data.tags["failure"] == "diverged: loss is NaN"


class MadeUpClient:
    """As much of MLflow's client as a search without trials needs; all of them share one store."""

    places: ClassVar[list[str]] = []
    runs: ClassVar[list[SimpleNamespace]] = []

    def __init__(self, tracking_uri):
        self.places.append(tracking_uri)

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id="1")

    def create_run(self, experiment, run_name, tags):
        self.runs.append(SimpleNamespace(info=SimpleNamespace(run_id=str(len(self.runs))), tags=tags))
        return self.runs[-1]

    def search_runs(self, experiments, which, max_results, order_by):
        assert order_by == ["attributes.start_time DESC"]
        (directory,) = re.fullmatch("tags.`jouleshift.directory` = '([^']*)'", which).groups()
        found = [run for run in reversed(self.runs) if run.tags["jouleshift.directory"] == directory]
        return found[:max_results]

    def log_param(self, *_): ...

    def update_run(self, *_): ...

    def set_terminated(self, *_): ...


@pytest.fixture
def mlflow(monkeypatch):
    """The tracker on the made-up client, whether MLflow is installed or not."""
    for name, held in (("mlflow", {}), ("mlflow.entities", {"Run": object}),
                       ("mlflow.tracking", {"MlflowClient": MadeUpClient})):  # fmt: skip
        module = ModuleType(name)
        module.__dict__.update(held)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "jouleshift.tracking.mlflow", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(MadeUpClient, "runs", [])
    monkeypatch.setattr(MadeUpClient, "places", [])
    yield import_module("jouleshift.tracking.mlflow")
    sys.modules.pop("jouleshift.tracking.mlflow", None)


def test_a_search_begun_anew_has_a_parent_of_its_own_and_a_continued_one_the_newest(mlflow, tmp_path):
    def parent(finished):
        with mlflow.Mlflow() as tracker:
            tracker.started(StudyConfig(data="digits", out=tmp_path / "o'brien"), finished, [])
            return tracker._parent

    assert [parent(finished) for finished in (0, 1, 0, 1, 2)] == ["0", "0", "1", "1", "1"]


@pytest.mark.parametrize("name", ["plain", "what?", "a%41b", "o'brien", "a#b", "ümläut"])
def test_mlflow_s_store_lies_in_the_run_whatever_its_name(mlflow, tmp_path, name):
    with mlflow.Mlflow() as tracker:
        tracker.started(StudyConfig(data="digits", out=tmp_path / name), 0, [])
    (place,) = MadeUpClient.places
    assert make_url(place).database == str(tmp_path / name / "mlflow.db")
    assert not place.startswith("sqlite:///"), "MLflow would make a folder of what is escaped in it"


def events(folder):
    """The scalars in a folder of event files: tag → [(step, value)]. A record is length, checksum, data,
    checksum."""
    from tensorboardX.proto import event_pb2

    found: dict[str, list[tuple[int, float]]] = {}
    for path in folder.rglob("events.*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_holds_curves_and_results(tmp_path):
    pytest.importorskip("tensorboardX")
    with tracked(["tensorboard"]) as watcher:
        result = play(watcher, tmp_path / "run")
    folder = tmp_path / "run" / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == ["trial-0001", "trial-0002"]
    found = events(folder / "trial-0001")
    assert found["val_error"] == [(e.epoch, pytest.approx(e.val_error)) for e in result.curve]
    assert found["error"] == [(3, 0.25)]
    assert found["energy_j"] == [(3, pytest.approx(2e-9))]
    assert found["latency_s"] == [(3, pytest.approx(0.004))]
    assert found["size_bytes"] == [(3, 50_000)]
    assert any("failure" in tag for tag in events(folder / "trial-0002"))


def test_tensorboard_shows_no_energy_where_none_is_known(tmp_path):
    pytest.importorskip("tensorboardX")
    with tracked(["tensorboard"]) as watcher:
        watcher.started(StudyConfig(data="digits", out=tmp_path, trials=1), 0, [])
        watcher.progress(Progress(GOOD, evaluation(0.25, None), 1, 1))
    found = events(tmp_path / "tensorboard" / "trial-0001")
    assert "energy_j" not in found
    assert found["error"] == [(3, 0.25)]


def test_no_tracker_is_imported_unless_asked_for():
    import subprocess

    script = (
        "import sys, jouleshift.api, jouleshift.tracking, jouleshift.cli\n"
        "assert not {'mlflow', 'tensorboardX'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
