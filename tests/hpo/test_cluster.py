"""Trials on a Dask cluster whose parts come and go."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from jouleshift.errors import BadInput
from jouleshift.hpo import remote
from jouleshift.hpo.cluster import ClusterWorkers
from jouleshift.hpo.executor import Done, Work
from jouleshift.records import Evaluation, Trial
from tests.hpo.dask_processes import DaskProcesses

TOY = (sys.executable, "-m", "tests.hpo.toy_worker")


def pool_of(dask, folder: Path, measure_on=None, on_epoch=lambda trial, epoch: None, notes=None, **limits):
    setup = {"study": {"threads": None, "measure_on": measure_on}, "checkpoints": str(folder)}
    work = Work(setup, folder / "run.log", command=TOY, **limits)
    notes = [] if notes is None else notes
    return ClusterWorkers(dask.address, work, on_epoch, notes.append)


def trial(number: int, do: str = "answer") -> Trial:
    return Trial(number, {"do": do}, 1, 0)


def collect(pool: ClusterWorkers, count: int) -> list[Done]:
    found: list[Done] = []
    while len(found) < count:
        done = pool.wait()
        found += [] if done is None else [done]
    return found


def until(condition) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_workers_die_and_join_and_every_trial_has_its_result(tmp_path):
    epochs, notes = [], []
    with (
        DaskProcesses(tmp_path, workers=1) as dask,
        pool_of(dask, tmp_path, on_epoch=lambda t, e: epochs.append((t.id, e["epoch"])), notes=notes) as pool,
    ):
        assert pool.facts == {"max_depth": 7}
        assert pool.free == 1
        pool.submit(trial(1, "sleep"))
        assert pool.free == 0
        time.sleep(0.5)
        dask.workers[0].kill()
        until(lambda: pool.free == 0 and any("trial 1 runs again" in note for note in notes))
        dask.add()
        (done,) = collect(pool, 1)
        assert (done.trial.id, type(done.result)) == (1, Evaluation)
        dask.add()
        until(lambda: pool.free == 2)
        pool.submit(trial(2, "wait"))
        pool.submit(trial(3, "exit"))
        results = {done.trial.id: done.result for done in collect(pool, 2)}
        assert results[2].error == 0.25
        assert results[3].kind == "crashed"
    assert epochs[0] == (1, 1)
    assert "trial 2 waits" in notes
    assert list(tmp_path.glob(".shared-*")) == []


def test_a_worker_at_its_time_limit_hands_its_trial_on(tmp_path):
    notes = []
    with DaskProcesses(tmp_path, workers=1) as dask, pool_of(dask, tmp_path, notes=notes) as pool:
        mark = tmp_path / "begun"
        pool.submit(Trial(1, {"do": "hang once", "mark": str(mark)}, 1, 0))
        until(mark.exists)
        dask.workers[0].terminate()
        dask.add()
        (done,) = collect(pool, 1)
    assert isinstance(done.result, Evaluation)
    assert sum("trial 1 runs again" in note for note in notes) == 1


def test_a_worker_that_cannot_start_trials_gets_none_and_others_do_them(tmp_path):
    notes = []
    with DaskProcesses(tmp_path, workers=1) as dask, pool_of(dask, tmp_path, notes=notes) as pool:
        dask.add(TOY_KILLED="1")
        until(lambda: pool.free == 2)
        for number in (1, 2):
            pool.submit(trial(number))
        assert {done.trial.id for done in collect(pool, 2)} == {1, 2}
        assert pool.free == 1
    assert sum("gets no more trials: a worker ended while starting" in note for note in notes) == 1


def test_where_no_worker_can_start_trials_the_search_ends_in_one_line(tmp_path):
    with DaskProcesses(tmp_path, workers=0) as dask:
        dask.add(TOY_KILLED="1")
        pool = pool_of(dask, tmp_path)
        with pytest.raises(BadInput, match=r"no worker of tcp://.* can start trials"), pool:
            pass


def test_a_trial_that_loses_too_many_workers_is_to_blame(tmp_path, monkeypatch):
    monkeypatch.setattr("jouleshift.hpo.cluster.LOSSES", 1)
    with DaskProcesses(tmp_path, workers=1) as dask, pool_of(dask, tmp_path) as pool:
        pool.submit(trial(1, "hang"))
        time.sleep(0.5)
        dask.workers[0].kill()
        (done,) = collect(pool, 1)
    assert (done.result.kind, done.result.message) == ("crashed", "1 worker lost while it ran")


def test_a_trained_trial_says_that_nobody_measures_it_and_no_more_are_trained(tmp_path):
    notes = []
    with (
        DaskProcesses(tmp_path, workers=1) as dask,
        pool_of(dask, tmp_path, measure_on="egde", notes=notes) as pool,
    ):
        pool.submit(trial(1))
        waits = "trial 1 is trained and waits for a worker with the resource egde to be measured"
        until(lambda: pool.wait() is None and waits in notes)
        assert pool.free == 0
        dask.add("egde")
        (done,) = collect(pool, 1)
        assert isinstance(done.result, Evaluation)
        until(lambda: pool.free == 1)


def test_limits_of_a_trial_hold_on_a_cluster(tmp_path):
    limits = {"timeout_s": 2.0, "memory_mb": 200}
    with DaskProcesses(tmp_path, workers=1) as dask, pool_of(dask, tmp_path, **limits) as pool:
        results = []
        for number, do in enumerate(("hang", "hog", "answer"), 1):
            pool.submit(trial(number, do))
            results += [done.result for done in collect(pool, 1)]
    assert [result.kind for result in results[:2]] == ["timeout", "out-of-memory"]
    assert isinstance(results[2], Evaluation)


@pytest.mark.slow
def test_trials_are_trained_on_some_workers_and_measured_on_those_of_the_named_kind(tmp_path):
    with DaskProcesses(tmp_path, workers=1) as dask:
        dask.add("edge")
        with pool_of(dask, tmp_path, measure_on="edge") as pool:
            until(lambda: pool.free == 1)
            pool.submit(trial(1, "sleep"))
            (done,) = collect(pool, 1)
    assert isinstance(done.result, Evaluation)
    assert done.result.train_s >= 1
    assert done.duration_s >= 2, "it slept in both stages"


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_search_in_one_line(tmp_path):
    with DaskProcesses(tmp_path, workers=1) as dask, pool_of(dask, tmp_path) as pool:
        pool.submit(trial(1, "hang"))
        dask.scheduler.kill()
        with pytest.raises(BadInput, match=r"Dask scheduler of tcp://.* is gone; finished trials are kept"):
            collect(pool, 1)


def test_no_scheduler_at_the_address_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("jouleshift.hpo.cluster._CONNECT_S", 1)
    nobody = SimpleNamespace(address="tcp://127.0.0.1:9")
    with pytest.raises(BadInput, match="no Dask scheduler answers there"), pool_of(nobody, tmp_path):
        pass


@pytest.mark.parametrize(("stated", "taken"), [(None, 5), (2, 2)])
def test_a_trial_takes_its_dask_workers_threads_unless_the_study_says(monkeypatch, tmp_path, stated, taken):
    monkeypatch.setattr(remote, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(nthreads=5)))
    work = Work({"study": {"threads": stated, "seed": 3}}, tmp_path / "run.log")
    assert remote._on_this_worker(work).setup["study"] == {"threads": taken, "seed": 3}


@pytest.mark.parametrize(
    ("version", "proof", "message"),
    [("0.0.9", "there", "has jouleshift"), (remote.__version__, "missing", "directory that all machines")],
)
def test_a_worker_that_cannot_take_part_says_why(tmp_path, monkeypatch, version, proof, message):
    (tmp_path / "there").touch()
    monkeypatch.setattr(remote, "get_worker", lambda: SimpleNamespace(address="tcp://node7:1"))
    session = remote.Session("s", Work({}, tmp_path / "run.log"), tmp_path / proof, version)
    with pytest.raises(BadInput, match=f"worker tcp://node7:1 .*{message}"):
        remote.describe(session)
