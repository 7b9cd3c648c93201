import sys
import time

import psutil
import pytest

from jouleshift.errors import BadInput
from jouleshift.hpo.executor import Work
from jouleshift.hpo.local import LocalWorkers, one_gpu, visible_gpus
from jouleshift.records import Evaluation, Failure, Trial

COMMAND = (sys.executable, "-m", "tests.hpo.toy_worker")


def workers(tmp_path, setup=None, count=1, on_epoch=lambda trial, epoch: None, **limits) -> LocalWorkers:
    work = Work(setup or {}, tmp_path / "run.log", command=COMMAND, **limits)
    return LocalWorkers(work, count, on_epoch)


def trial(number: int, do: str = "answer") -> Trial:
    return Trial(number, {"do": do}, 1, 0)


def run(pool: LocalWorkers, *trials: Trial) -> dict[int, Evaluation | Failure]:
    results = {}
    waiting = list(trials)
    while len(results) < len(trials):
        while waiting and pool.free:
            pool.submit(waiting.pop(0))
        done = pool.wait()
        results[done.trial.id] = done.result
    return results


def test_facts_and_epochs_and_results_arrive(tmp_path):
    epochs = []
    with workers(tmp_path, on_epoch=lambda t, e: epochs.append((t.id, e["epoch"]))) as pool:
        assert pool.facts == {"max_depth": 7}
        results = run(pool, trial(1), trial(2))
    assert [results[i].error for i in (1, 2)] == [0.25, 0.25]
    assert epochs == [(1, 1), (2, 1)]


def test_what_a_worker_has_to_say_arrives(tmp_path):
    notes = []
    work = Work({}, tmp_path / "run.log", command=COMMAND)
    with LocalWorkers(work, 1, on_note=notes.append) as pool:
        results = run(pool, trial(1), trial(2, "wait"))
    assert notes == ["trial 2 waits"]
    assert results[2].error == 0.25


@pytest.mark.parametrize(
    ("do", "options", "kind", "message"),
    [
        ("killed", {}, "out-of-memory", "killed 3 times by the system (signal 9)"),
        ("exit", {}, "crashed", "exit code 5; see run.log"),
        ("raise", {}, "crashed", "IndexError: no such pixel"),
        ("hang", {"timeout_s": 1.0}, "timeout", "longer than 1 s"),
        ("hog", {"memory_mb": 200}, "out-of-memory", "more than 200 MB"),
    ],
)
def test_a_trial_that_takes_its_worker_down_fails_alone(tmp_path, do, options, kind, message):
    with workers(tmp_path, **options) as pool:
        results = run(pool, trial(1), trial(2, do), trial(3))
    assert isinstance(results[1], Evaluation)
    assert isinstance(results[3], Evaluation)
    assert results[2].kind == kind
    assert message in results[2].message


def test_a_set_up_that_is_refused_is_the_users_error(tmp_path):
    with pytest.raises(BadInput, match="no such folder"), workers(tmp_path, {"bad_input": "no such folder"}):
        pass


def test_a_worker_that_dies_while_starting_is_a_bug_of_ours(tmp_path):
    with pytest.raises(RuntimeError, match="exit code 3"), workers(tmp_path, {"die": True}):
        pass


def test_a_worker_that_is_killed_whenever_it_starts_ends_the_search_in_one_line(tmp_path):
    with workers(tmp_path, {"starts": str(tmp_path / "starts")}) as pool:
        pool.submit(trial(1, "killed"))  # its process, the first one, is killed; no later one ever starts
        with pytest.raises(BadInput, match=r"ended while starting \(exit code -9\).*same command continues"):
            pool.wait()
    assert len((tmp_path / "starts").read_text()) == 4


def test_two_workers_run_at_once_and_none_survives_the_pool(tmp_path):
    before = set(psutil.Process().children(recursive=True))
    with workers(tmp_path, count=2) as pool:
        run(pool, trial(1), trial(2, "sleep"))
        started = time.monotonic()
        run(pool, trial(3, "sleep"), trial(4, "sleep"))
        assert time.monotonic() - started < 1.9
        pool.submit(trial(5, "hang"))
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_trial_whose_process_is_killed_from_outside_runs_again(tmp_path):
    before = set(psutil.Process().children())
    with workers(tmp_path) as pool:
        (process,) = set(psutil.Process().children()) - before
        pool.submit(trial(1, "sleep"))
        time.sleep(0.3)
        process.kill()
        done = pool.wait()
    assert isinstance(done.result, Evaluation)


def test_each_worker_sees_one_gpu_in_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert visible_gpus() == ["4", "7"]
    assert [one_gpu(["4", "7"], seat)["CUDA_VISIBLE_DEVICES"] for seat in range(3)] == ["4", "7", "4"]
    assert one_gpu([], 0) == {}
    notes = []
    work = Work({}, tmp_path / "run.log", command=COMMAND)
    with LocalWorkers(work, 2, gpus=visible_gpus(), on_note=notes.append) as pool:
        run(pool, trial(1, "gpu"), trial(2, "gpu"))
    assert sorted(notes) == ["sees 4", "sees 7"]
