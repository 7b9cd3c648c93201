"""Where a search begins or goes on: what may change between two calls, and what of a run is kept."""

import json
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from jouleshift import beginning, store, verify
from jouleshift.config import StudyConfig
from jouleshift.energy.hardware import load_profile
from jouleshift.errors import BadInput
from jouleshift.foreknowledge import digest_of_prices
from jouleshift.resolving import resolve
from tests.searching import SMALL, in_process, search  # noqa: F401 - a fixture

PRICES = Path(beginning.__file__).parent / "energy" / "profiles" / "asic-45nm.yaml"


def dearer(text: str) -> str:
    assert "pj_per_64_bit: 10," in text
    return text.replace("pj_per_64_bit: 10,", "pj_per_64_bit: 1000,")


@pytest.mark.usefixtures("in_process")
class TestPrices:
    def test_a_price_list_that_changed_is_refused(self, tmp_path, monkeypatch):
        mine, run = tmp_path / "mine.yaml", tmp_path / "run"
        mine.write_text(PRICES.read_text())
        monkeypatch.chdir(tmp_path)
        search(run, profile="mine.yaml")
        mine.write_text("# a comment changes nothing\n" + PRICES.read_text())
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        search(run, profile="../mine.yaml", trials=2)
        mine.write_text(dearer(PRICES.read_text()))
        with pytest.raises(BadInput, match=r"profile .*mine\.yaml changed since .* --fresh"):
            search(run, profile="../mine.yaml", trials=3)
        with pytest.raises(BadInput, match=r"profile .*mine\.yaml changed since"):
            verify.verify(run, seeds=1)
        assert len(store.read_run(run).trials) == 2

    def test_a_run_begun_before_this_goes_on(self, tmp_path, monkeypatch):
        mine, run = tmp_path / "mine.yaml", tmp_path / "run"
        mine.write_text(PRICES.read_text())
        monkeypatch.chdir(tmp_path)
        search(run, profile="mine.yaml")
        facts = json.loads((run / store.ENVIRONMENT).read_text())
        del facts["profile_digest"]
        (run / store.ENVIRONMENT).write_text(json.dumps(facts))
        settings = yaml.safe_load((run / store.CONFIG).read_text())
        (run / store.CONFIG).write_text(yaml.safe_dump({**settings, "profile": "mine.yaml"}))
        search(run, profile="mine.yaml", trials=2)


def test_a_digest_is_of_the_prices_alone(tmp_path):
    (tmp_path / "mine.yaml").write_text("# mine\n" + PRICES.read_text())
    (tmp_path / "dear.yaml").write_text(dearer(PRICES.read_text()))
    usual, mine, dear = (
        digest_of_prices(load_profile(name))
        for name in ("asic-45nm", tmp_path / "mine.yaml", tmp_path / "dear.yaml")
    )
    assert usual == mine != dear


@pytest.mark.parametrize(
    "settings",
    [
        {"acquisition": "evhi"},
        {"prior": "nowhere.csv"},
        {"prior": "foreign.csv"},
        {"prior": "paper", "scheduler": "random"},
        {"acquisition": "parego", "scheduler": "random"},
        {"profile": "nowhere.yaml"},
        {"scheduler": "nsga2"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_what_cannot_be_searched_is_known_before_anything_starts(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    Path("foreign.csv").write_text("trial,colour\n1,red\n")
    with pytest.raises(BadInput):
        resolve(StudyConfig(**{**SMALL, **settings}))


@pytest.mark.usefixtures("in_process")
def test_fresh_leaves_the_old_run_where_it_is_until_a_new_one_begins(tmp_path):
    search(tmp_path / "run")
    before = (tmp_path / "run" / store.JOURNAL).read_bytes()
    with pytest.raises(BadInput):
        search(tmp_path / "run", fresh=True, model="resnet-20")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / store.JOURNAL).read_bytes() == before
    search(tmp_path / "run", fresh=True, seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.1"]


@pytest.mark.usefixtures("in_process")
def test_priors_are_those_the_run_was_begun_with(tmp_path):
    prior, run = tmp_path / "known.csv", tmp_path / "run"
    prior.write_text("weight_bits,learning_rate\n3,1e-2\n4,2e-2\n6,3e-3\n")
    settings = {"scheduler": "mo-hyperband", "prior": str(prior)}
    search(run, 2, **settings)
    prior.write_text("weight_bits\n2\n8\n")
    search(run, 3, **settings)
    prior.unlink()
    search(run, 4, **settings)
    tried = [record.trial.config for record in store.read_run(run).trials[1:]]
    assert [(c["weight_bits"], c["learning_rate"]) for c in tried] == [(3, 1e-2), (4, 2e-2), (6, 3e-3)]


@pytest.mark.usefixtures("in_process")
def test_fewer_trials_than_are_done_are_told_and_change_nothing(tmp_path):
    search(tmp_path / "run", 3)
    told = search(tmp_path / "run", 2)
    assert "3 trials of this run are done, 2 were asked for: there is nothing to do" in told.notes
    assert (told.finished, told.wanted) == (3, 3)
    assert store.read_run(tmp_path / "run").config["trials"] == 3


@pytest.mark.usefixtures("in_process")
def test_a_page_that_cannot_be_written_is_noted_once_and_ends_no_search(tmp_path, monkeypatch):
    def fail(self, read):
        raise BadInput("cannot write report.html: Is a directory")

    monkeypatch.setattr("jouleshift.report.live.LiveReport.update", fail)
    told = search(tmp_path / "run", 3)
    assert [note for note in told.notes if "Is a directory" in note] == [
        "the search goes on without its page: cannot write report.html: Is a directory"
    ]
    assert len(store.read_run(tmp_path / "run").trials) == 3


def test_who_is_refused_leaves_the_run_of_who_came_first(tmp_path, monkeypatch):
    run, enter = tmp_path / "run", store.Journal.__enter__
    other = FileLock(run / "run.lock")

    def overtaken(journal):
        run.mkdir()
        other.acquire()
        return enter(journal)

    monkeypatch.setattr(store.Journal, "__enter__", overtaken)
    with pytest.raises(BadInput, match="is being written"), beginning.opened(StudyConfig(), run):
        pass
    other.release()
    assert run.exists()


def test_who_holds_a_run_that_does_not_begin_leaves_no_trace(tmp_path):
    with pytest.raises(BadInput, match="no"), beginning.opened(StudyConfig(), tmp_path / "run"):
        raise BadInput("no")
    assert not (tmp_path / "run").exists()
