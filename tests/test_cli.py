"""The command line as a user drives it: in a process of its own, with broken input and interruptions."""

import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jouleshift import cli, store
from jouleshift.journal import Asked, Finished, read_events

QUICK = ("--model", "tiny", "--min-budget", "1", "--max-budget", "3", "--limit-train", "200")
FIVE = (*QUICK, "--trials", "5")


def jouleshift(*arguments, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "jouleshift", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)


def picture(path: Path, colour: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (colour, 255 - colour, 90)).save(path)


def trials(run: Path) -> list[tuple]:
    """What a run's trials are, times apart."""
    return [
        (
            record.trial,
            record.result and getattr(record.result, "objectives", record.result),
        )
        for record in store.read_run(run).trials
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """One uninterrupted small search on digits, and what it printed."""
    folder = tmp_path_factory.mktemp("straight")
    done = jouleshift("search", "digits", *FIVE, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done


class TestBadInput:
    """One line on stderr, exit code 2, nothing left behind."""

    def refused(self, cwd: Path, *arguments: object) -> str:
        before = sorted(cwd.rglob("*"))
        done = jouleshift(*arguments, cwd=cwd)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("jouleshift: ")
        left = [path for path in sorted(cwd.rglob("*")) if path not in before and path.name != "runs"]
        left = [path for path in left if "__pycache__" not in path.parts]
        assert left == []
        return done.stderr

    def test_missing_path(self, tmp_path):
        assert "nowhere" in self.refused(tmp_path, "search", "nowhere")

    def test_folder_without_classes(self, tmp_path):
        picture(tmp_path / "photos" / "cat.png")
        assert "photos" in self.refused(tmp_path, "search", "photos")

    def test_truncated_image_is_named(self, tmp_path):
        for label in ("cats", "dogs"):
            for number in range(12):
                picture(tmp_path / "photos" / label / f"{number}.png", 20 * number)
        broken = tmp_path / "photos" / "cats" / "7.png"
        broken.write_bytes(broken.read_bytes()[:40])
        message = self.refused(tmp_path, "search", "photos")
        assert str(Path("cats", "7.png")) in message
        assert "--on-corrupt skip" in message

    def test_control_characters_of_a_file_name_do_not_reach_the_terminal(self, tmp_path):
        for label in ("cats", "dogs"):
            for number in range(4):
                picture(tmp_path / "photos" / label / f"{number}.png", 20 * number)
        (tmp_path / "photos" / "cats" / "a\nb\x1b[31m\x9b.png").write_text("no image")
        message = self.refused(tmp_path, "search", "photos", "--val-fraction", "0.4")
        assert "a b [31m .png: " in message and message.strip().isprintable()

    def test_parquet_without_images(self, tmp_path):
        pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "words.parquet")
        message = self.refused(tmp_path, "search", "words.parquet")
        assert "words.parquet" in message
        assert "text" in message

    def test_unknown_model(self, tmp_path):
        assert "did you mean 'resnet20'?" in self.refused(
            tmp_path, "search", "digits", "--model", "resnet-20"
        )

    def test_energy_of_a_network_that_cannot_be_deployed(self, tmp_path):
        smooth = "from torch import nn\ndef net(num_classes, in_channels):\n"
        smooth += "    return nn.Sequential(nn.Flatten(), nn.GELU(), nn.Linear(64, num_classes))\n"
        (tmp_path / "smooth.py").write_text(smooth)
        flags = ("--model", "smooth:net", "--energy", "deployed", "--power-w", "10")
        message = self.refused(tmp_path, "search", "digits", *flags)
        assert "cannot deploy 1 (GELU)" in message and "ReLU6 before training" in message
        assert not (tmp_path / "runs" / "digits").exists()

    @pytest.mark.parametrize("command", [("search", "digits", "--model"), ("convert",)], ids=lambda c: c[0])
    def test_a_network_whose_builder_raises(self, tmp_path, command):
        (tmp_path / "nets.py").write_text("def boom(num_classes, in_channels): return {}['weights']\n")
        message = self.refused(tmp_path, *command, "nets:boom")
        assert message == "jouleshift: model 'nets:boom' cannot be built: KeyError: 'weights'\n"
        assert not (tmp_path / "runs" / "digits-nets.boom").exists()

    def test_a_network_that_takes_other_images(self, tmp_path):
        larger = "from torch import nn\ndef net(num_classes, in_channels):\n"
        larger += "    return nn.Sequential(nn.Flatten(), nn.Linear(65, num_classes))\n"
        (tmp_path / "larger.py").write_text(larger)
        message = self.refused(tmp_path, "search", "digits", "--model", "larger:net")
        assert "larger:net does not take images of 1 × 8 × 8: RuntimeError: mat1 and mat2 shapes" in message

    @pytest.mark.parametrize(
        "command",
        [("search", "digits", "--model"), ("measure", "--image-size", "8"), ("convert", "--image-size", "8")],
    )
    def test_a_network_that_makes_other_logits(self, tmp_path, command):
        odd = "from torch import nn\ndef net(num_classes, in_channels):\n"
        odd += "    return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, 7))\n"
        (tmp_path / "odd.py").write_text(odd)
        message = self.refused(tmp_path, *command, "odd:net")
        assert "model 'odd:net' gives (1, 7), not one logit for each of 10 classes" in message

    def test_unknown_scheduler(self, tmp_path):
        message = self.refused(tmp_path, "search", "digits", "--scheduler", "mo-hyperbnd")
        assert "did you mean 'mo-hyperband'?" in message

    def test_typo_in_a_flag(self, tmp_path):
        assert "--trials" in self.refused(tmp_path, "search", "digits", "--trails", "3")

    def test_a_second_value_after_a_flag(self, tmp_path):
        flags = ("--constraint", "error <= 10 %", "size <= 64 kB")
        message = self.refused(tmp_path, "search", "digits", *flags)
        assert "unexpected 'size <= 64 kB'; repeat a flag for several values" in message

    def test_typo_in_a_yaml_key(self, tmp_path):
        (tmp_path / "c.yaml").write_text("max_bugdet: 3\n")
        message = self.refused(tmp_path, "search", "digits", "--config", "c.yaml")
        assert "unknown setting 'max_bugdet' (did you mean 'max_budget'?)" in message

    def test_broken_yaml_names_file_and_line(self, tmp_path):
        (tmp_path / "c.yaml").write_text("seed: 1\ntrials: [1\n")
        assert "c.yaml line 3" in self.refused(tmp_path, "search", "digits", "--config", "c.yaml")

    @pytest.mark.parametrize("limits", ["[1, 4]", "[2, 9]", "12"])
    def test_weight_bits_out_of_range(self, tmp_path, limits):
        (tmp_path / "c.yaml").write_text(f"space: {{weight_bits: {limits}}}\n")
        message = self.refused(tmp_path, "search", "digits", "--model", "tiny", "--config", "c.yaml")
        assert "weight_bits" in message
        assert "2" in message
        assert "8" in message

    def test_typo_in_the_space(self, tmp_path):
        (tmp_path / "c.yaml").write_text("space: {weigth_bits: [2, 4]}\n")
        message = self.refused(tmp_path, "search", "digits", "--model", "tiny", "--config", "c.yaml")
        assert "did you mean 'weight_bits'?" in message

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("lst=8", "layers: 'lst' matches no convertible layer (nearest: 'last'"),
            ("feature.*=8", "layers: 'feature.*' matches no convertible layer (nearest: 'features.0'"),
            ("first=9", "layers.first: weight_bits 9: input should be less than or equal to 8"),
            (
                "first={weigth_bits: 3}",
                "layers.first: unknown setting 'weigth_bits' (did you mean 'weight_bits'?)",
            ),
            ("first", "layers 'first': expected NAME=FORMAT"),
        ],
    )
    def test_layers_that_are_not_there_and_formats_that_cannot_be(self, tmp_path, value, words):
        assert words in self.refused(tmp_path, "search", "digits", *FIVE, "--layers", value, "--out", "run")

    def test_the_papers_studies_take_layers_and_refuse_what_cannot_be(self, tmp_path):
        message = self.refused(tmp_path, "paper", "table-2", "--scale", "0.01", "--layers", "first=9")
        assert "layers.first: weight_bits 9" in message

    def test_layers_in_a_file_are_refused_with_its_name(self, tmp_path):
        (tmp_path / "c.yaml").write_text("layers: {last: flaot}\n")
        message = self.refused(tmp_path, "search", "digits", "--config", "c.yaml")
        assert "c.yaml: layers.last 'flaot': expected" in message

    @pytest.mark.parametrize(
        ("flag", "value"), [("--trials", "0"), ("--trials", "many"), ("--energy", "guessed"), ("--eta", "1")]
    )
    def test_value_out_of_range(self, tmp_path, flag, value):
        message = self.refused(tmp_path, "search", "digits", flag, value)
        assert flag.removeprefix("--") in message
        assert value in message

    @pytest.mark.parametrize(("flag", "value"), [("--seeds", "0"), ("--seeds", "-1"), ("--model", "tiny")])
    def test_what_the_papers_studies_do_not_take(self, tmp_path, flag, value):
        assert flag.removeprefix("--") in self.refused(tmp_path, "paper", flag, value)

    def test_unknown_region_is_refused_before_anything_runs(self, tmp_path):
        message = self.refused(tmp_path, "search", "digits", *FIVE, "--region", "Frankreich", "--out", "run")
        assert "Frankreich" in message

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (("--pue", "0.9"), "0.9"),
            (("--intensity", "lots"), "intensity 'lots': give g CO₂eq/kWh"),
            (("--intensity", "grid.csv"), "cannot read"),
        ],
    )
    def test_a_wrong_place_is_refused_before_anything_runs(self, tmp_path, flags, message):
        assert message in self.refused(tmp_path, "search", "digits", *FIVE, *flags, "--out", "run")
        assert message in self.refused(tmp_path, "measure", "tiny", *flags)

    def test_simulated_energy_without_a_country(self, tmp_path):
        message = self.refused(tmp_path, "search", "digits", "--energy", "simulated")
        assert "needs a country" in message

    def test_budgets_out_of_order(self, tmp_path):
        message = self.refused(tmp_path, "search", "digits", "--min-budget", "9", "--max-budget", "3")
        assert "min_budget 9 is above max_budget 3" in message

    def test_output_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        assert "file" in self.refused(tmp_path, "search", "digits", *FIVE, "--out", "file/run")

    def test_output_folder_with_other_files(self, tmp_path):
        picture(tmp_path / "photos" / "cat.png")
        message = self.refused(tmp_path, "search", "digits", *FIVE, "--out", "photos", "--fresh")
        assert "photos holds other files" in message
        assert (tmp_path / "photos" / "cat.png").exists()

    def test_status_and_report_of_no_run(self, tmp_path):
        for command in ("status", "report"):
            assert "nowhere is not a run" in self.refused(tmp_path, command, "nowhere")


class TestSearch:
    def test_it_prints_the_front_against_the_default_and_names_the_report(self, finished):
        _, done = finished
        assert "default" in done.stdout
        assert "modelled" in done.stdout
        assert "domina" in done.stdout
        assert str(Path("run", "report.html")) in done.stdout

    def test_the_run_directory_is_readable_without_the_package(self, finished):
        run, _ = finished
        rows = list(csv.DictReader(io.StringIO((run / "trials.csv").read_text())))
        assert [row["trial"] for row in rows] == ["1", "2", "3", "4", "5"]
        head = (
            "trial,bracket,rung,budget,seed,parent,status,error,accuracy,energy_j,energy_source,energy_kind"
        )
        assert (run / "trials.csv").read_text().startswith(head)
        assert rows[0]["budget"] == "3"
        assert rows[0]["shift_depth"] == str(json.loads((run / "env.json").read_text())["max_depth"])
        assert {row["energy_source"] for row in rows if row["status"] == "done"} == {"modelled"}
        for name in (
            "config.yaml",
            "env.json",
            "trials.jsonl",
            "front.csv",
            "front.png",
            "report.html",
            "run.log",
            "smac3",
        ):
            assert (run / name).exists(), name

    def test_objectives_limits_fidelity_and_stop_rules_from_the_command_line(self, tmp_path):
        goal = ["--objectives", "error", "--objectives", "energy_j", "--objectives", "size_bytes"]
        goal += ["--constraint", "error <= 99 %", "--constraint", "size <= 8 kB"]
        words = [*QUICK, *goal, "--trials", "9", "--threads", "1", "--out", "run"]
        words += ["--fidelity", "train_fraction", "--stop-epochs", "8", "--trial-timeout-s", "60"]
        done = jouleshift("search", "digits", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "the constraints rule out: " in done.stdout
        rows = list(csv.DictReader((tmp_path / "run" / "trials.csv").open()))
        assert len(rows) < 9, "8 epochs are spent before"
        finished = [row for row in rows if row["status"] == "done" and row["budget"] == "3"]
        assert finished
        for row in finished:
            assert ("size <= 8 kB" in row["breaks"]) == (int(row["size_bytes"]) > 8000)

    def test_the_same_command_again_does_nothing_new(self, finished):
        run, _ = finished
        before = (run / store.JOURNAL).read_bytes()
        done = jouleshift("search", "digits", *FIVE, "--out", "run", cwd=run.parent)
        assert done.returncode == 0
        assert "continuing, 5 of 5 trials done" in done.stdout
        assert (run / store.JOURNAL).read_bytes() == before

    def test_the_same_seed_gives_the_same_trials_and_files(self, finished, tmp_path):
        run, _ = finished
        jouleshift("search", "digits", *FIVE, "--out", "run", cwd=tmp_path)
        assert trials(tmp_path / "run") == trials(run)

        def without_times(path: Path) -> list[dict]:
            rows = csv.DictReader(io.StringIO(path.read_text()))
            return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]

        for name in ("trials.csv", "front.csv"):
            assert without_times(tmp_path / "run" / name) == without_times(run / name)
        assert (tmp_path / "run" / "config.yaml").read_bytes() == (run / "config.yaml").read_bytes()

    def test_a_changed_configuration_is_refused_with_the_difference_and_fresh_keeps_the_old_run(
        self, finished, tmp_path
    ):
        jouleshift("search", "digits", *QUICK, "--trials", "2", "--out", "run", cwd=tmp_path)
        changed = ("search", "digits", *QUICK, "--trials", "2", "--out", "run", "--seed", "7")
        done = jouleshift(*changed, cwd=tmp_path)
        assert done.returncode == 2
        assert "seed: 0 → 7" in done.stderr
        assert "--fresh" in done.stderr
        done = jouleshift(*changed, "--fresh", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(store.read_run(tmp_path / "run.1").trials) == 2
        assert store.read_run(tmp_path / "run").config["seed"] == 7

    def test_status_tells_what_is_done_and_the_front(self, finished):
        run, _ = finished
        done = jouleshift("status", run, cwd=run.parent)
        assert done.returncode == 0, done.stderr
        assert "5 of 5" in done.stdout

    def test_report_redraws_emissions_for_another_region_without_a_run(self, finished):
        run, _ = finished
        done = jouleshift("report", run, "--region", "1000g", "--out", run / "elsewhere", cwd=run.parent)
        assert done.returncode == 0, done.stderr
        row = next(csv.DictReader(io.StringIO((run / "elsewhere" / "trials.csv").read_text())))
        assert float(row["emissions_g"]) == pytest.approx(float(row["energy_j"]) / 3600, rel=1e-9)

    def test_pue_and_an_own_intensity_are_recorded_beside_the_figure(self, finished):
        run, _ = finished
        flags = ("--intensity", "35", "--pue", "1.2", "--out", run / "own")
        done = jouleshift("report", run, *flags, cwd=run.parent)
        assert done.returncode == 0, done.stderr
        row = next(csv.DictReader(io.StringIO((run / "own" / "trials.csv").read_text())))
        assert (float(row["g_per_kwh"]), float(row["pue"])) == (35.0, 1.2)
        assert float(row["emissions_g"]) == pytest.approx(float(row["energy_j"]) / 3.6e6 * 35 * 1.2, rel=1e-9)
        told = "35 g CO₂eq/kWh (unnamed place; given by the user) × PUE 1.2"
        assert told in (run / "own" / "report.html").read_text()
        done = jouleshift("report", run, "--pue", "0.5", cwd=run.parent)
        assert done.returncode == 2 and "pue 0.5" in done.stderr

    def test_a_file_through_time_gives_its_mean_and_the_greenest_start(self, finished):
        run, _ = finished
        hours = "time,g_per_kwh\n2026-05-01T00:00Z,300\n2026-05-01T06:00Z,100\n2026-05-01T12:00Z,200\n"
        (run.parent / "grid.csv").write_text(hours)
        done = jouleshift("report", run, "--intensity", "grid.csv", "--out", run / "hours", cwd=run.parent)
        assert done.returncode == 0, done.stderr
        assert "emits least when it starts at 2026-05-01 06:00+00:00" in done.stdout
        row = next(csv.DictReader(io.StringIO((run / "hours" / "trials.csv").read_text())))
        assert float(row["g_per_kwh"]) == pytest.approx(200)

    def test_the_place_of_a_search_is_in_its_settings_and_may_change(self, finished, tmp_path):
        run, _ = finished
        shutil.copytree(run, tmp_path / "run")
        place = ("--region", "FRA", "--intensity", "35", "--pue", "1.5")
        done = jouleshift("search", "digits", *FIVE, *place, "--out", "run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        config = store.read_run(tmp_path / "run").config
        assert (config["region"], config["intensity"], config["pue"]) == ("FRA", 35.0, 1.5)
        for again in ((), ("--intensity", "70")):
            done = jouleshift("report", "run", *again, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            row = next(csv.DictReader(io.StringIO((tmp_path / "run" / "trials.csv").read_text())))
            assert (row["region"], float(row["pue"])) == ("FRA", 1.5)
            assert float(row["g_per_kwh"]) == (70.0 if again else 35.0)
        done = jouleshift("compare", "run", run, "--pue", "1.1", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        row = next(csv.DictReader(io.StringIO((tmp_path / f"run-vs-{run.name}" / "compare.csv").read_text())))
        assert (float(row["g_per_kwh"]), float(row["pue"])) == (35.0, 1.1)

    def test_a_run_is_written_for_other_tools_and_an_unknown_one_is_refused(self, finished):
        run, _ = finished
        done = jouleshift("report", run, "--also", "parquet", "--also", "deepcave", cwd=run.parent)
        assert done.returncode == 0, done.stderr
        assert pq.read_table(run / "trials.parquet").num_rows == 5
        assert (run / "deepcave" / "configspace.csv").exists()
        done = jouleshift("report", run, "--also", "parket", cwd=run.parent)
        assert done.returncode == 2
        assert "did you mean 'parquet'?" in done.stderr


def test_a_run_named_twice_and_a_run_without_its_journal_are_refused(finished, tmp_path):
    run, _ = finished
    done = jouleshift("report", run, run, "--out", tmp_path / "two", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "named twice" in done.stderr
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / store.JOURNAL).unlink()
    before = (tmp_path / "run" / "trials.csv").read_bytes()
    for command in (("report", "run"), ("status", "run"), ("search", "digits", *FIVE, "--out", "run")):
        done = jouleshift(*command, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert f"has lost {store.JOURNAL}" in done.stderr
    assert (tmp_path / "run" / "trials.csv").read_bytes() == before
    shutil.copy(run / store.JOURNAL, tmp_path / "run")
    (tmp_path / "run" / store.ENVIRONMENT).write_text("{")
    done = jouleshift("search", "digits", *FIVE, "--out", "run", cwd=tmp_path)
    assert done.returncode == 2 and "cannot read" in done.stderr


def test_a_run_begun_on_another_machine_goes_on_and_says_so(finished, tmp_path):
    run, _ = finished
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / store.ENVIRONMENT
    begun = json.loads(path.read_text())
    path.write_text(json.dumps({**begun, "cpu": "Abacus"}))
    done = jouleshift("search", "digits", *QUICK, "--trials", "6", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"changed since this run began: processor: Abacus → {begun['cpu']}" in done.stdout
    path.write_text('{"a": 1}')
    done = jouleshift("report", "run", "--also", "smac3", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "max_depth" in done.stderr


def test_images_that_changed_since_a_run_began_are_refused(tmp_path):
    for number in range(60):
        picture(tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png", 4 * number)
    flags = ("--model", "tiny", "--max-budget", "1", "--scheduler", "random", "--out", "run")
    assert jouleshift("search", "photos", *flags, "--trials", "1", cwd=tmp_path).returncode == 0
    for number in range(60, 80):
        picture(tmp_path / "photos" / "cat" / f"{number}.png", number)
    done = jouleshift("search", "photos", *flags, "--trials", "2", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "the images of" in done.stderr and "--fresh" in done.stderr


def test_images_that_are_left_out_are_told_and_recorded(tmp_path):
    for number in range(60):
        picture(tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png", 4 * number)
    for number in range(0, 60, 4):
        (tmp_path / "photos" / "cat" / f"{number}.png").write_bytes(b"")
    flags = ("--model", "tiny", "--max-budget", "1", "--trials", "1", "--on-corrupt", "skip", "--out", "run")
    done = jouleshift("search", "photos", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    skipped = store.read_run(tmp_path / "run").env["images"]["skipped"]
    assert f"note: {len(skipped)} unreadable images left out: {skipped[0]}; " in done.stdout


def test_a_folder_of_pictures_is_searched_from_python(tmp_path):
    for label in range(2):
        for number in range(30):
            picture(tmp_path / "photos" / f"colour{label}" / f"{number}.png", 200 * label + number)
    script = (
        "import jouleshift as js\n"
        "run = js.search('photos/', model='tiny', trials=2, max_budget=3, scheduler='random', out='run')\n"
        "print(run.front[0].result.accuracy, run.report)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == str(Path("run", "report.html"))
    assert float(done.stdout.split()[0]) >= 0.5


class TestInterruption:
    @pytest.mark.parametrize(
        "how",
        [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
        ids=lambda s: s.name,
    )
    def test_stopped_at_any_moment_and_continued_equals_the_straight_run(self, finished, tmp_path, how):
        command = [sys.executable, "-m", "jouleshift", "search", "digits", *FIVE, "--out", "run"]
        journal = tmp_path / "run" / store.JOURNAL
        for wanted in (1, 4, 7):
            process = subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if journal.exists() and journal.read_bytes().count(b"\n") >= wanted:
                    time.sleep(0.3 + 0.05 * wanted)
                    process.send_signal(how)
                    break
                time.sleep(0.01)
            _, stderr = process.communicate(timeout=60)
            if how != signal.SIGKILL and process.returncode != 0:
                assert process.returncode == 130, stderr
                assert stderr.count("\n") == 1
                assert "the same command continues" in stderr
        done = jouleshift("search", "digits", *FIVE, "--out", "run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert trials(tmp_path / "run") == trials(finished[0])
        asked = [e.trial.id for e in read_events(journal)[0] if isinstance(e, Asked)]
        answered = [e.trial_id for e in read_events(journal)[0] if isinstance(e, Finished)]
        assert asked == answered == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            ("search", "interrupted; finished trials are kept, the same command continues\n"),
            ("report", "interrupted\n"),
        ],
    )
    def test_an_interruption_inside_code_made_from_text_ends_like_any_other(self, tmp_path, command, said):
        """As while a dataclass is made, when `python -m` would end with the signal, not the exit code."""
        (tmp_path / "interrupted.py").write_text(
            "import jouleshift.__main__ as entry, jouleshift.cli as cli\n"
            "def run(): exec('raise KeyboardInterrupt')\n"
            "cli.run = run\n"
            "entry.main()\n"
        )
        words = [sys.executable, "-m", "interrupted", command]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (130, said)

    def test_a_command_in_the_background_of_a_script_ends_on_request(self, tmp_path):
        """Scripts let what they start with `&` ignore SIGINT."""
        words = [sys.executable, "-m", "jouleshift", "search", "digits", *FIVE, "--out", "run"]
        script = f"{shlex.join(words)} & until test -s run/trials.jsonl; do sleep 0.1; done; kill $!; wait $!"
        done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 130, done.stderr
        assert "the same command continues" in done.stderr

    def test_an_interruption_that_a_library_turned_into_an_error_is_one(self, monkeypatch):
        """As when the signal comes while a module written in C is being loaded."""

        def loading(**_):
            raise ImportError("initialization failed") from KeyboardInterrupt()

        monkeypatch.setattr(cli, "app", loading)
        with pytest.raises(KeyboardInterrupt):
            cli.run()

    def test_more_trials_asked_for_later_equal_a_run_that_asked_at_once(self, finished, tmp_path):
        for number in ("2", "5"):
            done = jouleshift("search", "digits", *QUICK, "--trials", number, "--out", "run", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        assert trials(tmp_path / "run") == trials(finished[0])

    def test_other_workers_and_threads_may_continue_a_run(self, finished, tmp_path):
        for number, workers in (("2", "1"), ("4", "2")):
            options = ("--trials", number, "--workers", workers, "--out", "run")
            done = jouleshift("search", "digits", *QUICK, *options, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        assert len(store.read_run(tmp_path / "run").trials) == 4

    def test_no_worker_survives_a_killed_search(self, tmp_path):
        import psutil

        command = [sys.executable, "-m", "jouleshift", "search", "digits", *FIVE, "--out", "run"]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        children: list[psutil.Process] = []
        while not children:
            children = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []


def test_a_trial_out_of_memory_fails_and_the_search_goes_on(tmp_path):
    done = jouleshift(
        "search", "digits", *QUICK, "--trials", "2", "--trial-memory-mb", "64", "--out", "run", cwd=tmp_path
    )
    assert [record.result.kind for record in store.read_run(tmp_path / "run").trials] == ["out-of-memory"] * 2
    assert done.returncode == 2, "there is no network for whatever comes next in a script"
    line = "jouleshift: run: no trial has succeeded, the last one failed with out-of-memory"
    assert [said.startswith(line) for said in done.stderr.strip().splitlines()] == [True]
    assert "2 failed, the last with out-of-memory" in done.stdout
    assert (tmp_path / "run" / "report.html").exists()


def test_help_lists_no_flag_that_is_refused_and_no_default_that_is_false(tmp_path):
    shown = jouleshift("paper", "--help", cwd=tmp_path).stdout
    assert not {"--model", "--seed", "--space", "--data"} & set(shown.split())
    for false in ("runs/DATA-MODEL", "[default: 60]", "[default: mo-hyperband]"):
        assert false not in shown
    assert "about a minute" in " ".join(jouleshift("demo", "--help", cwd=tmp_path).stdout.split())


def test_doctor_reports_and_ends_well(tmp_path):
    done = jouleshift("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("CPU", "CUDA", "torch", "smac"):
        assert word in done.stdout


def test_layers_by_flags_replace_those_of_the_file_and_are_in_the_run(tmp_path):
    (tmp_path / "c.yaml").write_text("layers: {first: 4}\nenergy: modelled\n")
    flags = (
        "--layers",
        "first=8",
        "--layers",
        "last=float",
        "--layers",
        "features.*={weight_bits: 3, kind: Q}",
    )
    command = ("search", "digits", *QUICK, "--trials", "2", "--config", "c.yaml", "--out", "run", *flags)
    done = jouleshift(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    read = store.read_run(tmp_path / "run")
    formats = {"first": 8, "last": "float", "features.*": {"weight_bits": 3, "kind": "Q"}}
    assert list(read.config["layers"].items()) == list(formats.items())
    assert jouleshift(*command, cwd=tmp_path).returncode == 0
    other = jouleshift(*command[:-2], "--layers", "features.*=3", cwd=tmp_path)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "begun with other settings (layers: " in other.stderr


def test_a_space_narrowed_by_a_flag_is_all_that_is_searched_and_ends_when_it_is_exhausted(tmp_path):
    space = "{weight_bits: [3, 4], optimizer: Adam, shift_type: Q, rounding: deterministic, shift_depth: 2, "
    space += "batch_size: 64, learning_rate: 0.01, momentum: 0.9, weight_decay: 1e-4, "
    space += "activation_integer_bits: 4, activation_fraction_bits: 4}"
    command = (
        "search",
        "digits",
        *QUICK,
        "--trials",
        "9",
        "--scheduler",
        "random",
        "--space",
        space,
        "--out",
        "run",
    )
    done = jouleshift(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no further configuration" in done.stdout
    assert [r.trial.config["weight_bits"] for r in store.read_run(tmp_path / "run").trials] == [4, 3]
