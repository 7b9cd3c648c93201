"""Checkpoints: whole or absent, safe to read, never of another run."""

import os
import pickle
import signal
import subprocess
import sys
import time
from random import Random

import pytest
import torch

from jouleshift.config import TrainConfig
from jouleshift.errors import BadInput
from jouleshift.records import Epoch
from jouleshift.train import checkpoint as checkpoints
from jouleshift.train.checkpoint import Checkpoint
from jouleshift.train.loop import train
from tests.train.small_networks import network, same, state

CONFIG = TrainConfig(batch_size=16, learning_rate=0.05)


def run(data, epochs, model=None, config=CONFIG, seed=1, horizon=4, **paths):
    model = model or network()
    result = train(model, data, config, epochs=epochs, horizon=horizon, seed=seed, **paths)
    return state(model), result


@pytest.fixture
def parent(data, tmp_path):
    path = tmp_path / "parent.pt"
    run(data, 2, checkpoint_out=path)
    return path


def test_round_trip(tmp_path):
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    curve = (Epoch(1, 2.0, 1.5, 0.5, 0.1, 3.0),)
    path = tmp_path / "deep" / "er" / "x.pt"
    checkpoints.save(path, Checkpoint("abc", model.state_dict(), optimizer.state_dict(), curve, 0))
    loaded = checkpoints.load(path)
    assert (loaded.fingerprint, loaded.curve, loaded.epoch) == ("abc", curve, 1)
    assert same(dict(loaded.model), state(model))
    assert loaded.optimizer["param_groups"] == optimizer.state_dict()["param_groups"]
    assert [file.name for file in path.parent.iterdir()] == ["x.pt"]


def damaged(whole):
    yield b""
    for at in (1, 100, len(whole) // 2, len(whole) - 1):
        yield whole[:at]
    yield b"\0" * len(whole)
    yield pickle.dumps({"format": "jouleshift-checkpoint-1"})
    yield pickle.dumps(print)


def test_a_damaged_or_missing_parent_means_training_from_scratch(parent, data, caplog):
    expected, _ = run(data, 3)
    for content in damaged(parent.read_bytes()):
        parent.write_bytes(content)
        caplog.clear()
        found, result = run(data, 3, checkpoint_in=parent)
        assert same(expected, found)
        assert result.trained_epochs == 3
        assert "not continued: " in caplog.text
    parent.unlink()
    found, result = run(data, 3, checkpoint_in=parent)
    assert same(expected, found)


def test_a_flipped_byte_is_noticed_or_harmless(parent):
    whole, original = parent.read_bytes(), checkpoints.load(parent)
    noticed = 0
    for at in range(0, len(whole), len(whole) // 150):
        content = bytearray(whole)
        content[at] ^= 0x55
        parent.write_bytes(content)
        try:
            loaded = checkpoints.load(parent)
        except BadInput:
            noticed += 1
        else:
            assert same(dict(original.model), dict(loaded.model)), at
            assert (original.curve, original.fingerprint) == (loaded.curve, loaded.fingerprint), at
    assert noticed > 50


def test_a_flipped_bit_in_the_structure_is_bad_input_whatever_it_makes_of_it(parent):
    """One changed bit in a pickle raises nearly anything: TypeError, IndexError, AttributeError, …"""
    whole, random = parent.read_bytes(), Random(5)
    start, refused = whole.find(b"data.pkl"), 0
    for _ in range(200):
        content = bytearray(whole)
        content[start + random.randrange(3000)] ^= 1 << random.randrange(8)
        parent.write_bytes(content)
        try:
            checkpoints.load(parent)
        except BadInput:
            refused += 1
    assert refused > 130


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"config": TrainConfig(batch_size=16, learning_rate=0.06)},
        {"horizon": 5},
        {"model": lambda: network(classes=3)},
        {"model": lambda: network(noisy=False)},
    ],
)
def test_a_foreign_parent_means_training_from_scratch(other, parent, data, caplog):
    other = {key: value() if callable(value) else value for key, value in other.items()}
    _, result = run(data, 3, checkpoint_in=parent, **other)
    assert result.trained_epochs == 3
    assert "another network, data set or configuration" in caplog.text


def test_other_data_make_a_parent_foreign(parent, splits, caplog):
    from dataclasses import replace

    fewer = replace(splits.train, images=splits.train.images[1:], labels=splits.train.labels[1:])
    _, result = run(replace(splits, train=fewer), 3, checkpoint_in=parent)
    assert result.trained_epochs == 3


def test_a_parent_beyond_the_budget_is_not_used(parent, data, caplog):
    expected, _ = run(data, 1)
    found, result = run(data, 1, checkpoint_in=parent)
    assert same(expected, found)
    assert result.trained_epochs == 1
    assert "past 1" in caplog.text


def test_a_parent_at_the_budget_gives_its_result(parent, data):
    expected, before = run(data, 2)
    found, result = run(data, 2, checkpoint_in=parent)
    assert same(expected, found)
    assert result.error == before.error
    assert result.trained_epochs == 0


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_from_its_own_checkpoint(data, parent, tmp_path, monkeypatch):
    monkeypatch.setattr("jouleshift.train.loop._SAVE_EVERY_S", 0.0)
    expected, whole = run(data, 4)
    out = tmp_path / "child.pt"

    def kill(point):
        if point.epoch == 4:
            raise Killed

    with pytest.raises(Killed):
        run(data, 4, checkpoint_in=parent, checkpoint_out=out, on_epoch=kill)
    assert checkpoints.load(out).epoch == 3
    epochs = []
    found, result = run(
        data, 4, checkpoint_in=parent, checkpoint_out=out, on_epoch=lambda p: epochs.append(p.epoch)
    )
    assert epochs == [4]
    assert same(expected, found)
    assert result.trained_epochs == 2  # of four, two were the parent's
    assert result.error == whole.error


def test_a_write_that_fails_leaves_the_old_checkpoint(parent, data, monkeypatch):
    before = parent.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(BadInput, match=r"parent\.pt: No space left on device"):
        run(data, 3, checkpoint_out=parent, seed=9)
    assert parent.read_bytes() == before
    assert [file.name for file in parent.parent.iterdir()] == ["parent.pt"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_during_a_write_leaves_a_whole_checkpoint(tmp_path):
    """SIGKILL at random moments while a child writes one checkpoint after another."""
    path = tmp_path / "x.pt"
    weights = torch.arange(200_000.0)
    random = Random(0)
    for round_number in range(12):
        child = os.fork()
        if child == 0:
            for number in range(10**6):
                state = {"weights": weights + number}
                checkpoints.save(path, Checkpoint(f"{number}", state, {}, ()))
        time.sleep(random.uniform(0.005, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if path.exists():
            loaded = checkpoints.load(path)
            assert torch.equal(loaded.model["weights"], weights + int(loaded.fingerprint))
        assert len(list(tmp_path.iterdir())) <= 2, round_number
    assert path.exists()


def test_checkpoints_may_be_named_by_text(data, parent, tmp_path):
    whole, _ = run(data, 3)
    continued, result = run(data, 3, checkpoint_in=str(parent), checkpoint_out=str(tmp_path / "x.pt"))
    assert same(continued, whole) and result.trained_epochs == 1
    assert checkpoints.load(tmp_path / "x.pt").epoch == 3


def test_an_unwritable_place_is_bad_input(tmp_path, data):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write checkpoint"):
        run(data, 1, checkpoint_out=tmp_path / "file" / "x.pt")


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_checkpoint_runs(tmp_path, capsys):
    torch.save({"format": "jouleshift-checkpoint-1", "model": Evil()}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match="broken or not a checkpoint"):
        checkpoints.load(tmp_path / "x.pt")
    assert "executed" not in capsys.readouterr().out


def test_a_named_checkpoint_that_is_missing_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no checkpoint at"):
        checkpoints.load(tmp_path / "x.pt")


def test_a_file_of_another_program_is_bad_input(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match="not a checkpoint of this version"):
        checkpoints.load(tmp_path / "x.pt")


def test_a_full_disk_is_bad_input_and_no_abort(tmp_path):
    script = f"""
import resource, signal, torch
from pathlib import Path
from jouleshift.errors import BadInput
from jouleshift.train.checkpoint import Checkpoint, save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save(Path({str(tmp_path)!r}) / "1.pt", Checkpoint("f", {{"w": torch.zeros(100_000)}}, {{}}, ()))
except BadInput as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cannot write checkpoint")
    assert list(tmp_path.iterdir()) == []
