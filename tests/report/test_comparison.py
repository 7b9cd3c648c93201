import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from jouleshift import store
from jouleshift.commands.results import compare
from jouleshift.errors import BadInput
from jouleshift.records import CarbonIntensity, TrialRecord
from jouleshift.report.comparison import comparison_in_words, comparison_table, side_by_side, write_comparison
from jouleshift.report.export import write_report
from tests.analysis.synthetic import evaluation, hyperband_run, record, run_of
from tests.toys import write_run

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")


def printed(sides):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison_table(sides))
    return console.export_text()


GOOD = run_of(record(1, 0.4, 2.0, bracket=-1), record(2, 0.2, 1.0), path=Path("runs/good"))
POOR = run_of(
    record(1, 0.4, 2.0, bracket=-1), record(2, 0.2, 2.0), record(3, 0.3, 1.0), path=Path("runs/poor")
)


def test_hypervolumes_share_one_box_and_coverage_says_who_is_ahead():
    good, poor = side_by_side([GOOD, POOR])
    assert good.hypervolume == pytest.approx(0.8 * 1.0 / (1.0 * 2.0))
    assert poor.hypervolume == pytest.approx(0.7 * 1.0 / 2.0)  # (0.2, 2.0) lies on the box's edge
    assert (good.covered, poor.covered) == (0.0, 1.0)
    words = comparison_in_words((good, poor))
    assert words.startswith("good has the larger hypervolume, 0.400 against 0.350.")
    assert "dominates or equals all" in words
    same = comparison_in_words(side_by_side([GOOD, GOOD]))
    assert same == "Both fronts have the same hypervolume, 0.400. They are the same."


def test_of_fronts_on_the_edge_of_the_box_coverage_says_which_is_better():
    """Single networks of the largest energy there is, whatever their error."""
    good, poor, other = (
        run_of(record(1, error, energy_j), path=Path(name))
        for name, error, energy_j in (("good", 0.1, 2.0), ("poor", 0.9, 2.0), ("other", 1.0, 1.0))
    )
    same = "Both fronts have the same hypervolume, 0.000."
    better = f"{same} The front of good dominates or equals all of the other one."
    assert comparison_in_words(side_by_side([good, poor])) == better
    assert comparison_in_words(side_by_side([poor, good])) == better
    assert comparison_in_words(side_by_side([good, other])) == f"{same} Neither front is better everywhere."


def test_files_hold_both_fronts(tmp_path):
    runs = [hyperband_run(60, seed=s, path=tmp_path / f"seed-{s}") for s in (0, 1)]
    sides = side_by_side(runs)
    write_comparison(sides, WORLD, tmp_path / "both")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "both" / "compare.csv").read_text())))
    assert [row["run"] for row in rows] == ["seed-0"] * len(sides[0].front) + ["seed-1"] * len(sides[1].front)
    assert Image.open(tmp_path / "both" / "compare.png").size == (1280, 832)


def test_other_energy_sources_and_runs_without_a_front_are_refused():
    measured = run_of(
        TrialRecord(GOOD.trials[0].trial, evaluation(0.3, 1.0, source="deployed", kind="measured"), 1.0),
        path=Path("runs/measured"),
    )
    with pytest.raises(BadInput, match="cannot share a front"):
        side_by_side([GOOD, measured])
    with pytest.raises(BadInput, match="continue its search"):
        side_by_side([GOOD, replace(POOR, trials=POOR.trials[:0])])
    unkept = [replace(run, config={**run.config, "constraint": ["error <= 1 %"]}) for run in (GOOD, POOR)]
    with pytest.raises(BadInput, match="good: no network keeps error <= 1 %, of 2 trials"):
        side_by_side(unkept)


def test_the_settings_that_differ_are_told_a_line_each(tmp_path):
    other = replace(
        POOR, config={**POOR.config, "model": "resnet20", "trials": 9, "space": {"momentum": 0.5}}
    )
    good = replace(GOOD, config={**GOOD.config, "space": {}, "eta": 3})
    text = printed(side_by_side([good, other]))
    assert text.endswith("settings that differ:\n  model: tiny | resnet20\n  space: {} | {'momentum': 0.5}\n")
    assert "profile asic-45nm" in text, "where the joules come from"
    assert "The runs have the same settings." in printed(side_by_side([GOOD, POOR]))


def test_joules_of_other_profiles_and_errors_on_other_classes_are_refused():
    asic, core = (
        replace(GOOD, config={**GOOD.config, "profile": name}) for name in ("asic-45nm", "cortex-m4")
    )
    with pytest.raises(BadInput, match="profiles asic-45nm and cortex-m4 cannot be compared"):
        side_by_side([asic, core])
    cats, dogs = (replace(GOOD, env={"classes": [name, "bird"]}) for name in ("cat", "dog"))
    with pytest.raises(BadInput, match="different classes"):
        side_by_side([cats, dogs])


def test_runs_of_the_same_name_are_told_apart_by_their_path():
    sides = side_by_side([GOOD, replace(POOR, path=Path("other/good"))])
    assert [side.name for side in sides] == ["runs/good", "other/good"]


def test_a_run_named_by_a_dot_is_written_beside_like_any_other(tmp_path, monkeypatch, capsys):
    for name, run in (("good", GOOD), ("poor", POOR)):
        write_run(tmp_path / name, *run.trials)
    monkeypatch.chdir(tmp_path / "good")
    before = sorted(Path().iterdir())
    compare(Path(), Path("../poor"))
    assert sorted(Path().iterdir()) == before, "nothing lands in the run itself"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "good-vs-poor", "poor"]
    assert "good has the larger hypervolume" in capsys.readouterr().out
    both = write_report([store.read_run(Path(path)) for path in (".", "../poor")], WORLD, form="light")
    assert both.parent.parent == tmp_path and both.parent.name.startswith("good-and-1-more-")
    alone = write_report([store.read_run(Path())], WORLD, form="light").read_text(encoding="utf-8")
    assert "<h1>good: " in alone
    assert "jouleshift export . --pick TRIAL" in alone
    assert str(tmp_path) not in alone + both.read_text(encoding="utf-8")
