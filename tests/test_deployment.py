"""From a run to files that ship: export, measure, convert; the deployed network as an objective."""

import io
import os
import queue
import re
import shutil
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console
from safetensors.numpy import load_file, save_file

import jouleshift as js
from jouleshift import cli, store
from jouleshift.commands.output import show
from jouleshift.config import StudyConfig
from jouleshift.data.batches import evaluation_batches
from jouleshift.data.sources import load as load_data
from jouleshift.deploy import measured
from jouleshift.deploy import nodes as p
from jouleshift.deploy.artefact import check_path
from jouleshift.deploy.c.build import loaded
from jouleshift.deploy.deployed import Deployed
from jouleshift.deploy.measured import Conditions, Latency, run_alone
from jouleshift.deploy.runtime import load
from jouleshift.energy import quiet
from jouleshift.energy.quiet import measuring, telling
from jouleshift.errors import BadInput
from jouleshift.evaluate import Evaluator
from jouleshift.exporting import export_run
from jouleshift.measuring import Measured, Named, _check_images, _compared, measure_model
from jouleshift.models import create
from jouleshift.records import CarbonIntensity, EnergyReading, Evaluation
from jouleshift.shown import measured_in_words, measured_table
from jouleshift.train.loop import validate
from jouleshift.verify import verify
from tests.deploy.networks import Everything, images, shifted

EIGHT_BITS = {"activation_integer_bits": 3, "activation_fraction_bits": 5, "weight_bits": 4}
QUICKLY = Conditions("auto", batch=8, threads=1, power_w=15.0, windows=2, window_s=0.05, warm_up_s=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """One trained network of 8-bit activations."""
    out = tmp_path_factory.mktemp("search") / "run"
    settings = {"model": "tiny", "trials": 1, "min_budget": 9, "max_budget": 9}
    js.search("digits", **settings, space=EIGHT_BITS, power_w=20.0, out=out)
    return out


@pytest.fixture(scope="module")
def onnx_file(run, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_run(run, out=path)
    return path


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2", "model.safetensors"])
def test_exported_files_give_the_oracle_s_logits(run, tmp_path, name):
    exported = export_run(run, "max-accuracy", out=tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {name, "model.check.safetensors", "model.md"}
    kept = load_file(check_path(tmp_path / name))
    assert kept["images"].shape == (16, 1, 8, 8)
    np.testing.assert_array_equal(load(tmp_path / name)(kept["images"]), kept["logits"])
    assert exported.accuracy > 0.85
    assert abs(exported.accuracy - exported.simulated_accuracy) <= 0.02
    assert exported.weight_bytes <= exported.float_bytes * 4 / 32 + 8
    assert exported.weight_bytes == exported.record.result.weight_bytes, "what size_bytes said in the search"
    assert f"| weights | {exported.weight_bytes:,} bytes" in exported.card.read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None or shutil.which("cc") is None, reason="no C compiler")
def test_exported_c_builds_and_checks_itself(run, tmp_path):
    exported = export_run(run, out=tmp_path / "digits.c")
    assert {"digits.c", "digits.h"} <= {path.name for path in exported.files}
    done = subprocess.run(["make", "check"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_path_files_go_into_the_run(run):
    exported = export_run(run, form="safetensors")
    assert exported.files[0] == run / "export" / "trial-1" / "network.safetensors"
    assert all(path.is_file() for path in (*exported.files, exported.card))


def test_a_lost_checkpoint_costs_time_only(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / store.CHECKPOINTS)
    again, first = (export_run(path, out=tmp_path / path.parent.name / "m.onnx") for path in (copy, run))
    assert again.files[0].read_bytes() == first.files[0].read_bytes()


def test_the_card_tells_grams_accuracy_and_how_to_check(run, onnx_file):
    text = onnx_file.with_suffix(".md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---")[1])
    spent = store.read_run(run).env["search_energy"][0]
    assert spent["kind"] == "estimated" and "20 W stated" in spent["origin"]
    grams = spent["energy_j"] / 3.6e6 * 475
    assert head["co2_eq_emissions"]["emissions"] == pytest.approx(grams, rel=0.02)
    source = head["co2_eq_emissions"]["source"]
    assert source.startswith("energy estimated: time × 20 W stated; 475 g CO₂eq/kWh (world, 2018;")
    assert f"| energy of the search | {spent['energy_j']:.4g} J (estimated: time × 20 W stated) |" in text
    assert "| emissions of the search | " in text
    metrics = head["model-index"][0]["results"][0]["metrics"]
    assert {metric["name"].rsplit(", ", 1)[1] for metric in metrics} == {
        "as integers",
        "in training's simulation",
    }
    assert "jouleshift measure model.onnx" in text and "gives the same integers; to check" in text
    assert "modelled, hardware profile asic-45nm" in text and "weight_bits | 4" in text


def recipe_of(card: Path) -> dict:
    """What a card's Python defines: how an image becomes the network's input."""
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.S).group(1), names)
    return names


def test_following_the_card_by_hand_gives_the_exported_logits_and_accuracy(run, tmp_path):
    import onnxruntime

    exported = export_run(run, out=tmp_path / "model.onnx")
    recipe = recipe_of(exported.card)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (wanted,) = session.get_inputs()
    data = load_data("digits", seed=0)
    pixels = torch.cat([data.train.images[:16], data.val.images])[:, 0].numpy()
    logits = []
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        logits.append(session.run(None, {wanted.name: recipe["prepare"](tmp_path / f"{number}.png")})[0][0])
    np.testing.assert_array_equal(logits[:16], load_file(check_path(tmp_path / "model.onnx"))["logits"])
    named = [recipe["CLASSES"][found.argmax()] for found in logits[16:]]
    assert (
        np.mean([n == str(int(y)) for n, y in zip(named, data.val.labels, strict=True)]) == exported.accuracy
    )


def test_the_card_s_recipe_makes_of_any_file_what_training_saw(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 4), dtype=np.uint8)
    pictures = {
        "alpha.png": Image.fromarray(noise),
        "grey.png": Image.fromarray(noise[..., 0]),
        "palette.png": Image.fromarray(noise[..., :3]).quantize(16),
        "large.jpg": Image.fromarray(np.repeat(np.repeat(noise[..., :3], 8, 0), 8, 1)),
    }
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, picture in pictures.items():
        for kind in ("cat", 'dog "x" {0}'):
            (tmp_path / "photos" / kind).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / "photos" / kind / name, exif=turned)
    out = tmp_path / "run"
    settings = {"model": "tiny", "trials": 1, "max_budget": 1, "image_size": 20, "val_fraction": 0.5}
    js.search(tmp_path / "photos", **settings, out=out)
    recipe = recipe_of(export_run(out, form="safetensors").card)
    assert recipe["CLASSES"] == ["cat", 'dog "x" {0}']
    config = StudyConfig(**store.read_run(out).config)
    data = Evaluator(config, out / store.CHECKPOINTS).data
    seen = [image for split in (data.train, data.val) for image in next(evaluation_batches(split))[0].numpy()]
    made = [recipe["prepare"](tmp_path / "photos" / "cat" / name)[0] for name in pictures]
    assert [any((image == other).all() for other in seen) for image in made] == [True] * len(pictures)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "tflite"}, "format 'tflite': give one of onnx"),
        ({"out": Path("model.tflite")}, "the suffix says the form"),
        ({"out": Path("model.onnx"), "form": "c"}, "not the suffix of format 'c'"),
        ({"wish": "kne"}, "did you mean 'knee'"),
        ({"wish": "7"}, "trial 7"),
        ({"region": "Atlantis"}, "Atlantis"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_written(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=message):
        export_run(run, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_export_from_python_follows_the_suffix(tmp_path):
    model, batch = shifted(Everything()), images(64)
    with pytest.raises(BadInput, match="suffix"):
        js.export(model, tmp_path / "model.bin", batch)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot write"):
        js.export(model, tmp_path / "file" / "model.onnx", batch)
    js.export(model, tmp_path / "model.onnx", batch)
    wanted = js.lower(model, batch).run(batch.numpy())
    np.testing.assert_array_equal(load(tmp_path / "model.onnx", "onnxruntime")(batch.numpy()), wanted)


def test_images_that_lie_in_memory_by_pixel_are_kept_as_they_are(tmp_path):
    """As images of a folder do; safetensors writes a tensor's memory, whatever its strides."""
    model, batch = shifted(Everything()), images(64).contiguous(memory_format=torch.channels_last)
    js.export(model, tmp_path / "model.safetensors", batch)
    kept = load_file(check_path(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(kept["images"], batch[:16].numpy())
    np.testing.assert_array_equal(load(tmp_path / "model.safetensors")(kept["images"]), kept["logits"])


def test_an_export_lists_all_its_files_and_overwrites_nobody_else_s(tmp_path):
    model, batch = shifted(Everything()), images(16)
    written = js.export(model, tmp_path / "net.c", batch)
    assert written[0] == tmp_path / "net.c"
    assert set(written) == set(tmp_path.iterdir())
    assert js.export(model, tmp_path / "net.c", batch) == written
    with pytest.raises(BadInput, match="folder of its own"):
        js.export(model, tmp_path / "other.c", batch)
    js.export(model, tmp_path / "net.safetensors", batch)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(BadInput, match=r"README\.md is there already"):
        js.export(model, tmp_path / "mine" / "net.c", batch)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["README.md"]


@pytest.mark.skipif(os.name == "nt", reason="no umask")
@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_exported_files_and_their_folder_may_be_read_by_whom_the_umask_says(tmp_path, mask):
    model, batch = shifted(Everything()), images(16)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o775)
    before = os.umask(mask)
    try:
        for suffix in (".c", ".safetensors", ".pt2"):
            js.export(model, tmp_path / "new" / f"net{suffix}", batch)
            js.export(model, theirs / f"net{suffix}", batch)
    finally:
        os.umask(before)
    written = [*(tmp_path / "new").iterdir(), *theirs.iterdir()]
    modes = {path.stat().st_mode & 0o777 for path in written}
    assert modes == {0o666 & ~mask}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~mask
    assert theirs.stat().st_mode & 0o777 == 0o775, "whose folder it is, keeps its mode"


def test_a_network_whose_weights_lie_by_channel_is_exported_without_a_warning(tmp_path):
    """As training leaves them; the first layers stay float32."""
    late = js.ShiftConfig(weight_bits=4, act_integer_bits=3, act_fraction_bits=5, depth=2)
    model = shifted(Everything(), late).to(memory_format=torch.channels_last)
    with warnings.catch_warnings(action="error", category=UserWarning):
        js.export(model, tmp_path / "net.pt2", images(64))


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"threads": -1}, {"windows": 0}, {"power_w": -5.0}, {"power_w": float("nan")}],
    ids=str,
)
def test_conditions_that_make_no_sense_are_refused(wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Conditions(**wrong)


@pytest.mark.parametrize("arguments", [{"n_items": 0}, {"n_items": 1, "power_w": -3.0}])
def test_measuring_nothing_or_less_is_refused(arguments):
    with pytest.raises(BadInput, match="expected"):
        js.measure(lambda: None, **arguments)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tiny", "--classes", "0"), "classes 0"),
        (("tiny", "--channels", "-1"), "channels -1"),
        (("tiny", "--image-size", "0"), "image_size 0"),
        (("json:loads",), "cannot be built"),
        (("tiny", "--layers", "features.1=8"), "layers: 'features.1' matches no convertible layer"),
        (("tiny", "--layers", "first=9"), "layers.first: weight_bits 9"),
    ],
)
def test_networks_that_cannot_be_are_refused(words, message, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["jouleshift", "convert", *words])
    assert cli.run() == 2
    assert message in capsys.readouterr().err


def test_measuring_checks_first_and_says_how_it_knows(onnx_file):
    (row,) = measure_model(str(onnx_file), QUICKLY)
    assert row.check == "bit match: 16 of 16 images"
    assert row.runtime in ("openvino", "onnxruntime")
    assert row.energy.kind == "estimated" and "15 W stated" in row.energy.origin
    assert row.latency is not None and 0 < row.latency.median_s < 1


def test_the_fastest_runtime_is_measured_and_the_times_of_all_are_told(onnx_file, tmp_path, monkeypatch):
    monkeypatch.setenv("JOULESHIFT_LOCKS", str(tmp_path))
    seconds = {"openvino": 0.003, "onnxruntime": 0.002}
    monkeypatch.setattr(measured, "_timed", None)

    def alone(task, path, images, conditions):
        return seconds[conditions.runtime] if task is None else conditions.runtime

    heard = []
    monkeypatch.setattr(measured, "_alone", alone)
    monkeypatch.setattr(quiet, "_tell", heard.append)
    batch = np.zeros((8, 1, 8, 8), np.float32)
    assert run_alone(onnx_file, batch, replace(QUICKLY, runtime="fastest")) == "onnxruntime"
    assert heard == ["a batch of 8 takes onnxruntime 2 ms, openvino 3 ms: measuring onnxruntime"]


def test_a_command_that_waits_to_measure_says_for_whom(onnx_file, tmp_path, monkeypatch):
    monkeypatch.setenv("JOULESHIFT_LOCKS", str(tmp_path))
    command = [sys.executable, "-m", "jouleshift", "measure", onnx_file, "--windows", "2", "--threads", "1"]
    with measuring(timeout_s=5) as alone:
        assert alone
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        words = process.stderr.readline()
    shown, rest = process.communicate(timeout=120)
    assert words.startswith(f"jouleshift: waiting to measure energy until process {os.getpid()} (")
    assert words.endswith(") has measured\n") and rest.startswith("jouleshift: a batch of 64 takes ")
    assert process.returncode == 0 and "bit match" in shown


def test_a_worker_that_waits_to_measure_tells_the_search(onnx_file, tmp_path, monkeypatch):
    """The words of the process that measures reach whoever listens to the process that started it."""
    monkeypatch.setenv("JOULESHIFT_LOCKS", str(tmp_path))
    monkeypatch.setattr(quiet, "_tell", quiet._tell)
    heard, lock = queue.Queue(), ExitStack()
    telling(heard.put)
    batch = np.zeros((8, 1, 8, 8), np.float32)
    with lock, ThreadPoolExecutor(1) as threads:
        assert lock.enter_context(measuring(timeout_s=5))
        ran = threads.submit(run_alone, onnx_file, batch, QUICKLY)
        assert f"until process {os.getpid()} (" in heard.get(timeout=60)
        lock.close()
        assert ran.result(timeout=60).energy.energy_j > 0


def test_a_killed_measurement_leaves_no_process_behind(onnx_file):
    command = [
        sys.executable,
        "-m",
        "jouleshift",
        "measure",
        onnx_file,
        "--runtime",
        "torch",
        "--windows",
        "50",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    measuring_ones = _wait_for(lambda: _busy_children(process.pid), timeout_s=60)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(measuring_ones, timeout=10)[1]


def _busy_children(pid):
    """Processes below one that compute: the resource tracker of multiprocessing does not."""
    below = psutil.Process(pid).children(recursive=True)
    return [child for child in below if child.cpu_times().user > 3]


def _wait_for(found, timeout_s):
    end = time.monotonic() + timeout_s
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.1)
    assert value
    return value


def test_a_file_that_computes_something_else_is_refused(onnx_file, tmp_path):
    shutil.copy(onnx_file, tmp_path)
    kept = load_file(check_path(onnx_file))
    kept["logits"][-1] += 1  # the last image's, in the second batch of eight
    save_file(kept, tmp_path / "model.check.safetensors")
    with pytest.raises(BadInput, match="15 of 16 images"):
        measure_model(str(tmp_path / "model.onnx"), QUICKLY)


def test_files_without_a_check_or_with_a_broken_one_are_refused(onnx_file, tmp_path):
    shutil.copy(onnx_file, tmp_path)
    path = tmp_path / "model.onnx"
    with pytest.raises(BadInput, match=r"no model\.check\.safetensors"):
        measure_model(str(path), QUICKLY)
    check_path(path).write_bytes(b"not a tensor")
    with pytest.raises(BadInput, match="broken"):
        measure_model(str(path), QUICKLY)
    save_file({"images": np.zeros(3, np.float32), "logits": np.zeros(3, np.float32)}, check_path(path))
    with pytest.raises(BadInput, match="does not hold images"):
        measure_model(str(path), QUICKLY)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    for name, message in (
        ("nothing.onnx", "no file"),
        (str(tmp_path / "empty"), "holds 0 exported networks"),
        (str(tmp_path / "notes.txt"), "takes"),
        ("resnet2", "unknown model"),
    ):
        with pytest.raises(BadInput, match=message):
            measure_model(name, QUICKLY)


def test_the_file_of_images_to_check_with_is_not_the_network(onnx_file, tmp_path):
    kept = tmp_path / "model.check.safetensors"
    shutil.copy(check_path(onnx_file), kept)
    with pytest.raises(BadInput, match=r"check a network with, not the network, which is not beside it$"):
        measure_model(str(kept), QUICKLY)
    for suffix in (".c", ".onnx"):
        kept.with_name(f"model{suffix}").touch()
    with pytest.raises(
        BadInput, match=r"check a network with, not the network: give model\.c or model\.onnx$"
    ):
        measure_model(str(kept), QUICKLY)


def test_the_one_network_of_a_folder_is_measured(run, tmp_path):
    with pytest.raises(BadInput, match=f"{tmp_path} holds 0 exported networks: give a file of one"):
        measure_model(str(tmp_path), QUICKLY)
    export_run(run, out=tmp_path / "model.safetensors")
    (row,) = measure_model(str(tmp_path), QUICKLY)
    assert row.network == "model.safetensors" and row.check.startswith("bit match: 16 of 16")
    export_run(run, out=tmp_path / "other.safetensors")
    two = r"holds 2 exported networks \(model\.safetensors, other\.safetensors\): give a file of one"
    with pytest.raises(BadInput, match=two):
        measure_model(str(tmp_path), QUICKLY)


def test_a_network_by_name_is_measured_and_priced():
    eager, *priced = measure_model("tiny", QUICKLY)
    assert eager.runtime == "torch" and eager.energy.source == "deployed"
    floats, integers, shifts = (row.energy.energy_j for row in priced)
    assert floats > integers > shifts > 0
    assert {row.energy.source for row in priced} == {"modelled"}


@pytest.mark.parametrize("source", ["deployed", "simulated"])
def test_a_whole_search_by_energy_of_this_machine(source, tmp_path):
    """From the command line through a worker's measurement to the journal, and on to an exported network."""
    eight = tmp_path / "eight.yaml"
    eight.write_text(yaml.safe_dump({"space": EIGHT_BITS | {"optimizer": "SGD"}}))
    words = [
        "--model",
        "tiny",
        "--trials",
        "2",
        "--min-budget",
        "1",
        "--max-budget",
        "1",
        "--scheduler",
        "random",
    ]
    words += [
        "--limit-train",
        "200",
        "--energy",
        source,
        "--power-w",
        "15",
        "--region",
        "FRA",
        "--threads",
        "1",
    ]
    command = [
        sys.executable,
        "-m",
        "jouleshift",
        "search",
        "digits",
        *words,
        "--config",
        eight,
        "--out",
        "run",
    ]
    alone = os.environ | {"JOULESHIFT_LOCKS": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [record.result for record in store.read_run(tmp_path / "run").trials]
    assert [result.energy.source for result in results] == [source] * 2
    assert {result.energy.kind for result in results} == {"estimated"}
    assert all(0 < result.energy.energy_j < 1 for result in results)
    assert export_run(tmp_path / "run", out=tmp_path / "n.onnx").files[0].is_file()


def test_a_search_by_deployed_energy_judges_the_deployed_network(run, tmp_path):
    """Error and energy are those of the integers; the reading says how it is known."""
    config = store.read_run(run).config | {"energy": "deployed", "power_w": 15.0}
    evaluator = Evaluator(StudyConfig(**config), run / store.CHECKPOINTS)
    trial = store.read_run(run).trials[0].trial
    result = evaluator(trial)
    assert isinstance(result, Evaluation)
    assert result.energy.source == "deployed" and result.energy.kind == "estimated"
    assert result.energy.energy_j and "no-sensor" in result.energy.flags
    model, _ = evaluator.trained(trial)
    assert result.error == Deployed.of(model, evaluator.data).error(evaluator.data.val)


def test_a_network_without_shift_layers_is_judged_as_the_floats_that_it_is(run, tmp_path):
    evaluator = Evaluator(StudyConfig(**store.read_run(run).config), tmp_path)
    floats = evaluator.build(0).eval()
    deployed = Deployed.of(floats, evaluator.data)
    assert deployed.measured(QUICKLY)[0].energy_j > 0
    _, error = validate(floats, evaluation_batches(evaluator.data.val))
    assert deployed.error(evaluator.data.val) == error


def test_a_trial_without_shift_layers_has_nothing_to_export(tmp_path):
    quick = {"trials": 1, "max_budget": 1, "limit_train": 100, "energy": "modelled"}
    js.search("digits", model="tiny", out=tmp_path, space={"shift_depth": 0}, **quick)
    with pytest.raises(BadInput, match="trial 1 has shift depth 0 and no shift layer, no integers to export"):
        export_run(tmp_path, "1")
    with pytest.raises(BadInput, match="no network on the front has a shift layer"):
        export_run(tmp_path)


MIXED = {"first": 8, "last": "float", "features.3": {"weight_bits": 3, "kind": "Q", "act_fraction_bits": 4}}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A run that converts no layer but those that have formats of their own."""
    out = tmp_path_factory.mktemp("mixed") / "run"
    space = {**EIGHT_BITS, "shift_depth": 0}
    quick = {"model": "tiny", "trials": 1, "max_budget": 1, "limit_train": 200, "energy": "modelled"}
    js.search("digits", **quick, space=space, layers=MIXED, out=out)
    return out


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2", "model.safetensors"])
def test_a_network_of_mixed_precision_ships_as_it_was_searched(mixed, tmp_path, name):
    """In its own layers' formats, although the shift depth is 0."""
    exported = export_run(mixed, out=tmp_path / name)
    kept = load_file(check_path(tmp_path / name))
    got, oracle = load(tmp_path / name)(kept["images"]), kept["logits"]
    np.testing.assert_allclose(got, oracle, rtol=1e-5, atol=1e-5)  # the last layer is float
    assert exported.weight_bytes == exported.record.result.weight_bytes
    card = exported.card.read_text(encoding="utf-8")
    assert "| layer features.0 | PS, 8 bits, reads signed 3+5 |" in card
    assert "| layer features.3 | Q, 3 bits, reads unsigned 3+4 |" in card
    assert "| layer linear | float32 |" in card
    assert "most are still within 2 % of their span" in card and "same integers" not in card
    assert "features.7" not in card


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2", "model.safetensors"])
def test_integers_of_mixed_precision_match_bit_for_bit(name, tmp_path):
    formats = {"first": 8, "last": {"weight_bits": 8, "kind": "Q"}, "right.*": 2, "down.0": {"kind": "Q"}}
    model = shifted(Everything(), layers=formats)
    program = js.lower(model, images(16))
    stored = {node.layer: node.weights.weight_bits for node in program.all(p.ShiftLayer)}
    assert stored.items() >= {"stem.0": 8, "left.0": 4, "right.1": 2, "down.0": 4, "head": 8}.items()
    js.export(model, tmp_path / name, images(16))
    kept = load_file(check_path(tmp_path / name))
    np.testing.assert_array_equal(kept["logits"], program.run(kept["images"]))
    np.testing.assert_array_equal(load(tmp_path / name)(kept["images"]), kept["logits"])


@pytest.mark.parametrize(
    ("off", "exact", "verdict"),
    [
        ([0.1], True, ("bit match: 3 of 4 images", False)),
        ([0.1], False, ("bit match: 3 of 4 images, 4 within 2 %: it has float layers", True)),
        ([3, 3], False, ("bit match: 2 of 4 images, 2 within 2 %: it has float layers", False)),
        ([], True, ("bit match: 4 of 4 images", True)),
    ],
)
def test_only_float_layers_may_differ_and_only_a_little(off, exact, verdict):
    logits = np.arange(40, dtype=np.float32).reshape(4, 10)
    found = logits.copy()
    found[: len(off), 3] += off
    assert _compared(found, logits, exact) == verdict


def test_the_check_file_says_whether_integers_go_throughout(tmp_path):
    for layers, exact in (({}, True), ({"last": "float"}, False)):
        js.export(shifted(Everything(), layers=layers), tmp_path / "m.safetensors", images(4))
        assert _check_images(tmp_path / "m.safetensors")[2] == exact


def test_verification_trains_layers_in_their_own_formats(mixed):
    verify(mixed, seeds=1)
    (again,) = store.read_run(mixed).verified
    (first,) = store.read_run(mixed).trials
    assert again.result.weight_bytes == first.result.weight_bytes
    assert again.result.energy.energy_j == first.result.energy.energy_j


def test_a_run_is_not_continued_with_other_layers(mixed):
    with pytest.raises(BadInput, match=r"begun with other settings \(layers: "):
        js.search("digits", model="tiny", max_budget=1, limit_train=200, energy="modelled", out=mixed,
                  space={**EIGHT_BITS, "shift_depth": 0}, layers={**MIXED, "last": 8})  # fmt: skip


def test_a_trial_whose_every_layer_is_kept_float_has_nothing_to_export(tmp_path):
    quick = {"trials": 1, "max_budget": 1, "limit_train": 100, "energy": "modelled"}
    js.search("digits", model="tiny", out=tmp_path, layers={"*": "float"}, **quick)
    with pytest.raises(BadInput, match="trial 1 has shift depth 4 and no shift layer, no integers to export"):
        export_run(tmp_path, "1")
    with pytest.raises(BadInput, match="no network on the front has a shift layer"):
        export_run(tmp_path)


def test_convert_lists_layers_in_formats_of_their_own(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    flags = (
        "--layers",
        "first=8",
        "--layers",
        "features.[37]={kind: Q, weight_bits: 3}",
        "--layers",
        "last=float",
    )
    cli.app(
        ["convert", "tiny", "--weight-bits", "4", *flags], exit_on_error=False, result_action="return_value"
    )
    shown = [re.split(r" {2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert [row for row in shown if "layers: " in row[-1]] == [
        ["features.0", "Conv2d", "PS, 8 bits, reads signed 16+16", "layers: first"],
        ["features.3", "Conv2d", "Q, 3 bits, reads unsigned 16+16", "layers: features.[37]"],
        ["features.7", "Conv2d", "Q, 3 bits, reads unsigned 16+16", "layers: features.[37]"],
        ["linear", "Linear", "float32", "layers: last"],
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "it can be exported as integers"),
        (
            ("--mode", "reference"),
            "it cannot be exported as integers, because of the network: DeepShift's num",
        ),
        (("--image-size", 4), "is not known: vgg16 does not take images of 3 × 4 × 4: RuntimeError: "),
    ],
)
def test_convert_says_whether_the_network_can_be_exported(options, said, capsys):
    command("convert", "vgg16" if "--image-size" in options else "tiny", *options)
    assert said in capsys.readouterr().out


def test_the_default_pick_passes_over_float_networks_and_says_so(run, tmp_path, monkeypatch):
    """The more accurate float32 network is the first of the two on the front."""
    read = store.read_run(run)
    (first,) = read.trials
    result = replace(first.result, error=0.0, energy=replace(first.result.energy, energy_j=1e-15))
    better = replace(first.trial, id=2, config={**first.trial.config, "shift_depth": 0})
    both = replace(read, trials=(replace(first, trial=better, result=result), first))
    cheaper = replace(first.result, energy=replace(first.result.energy, energy_j=1e-16))
    both = replace(both, trials=(both.trials[0], replace(first, result=cheaper)))
    monkeypatch.setattr(store, "read_run", lambda _: both)
    exported = export_run(run, out=tmp_path / "m.safetensors")
    assert exported.record.trial.id == 1
    assert "passed over on the front, float32 networks without a shift layer: trial 2" in exported.notes


def command(*arguments: object) -> None:
    cli.app([str(a) for a in arguments], exit_on_error=False, print_error=False, result_action="return_value")


def test_the_commands(run, onnx_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    place = ("--region", "FRA", "--intensity", 35, "--pue", 1.2)
    command("export", run, "--pick", "1", "--format", "onnx", "--out", tmp_path / "shipped", *place)
    shown = capsys.readouterr().out
    assert "accuracy" in shown and str(tmp_path / "shipped" / "network.onnx") in shown
    told = "35 g CO₂eq/kWh (FRA; given by the user) × PUE 1.2"
    card = (tmp_path / "shipped" / "network.md").read_text(encoding="utf-8")
    assert f"Emissions at {told}." in card and f"W stated; {told}" in " ".join(card.split())
    command("measure", onnx_file, "--runtime", "torch", "--batch", 4, "--windows", 2, "--threads", 1, *place)
    shown = capsys.readouterr().out
    assert told in shown
    assert "bit match: 16 of 16 images" in shown and "estimated: time × 50 W assumed" in shown
    command("convert", "resnet20", "--depth", 2, "--weight-bits", 3)
    shown = capsys.readouterr().out
    assert "2 of 20 layers" in shown and "depth is 2" in shown and "PS, 3 bits" in shown


@pytest.mark.parametrize("width", [60, 80, 200])
def test_what_is_measured_is_shown_whole_with_its_origin_and_flags(width):
    flags = ("no-sensor", "default-power", "trials-beside", "few-windows", "busy-machine")
    reading = EnergyReading(6e-3, "deployed", "estimated", "time × 10 W stated", flags=flags)
    latency = Latency(0.159, 0.15, 0.171, 25)
    row = Measured("network.onnx", "onnxruntime", 64, latency, reading, check="bit match")
    console = Console(width=width, record=True, file=io.StringIO())
    where = CarbonIntensity(450.0, "world", 2023, "made up")
    show(console, measured_table([row], where), measured_in_words([row], where))
    shown = console.export_text()
    stamp = f"estimated: time × 10 W stated [{', '.join(flags)}]"
    for line in ("bit match", stamp, "450 g CO₂eq/kWh (world, 2023; made up)"):
        assert line in shown.splitlines(), "the terminal wraps it, so that it can be copied"
    assert "…" not in shown.replace("(150 …", "")
    if width >= 80:
        for word in ("network.onnx", "onnxruntime", "estimated", "159 ms", "6.00 mJ"):
            assert word in shown.split(stamp)[0]


@pytest.mark.parametrize("columns", ["60", "80", None])
@pytest.mark.parametrize("words", [("convert", "googlenet"), ("paper",), ("doctor",)])
def test_nothing_that_is_shown_is_cropped(words, columns, capsys, monkeypatch):
    """Folded where COLUMNS says so; through a pipe every row is a line."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    command(*words)
    shown = capsys.readouterr().out
    assert "…" not in shown
    if words[0] == "convert":
        network = create("googlenet", 10, 3)
        names = [name for name, layer in network.named_modules() if isinstance(layer, torch.nn.Conv2d)]
        lines = shown.splitlines()
        width = next(line.index("type") for line in lines if "type" in line)
        folded = "".join(line[:width].strip() for line in lines)
        assert all(name in (folded if columns else shown) for name in names)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_exported_c_is_compiled_checked_and_timed(run, tmp_path):
    exported = export_run(run, out=tmp_path / "My digits.c")
    source = exported.files[0]
    before = set(tmp_path.iterdir())
    (row,) = measure_model(str(source), QUICKLY)
    assert (row.network, row.runtime) == ("my_digits.c", "C, 1 thread")
    assert row.check == "bit match: 16 of 16 images"
    assert row.task == "images of 1 × 8 × 8, 10 classes"
    assert row.latency is not None and 0 < row.latency.median_s < 1 and row.energy.kind == "estimated"
    assert set(tmp_path.iterdir()) == before
    with pytest.raises(BadInput, match="C needs no runtime"):
        measure_model(str(source), replace(QUICKLY, runtime="torch"))
    with pytest.raises(BadInput, match="takes 64 numbers an image, not 81"):
        loaded(source)(np.zeros((2, 1, 9, 9), np.float32))
    source.with_suffix(".h").unlink()
    with pytest.raises(BadInput, match=r"my_digits\.h beside it are not what export wrote"):
        loaded(source)


@pytest.mark.slow
def test_a_network_by_name_is_measured_on_images_of_a_stated_size():
    usual, *_ = measure_model("tiny", QUICKLY)
    assert usual.task == "images of 3 × 32 × 32, 10 classes"
    named = Named(image_size=8, classes=4, channels=1, profile="cortex-m4")
    small, floats, *_ = measure_model("tiny", QUICKLY, named)
    assert small.task == "images of 1 × 8 × 8, 4 classes"
    assert "cortex-m4" in floats.energy.origin


@pytest.mark.parametrize(
    ("model", "named", "message"),
    [
        ("tiny", {"image_size": 0}, "image_size 0: expected at least 1"),
        ("tiny", {"classes": -1}, "classes -1"),
        ("tiny", {"profile": "asic-44nm"}, "asic-45nm"),
        ("vgg16", {"image_size": 4}, "vgg16 does not take images of 3 × 4 × 4: RuntimeError: "),
        ("model.onnx", {"channels": 1}, "is an exported file: channels is for networks by name"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(model, named, message):
    with pytest.raises(BadInput, match=message):
        measure_model(model, QUICKLY, Named(**named))
