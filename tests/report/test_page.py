import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jouleshift.analysis.digest import digest
from jouleshift.errors import BadInput
from jouleshift.records import CarbonIntensity, Failure, TrialRecord
from jouleshift.report.export import write_files, write_report
from jouleshift.report.figures import front_png
from jouleshift.report.html import page
from jouleshift.report.markup import Markup, element, json_script
from tests.analysis.synthetic import evaluation, hyperband_run, record, run_of

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")
HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028&amp;\"'"


def test_everything_that_is_not_markup_is_escaped():
    made = element("p", "<i>", [Markup("<b>"), "&"], title='"><script>', hidden=True, id=None, class_="a")
    assert made == '<p title="&quot;&gt;&lt;script&gt;" hidden class="a">&lt;i&gt;<b>&amp;</p>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_json_in_a_script_cannot_end_it_and_reads_back():
    text = json_script({"name": HOSTILE})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": HOSTILE}
    with pytest.raises(ValueError, match="JSON"):
        json_script(float("nan"))


def hostile_run(tmp_path: Path):
    reading = evaluation(0.3, 2e-9, origin=HOSTILE, flags=(HOSTILE,), components={HOSTILE: 2e-9})
    return run_of(
        record(1, 0.4, 4e-9, bracket=-1, config={"optimizer": HOSTILE, HOSTILE: 1}),
        TrialRecord(record(2).trial, reading, 1.0),
        record(3, failure=Failure("crashed", HOSTILE)),
        path=tmp_path / "run <script>alert(3)<!--",
        data=HOSTILE,
        classes=[HOSTILE],
    )


def test_hostile_text_appears_only_escaped(tmp_path):
    text = page(digest([hostile_run(tmp_path)]), CarbonIntensity(1.0, HOSTILE, None, HOSTILE), HOSTILE)
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)  # what remains is ours, and the data
    assert "alert(1)" in own
    assert "<script>alert" not in own
    assert "<img" not in own
    assert own.count("<script") == 1
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', own, re.S)
    assert HOSTILE in [column["name"] for column in json.loads(data.group(1))["config"]]


def test_scripts_run_only_by_their_hash():
    text = page(digest([hyperband_run(20)]), WORLD, "x")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert policy.count("sha256-") == 3
    assert "default-src &#x27;none&#x27;" in policy


def test_nothing_is_loaded_from_elsewhere():
    text = page(digest([hyperband_run(20)]), WORLD, "x")
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!#|front\.csv|trials\.csv|front\.png|tables/\w+\.csv)[^"]*"', own)
    assert "http" not in re.sub("http-equiv", "", own)


RUNS = {
    "no trial": run_of(),
    "one running": run_of(record(1, bracket=-1)),
    "only failures": run_of(
        record(1, bracket=-1, failure=Failure("crashed", "x")),
        record(2, failure=Failure("timeout", "y" * 900)),
    ),
    "only the default": run_of(record(1, 0.4, 4e-9, bracket=-1)),
    "only lower budgets": run_of(record(1, 0.4, 4e-9, budget=1)),
    "one point without a default": run_of(record(1, 0.4, 4e-9)),
    "no energy": run_of(TrialRecord(record(1, bracket=-1).trial, evaluation(0.4, None), 1.0)),
    "zero energy": run_of(record(1, 0.4, 0.0, bracket=-1), record(2, 0.3, 0.0)),
    "equal points": run_of(record(1, 0.4, 1.0, bracket=-1), record(2, 0.4, 1.0)),
    "no configuration, no environment": run_of(record(1, 0.4, 1.0)),
    "usual": hyperband_run(60),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_report_of_any_run(name, tmp_path):
    made = write_report([RUNS[name]], WORLD, tmp_path / "out")
    assert made == tmp_path / "out" / "report.html"
    assert sorted(p.name for p in made.parent.iterdir()) == [
        "front.csv",
        "front.png",
        "report.html",
        "tables",
        "trials.csv",
    ]
    assert made.stat().st_size < 6_000_000
    linked = re.findall(r'href="(tables/[^"]+)"', made.read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(f"tables/{p.name}" for p in (made.parent / "tables").iterdir())
    assert len((made.parent / "trials.csv").read_text().splitlines()) == 1 + len(RUNS[name].trials)
    Image.open(made.parent / "front.png").verify()


def test_several_runs_in_one_report(tmp_path):
    runs = [hyperband_run(60, seed=s, path=tmp_path / f"seed{s}") for s in range(3)]
    made = write_report(runs, WORLD)
    assert made.parent.parent == tmp_path
    assert made.parent.name.startswith("seed0-and-2-more-")
    lines = (made.parent / "trials.csv").read_text().splitlines()
    assert lines[0].startswith("run,trial,")
    assert len(lines) == 181


def test_another_set_of_runs_does_not_overwrite_a_report(tmp_path):
    one, two, three = (
        run_of(record(1, 0.4, 4e-9, bracket=-1), path=tmp_path / f"seed{s}", seed=s) for s in range(3)
    )
    made = write_report([one, two], WORLD, form="light")
    assert write_report([one, three], WORLD, form="light") != made
    assert write_report([one, two], WORLD, form="light") == made
    assert "The runs differ in seed: 0 | 1." in made.read_text(encoding="utf-8")


def test_settings_that_say_nothing_and_raw_records_are_left_out():
    run = run_of(record(1, 0.4, 4e-9, bracket=-1), constraint=[], pue=0.0)
    run = replace(run, env={**run.env, "search_energy": [{"energy_j": 1.0}]})
    text = page(digest([run]), WORLD, "a run")
    assert "<dt>pue</dt>" in text
    assert "<dt>constraint</dt>" not in text and "<dt>search energy</dt>" not in text


def test_a_verified_run_says_each_thing_once_and_where_its_joules_come_from():
    run = run_of(record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-7, config={"weight_bits": 3}))
    run = replace(run, path=Path("runs/two words"))
    again = tuple(replace(r, trial=replace(r.trial, seed=1000)) for r in run.trials)
    text = page(digest([replace(run, verified=again)]), WORLD, "a run")
    assert text.count("judged on test images") == 1
    assert "on the front dominate the default configuration, as the search saw it" in text
    section = text[text.index("The front, verified") : text.index('<h2 id="front">')]
    assert "modelled energy, computed, not measured: " in section
    figures = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))["figures"]
    assert figures["verified-plot"]["layout"]["xaxis"]["type"] == "log", "as the front itself"
    assert "jouleshift export 'runs/two words' --pick TRIAL --format onnx" in text


def test_the_same_run_gives_the_same_bytes(tmp_path):
    run = hyperband_run(40)
    first, second = write_report([run], WORLD, tmp_path / "a"), write_report([run], WORLD, tmp_path / "b")
    for name in ("trials.csv", "front.csv", "front.png", "report.html"):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()


def test_picture_stands_dollar_signs_and_long_origins():
    run = run_of(TrialRecord(record(1).trial, evaluation(0.5, 1e-9, origin="$x_1$ \\frac{" * 40), 1.0))
    image = Image.open(io.BytesIO(front_png(digest([run]), "$\\bad{ title_$")))
    assert image.size[0] >= 1000


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(BadInput, match=r"cannot write the report into .*file.*--out"):
        write_report([hyperband_run(20)], WORLD, blocked)


def test_no_space_leaves_the_old_file_whole(tmp_path, monkeypatch):
    (tmp_path / "trials.csv").write_bytes(b"old")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write_files(tmp_path, {"trials.csv": b"new"})
    assert (tmp_path / "trials.csv").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


def test_the_cost_of_the_search_is_shown_where_every_part_of_it_is_known():
    sessions = [{"energy_j": 1800.0, "kind": "estimated", "origin": "time × 10 W stated"}] * 2
    view = digest([replace(hyperband_run(20), env={"search_energy": sessions})])
    assert "3.60 kJ (estimated: time × 10 W stated)" in page(view, WORLD, "x")
    assert "450 mg CO₂eq" in page(view, WORLD, "x")
    holed = digest([replace(hyperband_run(20), env={"search_energy": [*sessions, {"energy_j": None}]})])
    assert "not measured on this machine" in page(holed, WORLD, "x")
