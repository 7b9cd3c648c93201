"""Experiments from made-up searches: what is written, and that nothing is run twice."""

import csv
import io
import json
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
import yaml
from PIL import Image

from jouleshift import api, store
from jouleshift.errors import BadInput
from jouleshift.hpo import make_scheduler
from jouleshift.journal import Asked, Finished
from jouleshift.paper import reproduce as paper
from jouleshift.paper.experiments import chosen
from jouleshift.paper.findings import importance_reasons
from jouleshift.paper.foreseen import hyperband_budgets
from jouleshift.paper.studies import STUDIES
from jouleshift.records import CarbonIntensity, TrialRecord
from jouleshift.space import build_space
from tests.analysis.synthetic import hyperband_run
from tests.test_cli import jouleshift, picture

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")
RENAMED = {"act_integer_bits": "activation_integer_bits", "act_fraction_bits": "activation_fraction_bits"}


def in_table_1s_names(record: TrialRecord) -> TrialRecord:
    config = {RENAMED.get(name, name): value for name, value in record.trial.config.items()}
    return replace(record, trial=replace(record.trial, config=config))


class Searched(list):
    """Study and seed of each search, and beside them where its trials ran."""

    def __init__(self) -> None:
        super().__init__()
        self.workers = []


@pytest.fixture
def searches(monkeypatch):
    """`api.search` replaced by one that writes a made-up run; the list of what was searched."""
    done = Searched()

    def search(watcher=None, **settings):
        out = settings["out"]
        made = hyperband_run(settings["trials"], seed=settings["seed"], path=out)
        with store.Journal(out) as journal:
            for record in map(in_table_1s_names, made.trials):
                journal.append(Asked(record.trial))
                if record.result is not None:
                    journal.append(Finished(record.trial.id, record.result, record.duration_s))
        config = api.resolve(api.StudyConfig(**settings)).model_dump(mode="json")
        (out / store.CONFIG).write_text(yaml.safe_dump(config))
        (out / store.ENVIRONMENT).write_text(json.dumps({"max_depth": 20}))
        done.append((out.parent.name, settings["seed"]))
        done.workers.append(settings.get("workers"))

    monkeypatch.setattr(api, "search", search)
    return done


def reproduce(name, out, **own):
    own = {"trials": 20, **own}
    return paper.reproduce(
        chosen(name), seeds=2, scale=0.1, out=out, intensity=WORLD, own=own, watcher=api.Silent()
    )


@pytest.fixture
def without_reports(monkeypatch):
    monkeypatch.setattr(paper, "write_report", lambda *_: None)


@pytest.mark.parametrize("name", ["figure-1f", "figure-3", "figure-4", "figure-5", "table-1"])
def test_each_form_is_written_as_text_table_and_picture(searches, without_reports, tmp_path, name):
    ((experiment, _),) = reproduce(name, tmp_path)
    assert (tmp_path / f"{name}.txt").stat().st_size > 100
    if name in ("figure-1f", "figure-4"):
        assert "Ours: modelled energy" in (tmp_path / f"{name}.txt").read_text(), "joules have a source"
    assert (tmp_path / f"{name}.csv").stat().st_size > 50
    if experiment.kind != "space":
        assert Image.open(tmp_path / f"{name}.png").size[0] > 500
    assert searches == [(s.name, n) for s in experiment.studies for n in range(2 if s.table else 1)]
    searches.clear()
    reproduce(name, tmp_path)
    assert searches == [], "a second call has nothing to search"


@pytest.mark.slow
def test_all_experiments_share_their_searches(searches, tmp_path):
    assert len(reproduce("all", tmp_path)) == 17
    assert sorted(searches) == sorted(
        [(s.name, seed) for s in STUDIES.values() for seed in range(2 if s.table else 1)]
    )
    assert (tmp_path / "resnet20-cifar10" / "report.html").exists()


def test_the_table_prints_ours_beside_theirs_and_more_trials_are_searched(searches, tmp_path):
    reproduce("table-2", tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table-2.csv").read_text())))
    theirs = [row for row in rows if row["whose"] == "published"]
    ours = [row for row in rows if row["whose"] == "ours"]
    assert len(theirs) == 8
    assert ours[-1]["network"] == "default"
    assert len(ours) > 1
    text = (tmp_path / "table-2.txt").read_text()
    assert "published" in text
    assert "4 of 7" in text
    assert "a pass" in text
    assert (tmp_path / "resnet20-cifar10" / "report.html").exists()
    config = paper.study_config(STUDIES["resnet20-cifar10"], 0, 0.1, tmp_path, {"trials": 20})
    assert paper.is_done(config)
    more = paper.study_config(STUDIES["resnet20-cifar10"], 0, 0.1, tmp_path, {"trials": 21})
    assert not paper.is_done(more)
    own = {"trials": 20, "layers": ("first=8", "last=float")}
    mixed = paper.study_config(STUDIES["resnet20-cifar10"], 0, 0.1, tmp_path, own)
    assert mixed.layers == {"first": 8, "last": "float"}
    assert not paper.is_done(mixed)


def test_what_belongs_to_a_study_cannot_be_overridden(searches, tmp_path):
    with pytest.raises(BadInput, match="model is fixed by the study resnet20-cifar10"):
        reproduce("table-2", tmp_path, model="tiny")
    with pytest.raises(BadInput, match="scale 2"):
        paper.study_config(STUDIES["resnet20-cifar10"], 0, 2.0, tmp_path, {})


@pytest.mark.parametrize("name", ["figure-2", "figure-3", "figure-5"])
def test_what_must_give_too_few_results_for_importance_is_refused_before_its_searches(
    searches, tmp_path, name
):
    with pytest.raises(BadInput, match="needs 12 results of one budget, and 2 seeds of 4 trials can give 6"):
        reproduce(name, tmp_path, trials=4)
    assert searches == []


def test_what_cannot_be_shown_is_told_and_the_rest_is_written(searches, without_reports, tmp_path):
    (figure,), (table,) = chosen("figure-2"), chosen("table-2")
    own = {"trials": 4}
    common = {"seeds": 1, "scale": 0.1, "intensity": WORLD, "own": own, "watcher": api.Silent()}
    results = paper.reproduce([figure, table], out=tmp_path, **common)
    assert [experiment for experiment, _ in results] == [figure, table]
    told = "figure-2: no budget of resnet20-cifar10 has 12 results, which importance needs; run more"
    assert told in (tmp_path / "figure-2.txt").read_text()
    assert not (tmp_path / "figure-2.csv").exists()
    assert "published" in (tmp_path / "table-2.csv").read_text()
    with pytest.raises(BadInput, match="figure-2: no budget"):  # where it cannot be foreseen
        paper.reproduce([figure], out=tmp_path, **{**common, "own": {"trials": 12, "workers": 2}})


@pytest.mark.parametrize(
    ("trials", "expected"), [(20, {1: 9, 3: 8, 9: 3}), (23, {1: 9, 3: 8, 9: 6}), (40, {1: 18, 3: 15, 9: 7})]
)
def test_hyperband_s_budgets_are_foreseen(trials, expected):
    """As the scheduler itself gives them; the slow test asks it."""
    assert Counter(islice(hyperband_budgets((1, 3, 9), 3), trials)) == expected


@pytest.mark.slow
def test_the_scheduler_gives_the_budgets_that_are_foreseen():
    scheduler = make_scheduler("parego-hyperband", build_space(20), min_budget=2, max_budget=18)
    budgets = []
    for number in range(45):
        trial = scheduler.ask()
        scheduler.tell(trial, {"error": 0.3 + 0.01 * (number % 17), "energy_j": 1e-7 * (1 + number % 5)})
        budgets.append(trial.budget)
    assert budgets == list(islice(hyperband_budgets((2, 6, 18), 3), 45))


@pytest.mark.parametrize("name", ["figure-1f", "table-2", "figure-3", "figure-4", "figure-5"])
def test_texts_say_that_emissions_are_of_an_image_and_the_papers_of_a_pass(
    searches, without_reports, tmp_path, name
):
    reproduce(name, tmp_path)
    text = " ".join((tmp_path / f"{name}.txt").read_text().split())
    assert "ours are grams of CO₂eq of one image; the paper's are grams that CodeCarbon gave" in text
    assert "a whole pass over the validation images, the last one" in text


@pytest.mark.parametrize("name", ["figure-2", "figure-3", "figure-5"])
def test_importance_says_why_it_may_differ_from_the_papers(searches, without_reports, tmp_path, name):
    reproduce(name, tmp_path)
    text = " ".join((tmp_path / f"{name}.txt").read_text().split())
    assert ("much of what networks differ by is chance" in text) == (name != "figure-3")
    assert ("structure and number formats alone" in text) == (name != "figure-2")
    assert ("a forest of its own, which sees the weighted sum" in text) == (name == "figure-5")


def test_reasons_for_importance_need_what_they_speak_of_to_be_true():
    assert importance_reasons("loss", ["modelled"]) == importance_reasons("emissions", ["simulated"]) == []
    assert len(importance_reasons("weights", [])) == 1
    assert len(importance_reasons("weights", ["smaller", "modelled"])) == 3


def test_learning_rates_spread_alike_where_a_kilowatt_hour_emits_nothing(searches, without_reports, tmp_path):
    def spread(intensity):
        own = {"trials": 20}
        common = {"seeds": 2, "scale": 0.1, "own": own, "out": tmp_path, "watcher": api.Silent()}
        paper.reproduce(chosen("figure-4"), intensity=intensity, **common)
        lines = (tmp_path / "figure-4.txt").read_text().splitlines()
        return [line.split()[-2:] for line in lines if line.strip().startswith(("random ", "default "))]

    shares = spread(WORLD)
    assert len(shares) == 2 and all(float(share) > 0 and sign == "%" for share, sign in shares)
    assert spread(replace(WORLD, grams_per_kwh=0.0)) == shares


def test_a_front_without_answers_has_no_explanations(searches, without_reports, monkeypatch, tmp_path):
    """A search of six trials, of which none has finished the full budget."""
    made = hyperband_run

    def short(trials, **settings):
        run = made(trials, **settings)
        return replace(run, trials=tuple(r for r in run.trials if r.trial.budget < 9))

    monkeypatch.setattr(sys.modules[__name__], "hyperband_run", short)
    reproduce("figure-1f", tmp_path, trials=6)
    text = (tmp_path / "figure-1f.txt").read_text()
    assert "–" in text
    assert "frugal" not in text
    assert "finds fewer" not in text


@pytest.mark.parametrize("workers", [2, "tcp://host:8786", "cluster.yaml"])
def test_workers_are_those_of_every_search_and_may_change(searches, without_reports, tmp_path, workers):
    reproduce("figure-1f", tmp_path, workers=workers)
    assert searches == [("resnet20-cifar10", 0), ("resnet20-cifar10", 1)]
    assert searches.workers == [workers, workers]
    assert store.read_run(tmp_path / "resnet20-cifar10" / "seed-1").config["workers"] == workers
    reproduce("figure-1f", tmp_path, workers=1)
    assert len(searches) == 2, "what a cluster has done needs no search elsewhere"


def test_the_list_says_how_far_each_is(searches, without_reports, tmp_path):
    (experiment,) = chosen("figure-1f")
    assert paper.progress_of(experiment, tmp_path, 2) == "0 of 2 searches done"
    reproduce("figure-1f", tmp_path)
    assert paper.progress_of(experiment, tmp_path, 2) == "2 of 2 searches done"
    assert paper.progress_of(chosen("table-1")[0], tmp_path, 2) == "nothing to run"


@pytest.mark.slow
def test_the_command_runs_a_figure_on_real_networks(tmp_path):
    for label in range(10):
        for number in range(12):
            picture(tmp_path / "photos" / f"class{label}" / f"{number}.png", 20 * label + number)
    command = ("paper", "figure-1f", "--scale", "0.01", "--seeds", "1", "--trials", "3", "--max-budget", "1",
               "--cifar10", "photos", "--limit-train", "40", "--limit-val", "10", "--scheduler", "random",
               "--out", "paper")  # fmt: skip
    for _ in range(2):
        done = jouleshift(*command, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "figure-1f: Pareto fronts of ResNet20 on CIFAR-10" in done.stdout
    assert (tmp_path / "paper" / "figure-1f.png").exists()
