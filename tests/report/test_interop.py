import csv
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer

from jouleshift.analysis.pareto import front, full_budget, objectives
from jouleshift.errors import BadInput
from jouleshift.records import CarbonIntensity, Failure, TrialRecord
from jouleshift.report.interop import write_as
from jouleshift.report.tables import columns, hyperparameters, rows
from tests.analysis.synthetic import OPTIMIZERS, evaluation, hyperband_run, record, run_of, sized

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")


def space():
    made = ConfigurationSpace()
    made.add(
        Integer("batch_size", (32, 128), default=128),
        Categorical("optimizer", OPTIMIZERS, default="SGD"),
        Float("learning_rate", (0.001, 0.1), default=0.1, log=True),
        Float("momentum", (0.0, 0.9), default=0.9),
        Float("weight_decay", (1e-6, 1e-2), default=1e-4, log=True),
        Integer("weight_bits", (2, 8), default=5),
        Integer("act_integer_bits", (2, 32), default=16),
        Integer("act_fraction_bits", (2, 32), default=16),
        Integer("shift_depth", (0, 20), default=20),
        Categorical("shift_type", ["Q", "PS"], default="PS"),
        Categorical("rounding", ["deterministic", "stochastic"], default="deterministic"),
    )
    return made


@pytest.fixture
def run(tmp_path):
    made = hyperband_run(60, path=tmp_path / "made-up")
    odd = (
        record(61, failure=Failure("timeout", "too long"), config={"batch_size": 61}),
        record(62, failure=Failure("out-of-memory", "7 GB"), config={"batch_size": 62}),
        TrialRecord(
            record(63, config={"batch_size": 63}).trial, evaluation(0.5, None, flags=("x", "y")), 1.0
        ),
        record(64),
    )
    return run_of(*made.trials, *odd, path=made.path)


def test_parquet_holds_the_rows_of_the_csv_with_their_types(run):
    table = pq.read_table(write_as("parquet", run, space(), WORLD))
    names = hyperparameters(run.trials)
    assert table.column_names == list(columns(names))
    assert table.to_pylist() == [dict(line) for line in rows(run.trials, names, WORLD)]
    assert {str(table.schema.field(c).type) for c in ("trial", "parent", "budget", "weight_bits")} == {
        "int64"
    }
    stamps = [c for c in table.column_names if c.startswith("energy_") and c not in ("energy_j", "energy_s")]
    assert {str(table.schema.field(c).type) for c in stamps} == {"string"} and len(stamps) == 4
    assert {str(table.schema.field(c).type) for c in ("error", "duration_s", "momentum")} == {"double"}


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_deepcave_finds_the_columns_it_wants(run):
    folder = write_as("deepcave", run, space(), WORLD)
    trials, entries = read_csv(folder / "trials.csv"), read_csv(folder / "configspace.csv")
    pattern = r"metric:(\w+) \[(-?\d+\.?\d*|[-+]inf); (-?\d+\.?\d*|[-+]inf)\] \((\w+)\)"
    metrics = [c for c in trials[0] if c.startswith("metric")]
    assert [re.fullmatch(pattern, c).group(1, 4) for c in metrics] == [
        ("error", "minimize"),
        ("energy_j", "minimize"),
    ]
    assert {"config_id", "budget", "seed", "start_time", "end_time", "status"} <= set(trials[0])
    assert {entry["name"] for entry in entries} == set(space())
    assert len(trials) == 63  # the running one is left out
    statuses = {line["trial"]: line["status"] for line in trials[-3:]}
    assert statuses == {"61": "timeout", "62": "memoryout", "63": "crashed"}
    assert {trials[-1][c] for c in metrics} == {""}
    by_name = {entry["name"]: entry for entry in entries}
    assert (by_name["learning_rate"]["type"], by_name["learning_rate"]["log"]) == ("float", "True")
    assert (by_name["weight_bits"]["type"], by_name["weight_bits"]["default"]) == ("integer", "")
    items = {v for k, v in by_name["optimizer"].items() if k.startswith("item_")}
    assert items == set(OPTIMIZERS)


def test_deepcave_trials_follow_one_another_and_share_configurations(run):
    trials = read_csv(write_as("deepcave", run, space(), WORLD) / "trials.csv")
    starts, ends = ([float(line[c]) for line in trials] for c in ("start_time", "end_time"))
    assert starts[1:] == ends[:-1]
    by_id = {}
    for line in trials:
        values = tuple(line[name] for name in space())
        assert by_id.setdefault(line["config_id"], values) == values
    assert len(by_id) < len(trials)


def test_exported_times_are_those_of_the_journal(tmp_path):
    """Trial 2 ran beside trial 1, and ended before it."""
    trials = (
        replace(record(1, 0.5, 1.0), ended_s=9.25),
        replace(record(2, 0.4, 1.0, config={"weight_bits": 2}), ended_s=7.5),
    )
    run = run_of(*trials, path=tmp_path)
    rows = read_csv(write_as("deepcave", run, space(), WORLD) / "trials.csv")
    assert [(line["start_time"], line["end_time"]) for line in rows] == [("4.25", "9.25"), ("2.5", "7.5")]
    history = json.loads((write_as("smac3", run, space(), WORLD) / "runhistory.json").read_text())
    told = [(e["starttime"], e["endtime"], e["time"]) for e in history["data"]]
    assert told == [(4.25, 9.25, 5.0), (2.5, 7.5, 5.0)]


def test_smac3_files_hold_every_ended_trial(run):
    folder = write_as("smac3", run, space(), WORLD)
    history = json.loads((folder / "runhistory.json").read_text())
    assert ConfigurationSpace.from_json(folder / "configspace.json") == space()
    assert json.loads((folder / "scenario.json").read_text())["objectives"] == ["error", "energy_j"]
    ended = [r for r in run.trials if r.result is not None]
    for entry, made in zip(history["data"], ended, strict=True):
        assert history["configs"][str(entry["config_id"])] == made.trial.config
        assert tuple(entry["cost"]) == (objectives(made) or (np.inf, np.inf))
        assert entry["budget"] == made.trial.budget
    assert [entry["status"] for entry in history["data"][-3:]] == [3, 4, 2]


@pytest.mark.slow
def test_smac3_itself_loads_them(run):
    from smac import RunHistory

    history = RunHistory()
    history.load(write_as("smac3", run, space(), WORLD) / "runhistory.json", space())
    assert len(history) == 63  # SMAC3 knows a trial by configuration, seed and budget; all of these differ


def test_smac3_itself_loads_the_scenario(run):
    from smac import Scenario

    scenario = Scenario.load(write_as("smac3", run, space(), WORLD))
    assert scenario.configspace == space()
    assert scenario.objectives == ["error", "energy_j"]
    assert (scenario.n_trials, scenario.max_budget, scenario.meta) == (60, 9, {})


def test_optuna_sees_the_front_and_no_lower_budget_on_it(run):
    optuna = pytest.importorskip("optuna")
    path = write_as("optuna", run, space(), WORLD)
    study = optuna.load_study(study_name=run.path.name, storage=f"sqlite:///{path}")
    ended = [made for made in run.trials if made.result is not None]
    assert len(study.trials) == len(ended) == len(run.trials) - 1, "what runs has not failed"
    best = {t.user_attrs["trial"] for t in study.best_trials}
    assert best == {r.trial.id for r in front(run)}
    states = {t.user_attrs["trial"]: t.state.name for t in study.trials}
    for made in ended:
        done = objectives(made) is not None
        full = made.trial.budget >= full_budget(run)
        assert states[made.trial.id] == ("COMPLETE" if done and full else "PRUNED" if done else "FAIL")
    assert write_as("optuna", run, space(), WORLD) == path  # again, over the old file


@pytest.mark.parametrize("name", ["what?", "a%20b", "o'brien", "{x}"])
def test_optuna_s_file_lies_in_the_run_whatever_its_name(tmp_path, name):
    optuna = pytest.importorskip("optuna")
    folder = tmp_path / name
    folder.mkdir()
    write_as("optuna", run_of(record(1, 0.5, 1.0), path=folder), space(), WORLD)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["optuna.db"]
    plain = (folder / "optuna.db").rename(tmp_path / "optuna.db")
    assert len(optuna.load_study(study_name=name, storage=f"sqlite:///{plain}").trials) == 1


SMALL = run_of(
    sized(1, 0.4, 60_000, 3e-9, bracket=-1),
    sized(2, 0.3, 30_000, 5e-9),
    sized(3, 0.2, 90_000, 1e-9),
    sized(4, 0.5, 40_000, 1e-10),
    sized(5, 0.6, 10_000, 9e-9, budget=3),
    sized(6, 0.1, 20_000, None),
    objectives=["size_bytes", "error"],
    constraint=["size <= 64 kB"],
)


def test_other_tools_see_the_objectives_of_the_run(tmp_path):
    run = replace(SMALL, path=tmp_path)
    folder = write_as("smac3", run, space(), WORLD)
    history = json.loads((folder / "runhistory.json").read_text())
    scenario = json.loads((folder / "scenario.json").read_text())
    assert scenario["objectives"] == ["size_bytes", "error"]
    assert [entry["cost"] for entry in history["data"][:2]] == [[60_000, 0.4], [30_000, 0.3]]
    rows = read_csv(write_as("deepcave", run, space(), WORLD) / "trials.csv")
    costs = ["metric:size_bytes [0.0; +inf] (minimize)", "metric:error [0.0; 1.0] (minimize)"]
    assert [name for name in rows[0] if name.startswith("metric")] == costs
    assert [rows[1][name] for name in costs] == ["30000.0", "0.3"]
    assert ([rows[5][name] for name in costs], rows[5]["status"]) == (["", ""], "crashed")


def test_optuna_sees_the_objectives_of_the_run_and_leaves_out_what_breaks_a_constraint(tmp_path):
    optuna = pytest.importorskip("optuna")
    run = replace(SMALL, path=tmp_path)
    path = write_as("optuna", run, space(), WORLD)
    study = optuna.load_study(study_name=tmp_path.name, storage=f"sqlite:///{path}")
    assert study.metric_names == ["size_bytes", "error"]
    assert [t.values for t in study.trials[:2]] == [[60_000, 0.4], [30_000, 0.3]]
    assert study.trials[1].user_attrs["energy_j"] == 5e-9
    assert study.trials[2].system_attrs["constraints"] == [26_000]
    best = {t.user_attrs["trial"] for t in study.best_trials}
    assert best == {r.trial.id for r in front(run)} == {2}, "3 has the lowest error, but is too large"


def test_constants_are_single_choices(tmp_path):
    fixed = space()
    made = ConfigurationSpace()
    made.add(*(h for h in fixed.values() if h.name != "weight_bits"), Constant("weight_bits", 5))
    entries = read_csv(
        write_as("deepcave", run_of(record(1, 0.5, 1.0), path=tmp_path), made, WORLD) / "configspace.csv"
    )
    entry = next(e for e in entries if e["name"] == "weight_bits")
    assert (entry["type"], entry["item_0"], entry["default"]) == ("categorical", "5", "5")


def test_unknown_format_and_missing_library_are_one_line(run, monkeypatch):
    with pytest.raises(BadInput, match=r"unknown format 'parket' \(did you mean 'parquet'\?\)"):
        write_as("parket", run, space(), WORLD)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BadInput, match="pip install optuna"):
        write_as("optuna", run, space(), WORLD)


def test_a_place_that_cannot_be_written_is_bad_input(run, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for form in ("parquet", "deepcave", "smac3", "optuna"):
        with pytest.raises(BadInput, match="cannot write"):
            write_as(form, run, space(), WORLD, blocked / "x")
