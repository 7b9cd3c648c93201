"""The numbers behind the figures: as CSV beside the page, and as tables in it."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from jouleshift.analysis.digest import digest
from jouleshift.analysis.thinning import evenly
from jouleshift.report import numbers
from jouleshift.report.export import write_report
from jouleshift.report.html import page
from jouleshift.report.insight import Insight, insight
from jouleshift.report.sheet import Sheet, below, table
from tests.analysis.synthetic import hyperband_run, record, run_of, sample_config
from tests.report.test_browser import layered
from tests.report.test_page import WORLD

MEMBERS = (layered(1, 4e-9, bracket=-1), layered(2, 6e-9), layered(3, 2e-9, config={"weight_bits": 3}))


def deep(*runs):
    view = digest(runs)
    return view, insight(view, trees=4)


def rows(sheet):
    assert sheet is not None
    return [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]


@pytest.fixture(scope="module")
def two_runs():
    return deep(hyperband_run(120), hyperband_run(120, seed=1))


def test_every_sheet_is_a_file_with_its_columns(two_runs, tmp_path):
    view, found = two_runs
    write_report(view.runs, WORLD, tmp_path)
    written = {p.stem: next(csv.reader(p.open())) for p in (tmp_path / "tables").iterdir()}
    assert set(written) == set(numbers.NAMES) - {"layers"}, "these runs know no layers"
    made = {sheet.name: list(sheet.columns) for sheet in numbers.sheets(view, found, WORLD)}
    assert written == made
    assert not list(tmp_path.rglob("*.part"))


def test_runs_in_folders_of_one_name_are_told_apart_in_every_file(tmp_path):
    runs = [run_of(*map(replace, MEMBERS), path=tmp_path / place / "r") for place in "xy"]
    runs = [replace(run, verified=run.trials[:1]) for run in runs]
    written = write_report(runs, WORLD, tmp_path / "both")
    names = ["x/r", "y/r"]
    for name in ("trials.csv", "front.csv", "verified.csv", "tables/cost.csv", "tables/causes.csv"):
        found = [row["run"] for row in csv.DictReader((tmp_path / "both" / name).open(newline=""))]
        assert sorted(set(found)) == names, name
    text = written.read_text(encoding="utf-8")
    assert "<h1>x/r + y/r: digits, tiny</h1>" in text
    assert all(f"Settings of {name}<" in text for name in names)
    assert '"runs": ["x/r", "y/r"]' in text or '"runs":["x/r","y/r"]' in text
    assert set(re.findall(r"1 \(([^)]+)\)", text)) >= set(names), "in the tables"
    assert str(tmp_path) not in text


def test_files_that_no_longer_apply_go_and_others_stay(tmp_path):
    write_report([run_of(*MEMBERS)], WORLD, tmp_path, "light")
    mine = tmp_path / "tables" / "mine.csv"
    mine.write_text("kept")
    assert {"layers.csv", "causes.csv"} <= {p.name for p in mine.parent.iterdir()}
    write_report([run_of()], WORLD, tmp_path, "light")
    assert sorted(p.name for p in mine.parent.iterdir()) == ["cost.csv", "mine.csv"]


def test_a_live_report_has_the_tables_that_its_page_links(tmp_path):
    made = write_report([hyperband_run(60)], WORLD, tmp_path, "live")
    linked = set(re.findall(r'href="tables/([^"]+)"', made.read_text(encoding="utf-8")))
    assert (
        linked
        == {p.name for p in (tmp_path / "tables").iterdir()}
        == {"causes.csv", "cost.csv", "curves.csv"}
    )


def test_importance_has_main_effects_and_pairs_with_mean_and_sd(two_runs):
    _, found = two_runs
    known = found.importance
    table = rows(numbers.importance(known))
    alone = {row["hyperparameter"]: row for row in table if row["with"] is None}
    effects = {e.names[0]: e for e in known.error.main_effects()}
    assert {n: (r["error_share"], r["error_share_sd"]) for n, r in alone.items()} == {
        n: (e.mean, e.sd) for n, e in effects.items()
    }
    together = {(r["hyperparameter"], r["with"]): r["energy_share"] for r in table if r["with"]}
    assert together == {e.names: e.mean for e in known.energy.pair_effects()}


def test_marginals_and_weights_are_those_of_the_forest(two_runs):
    _, found = two_runs
    known = found.importance
    curve = known.energy.curve("weight_bits")
    mine = [r for r in rows(numbers.marginals(known)) if r["hyperparameter"] == "weight_bits"]
    assert [r["value"] for r in mine] == list(curve.values)
    assert [r["energy_j"] for r in mine] == list(curve.mean)
    weights = rows(numbers.weights(known))
    forests, front = ([r for r in weights if r["of_the_front"] == mark] for mark in ("", "yes"))
    assert [r["weight_on_error"] for r in forests] == pytest.approx(np.linspace(0, 1, 11))
    assert [r["weight_on_error"] for r in front] == pytest.approx(sorted(known.front_weights), abs=1e-6)
    energy = next(e.mean for e in known.energy.main_effects() if e.names == ("weight_bits",))
    assert weights[0]["share_of_weight_bits"] == energy


def test_energy_by_cause_and_layer_adds_up():
    view = digest([run_of(*MEMBERS)])
    causes = rows(numbers.causes(view))
    assert [(r["trial"], r["role"]) for r in causes] == [(3, "front"), (1, "default")]
    assert all(r["adds_j"] + r["shifts_j"] == pytest.approx(r["energy_j"]) for r in causes)
    by_layer = rows(numbers.layers(view))
    assert [r["layer"] for r in by_layer if r["trial"] == 3] == ["conv1", "linear", "linear"]
    assert sum(r["energy_j"] for r in by_layer if r["trial"] == 1) == pytest.approx(4e-9)


def test_curves_have_every_epoch_of_every_trial_and_the_page_their_spread():
    view = digest([hyperband_run(60)])
    epochs = [(p.record.trial.id, e) for p in view.points for e in getattr(p.record.result, "curve", ())]
    curves = rows(numbers.curves(view))
    assert [(r["trial"], r["epoch"], r["error"]) for r in curves] == [
        (t, e.epoch, e.val_error) for t, e in epochs
    ]
    ends = [r["error"] for r in curves if r["budget_epochs"] == r["epoch"] == 9]
    last = rows(numbers.rungs(view))[-1]
    assert (last["budget_epochs"], last["epoch"], last["trials"]) == (9, 9, len(ends))
    assert (last["lowest_error"], last["highest_error"]) == (min(ends), max(ends))


def test_surfaces_paths_and_progress_of_several_runs(two_runs):
    view, found = two_runs
    corners = [
        (r["error"], r["energy_j"]) for r in rows(numbers.attainment(found)) if r["surface"] == "median"
    ]
    assert np.array(corners) == pytest.approx(found.attainment.median)
    path = found.paths[0]
    assert [r["hyperparameter"] for r in rows(numbers.paths(view, found))][: len(path)] == [
        s.name for s in path
    ]
    progress = rows(numbers.progress(view, found))
    assert [r["hypervolume"] for r in progress] == list(found.progress.median)
    assert all(r["hypervolume_lower_quartile"] <= r["hypervolume_upper_quartile"] for r in progress)
    assert (progress[0]["up_to_error"], progress[0]["up_to_energy_j"]) == found.reference


def test_cost_has_a_row_a_run_and_no_zero_for_what_was_not_measured():
    measured = {"energy_j": 1800.0, "kind": "estimated", "origin": "time × 10 W stated"}
    one = replace(hyperband_run(20), env={"search_energy": [measured] * 2})
    table = rows(numbers.cost(digest([one, hyperband_run(20, seed=1)]), WORLD))
    assert [r["search_energy_j"] for r in table] == [3600.0, None]
    assert table[0]["search_emissions_g"] == pytest.approx(0.45)
    assert [r["trials_ended"] for r in table] == [20, 20]


def test_people_get_units_that_fit_and_percent():
    sheet = Sheet(
        "x", ("layer", "energy_j", "adds_j", "error"), [("<a>", 4e-9, 1e-9, 0.25), ("b", 2e-9, None, 1)]
    )
    text = re.sub(r"<[^>]+>", " ", table(sheet, "said")).split()
    assert text == ["said", "layer", "energy/nJ", "adds/nJ", "error/%", "&lt;a&gt;", "4.000", "1.000", "25.0",
                    "b", "2.000", "–", "100.0"]  # fmt: skip


def test_a_long_table_is_thinned_from_first_to_last_and_says_so():
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    sheet = Sheet("x", ("kind", "n"), [(kind, n) for kind in "ab" for n in range(50)])
    assert sheet.thinned(2, by="kind").rows == [("a", 0), ("a", 49), ("b", 0), ("b", 49)]
    assert "more in the file" in below(sheet, sheet.thinned(5))
    assert "more in the file" not in below(sheet)


def test_each_figure_has_its_numbers_as_a_table(two_runs):
    view, found = two_runs
    text = page(view, WORLD, "x", found)
    for panel in ("front", "along", "causes", "importance", "curves", "progress"):
        section = re.search(f'<section aria-labelledby="{panel}">.*?</section>', text, re.S).group()
        assert section.count("<details>") == {"importance": 3}.get(panel, 1)
        assert section.count("<tbody><tr>") >= section.count("<details>")


def test_a_long_front_of_duplicates_and_ten_thousand_trials_stay_below_six_megabytes():
    run = hyperband_run(10_000)
    share = {
        f"layer{n}.convolution": dict.fromkeys(("adds", "shifts", "weights", "sums"), 1.2345e-11)
        for n in range(60)
    }
    same = [
        record(10_001 + n, 0.01, 1e-9, config=sample_config(np.random.default_rng(n))) for n in range(500)
    ]
    energies = [replace(r.result.energy, layers=share) for r in same]
    same = [replace(r, result=replace(r.result, energy=e)) for r, e in zip(same, energies, strict=True)]
    view = digest([replace(run, trials=(*run.trials, *same))])
    assert len(view.front) >= 500
    text = page(view, WORLD, "x", Insight())
    assert len(text.encode()) < 5_900_000
    assert text.count("<tr data-point") <= 101
    assert f"{len(view.front) - 100} more are in front.csv." in text
