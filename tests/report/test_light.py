"""What shows a run without a script: the drawing, the light page, notebooks."""

import copy
import pickle
import re
from xml.etree import ElementTree

import pytest

from jouleshift import opened
from jouleshift.analysis.digest import digest
from jouleshift.errors import BadInput
from jouleshift.report.export import write_report
from jouleshift.report.html import light_page
from jouleshift.report.insight import insight
from jouleshift.report.notebook import Front, run_html, run_text
from jouleshift.report.sketch import Axis, front_sketch
from jouleshift.report.terminal import picture
from tests.analysis.synthetic import hyperband_run, record, run_of, sized
from tests.report.test_page import HOSTILE, RUNS, WORLD, hostile_run
from tests.toys import write_run

SIMPLE = run_of(record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-9), record(3, 0.5, 2e-9))


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0.0, 10.0, 0, 100), [0, 2, 4, 6, 8, 10]),
        (Axis(0.21, 0.24, 0, 100), [0.21, 0.215, 0.22, 0.225, 0.23, 0.235, 0.24]),
        (Axis(-3.0, 2.0, 0, 100), [-3, -2, -1, 0, 1, 2]),
        (Axis(8.0, 250.0, 0, 100, log=True), [10, 20, 50, 100, 200]),
    ],
)
def test_ticks_are_round_and_inside(axis, ticks):
    assert axis.ticks == pytest.approx(ticks)


def test_an_axis_maps_its_ends_to_its_pixels():
    assert [Axis(2.0, 4.0, 100, 0)(v) for v in (2.0, 3.0, 4.0)] == [100, 50, 0]
    assert Axis(1.0, 100.0, 0, 50, log=True)(10.0) == 25


def marks(drawing):
    root = ElementTree.fromstring(drawing)
    return [(n.tag, n.findtext("title")) for n in root.iter() if n.find("title") is not None]


def test_the_drawing_has_a_mark_for_each_trial_that_says_which():
    found = marks(front_sketch(digest([SIMPLE])))
    assert found == [
        ("circle", "trial 2: 70.0 %"),
        ("circle", "trial 3: 50.0 %"),
        ("polygon", "default configuration: 60.0 %"),
    ]


def test_better_is_down_and_frugal_is_left():
    root = ElementTree.fromstring(front_sketch(digest([SIMPLE])))
    accurate, frugal = ((float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle"))
    assert accurate[0] > frugal[0]
    assert accurate[1] > frugal[1]


@pytest.mark.parametrize("name", RUNS)
def test_any_run_can_be_drawn_and_shown(name):
    run = RUNS[name]
    drawing = front_sketch(digest([run]))
    assert not drawing or ElementTree.fromstring(drawing).get("aria-label")
    assert run_html(run, WORLD).startswith("<div")
    assert "trials ended" in run_text(run, WORLD)


def test_many_trials_stay_small():
    assert len(run_html(hyperband_run(2_000), WORLD)) < 150_000


def test_notebooks_get_html_and_consoles_text(tmp_path):
    front = Front(SIMPLE, WORLD)
    assert [r.trial.id for r in front] == [2, 3]
    assert isinstance(front, tuple)
    bundle = front._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "75.0 %" not in bundle["text/plain"]
    assert "70.0 %" in bundle["text/plain"]
    assert bundle["text/html"] == front._repr_html_()
    assert "<td" in bundle["text/html"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda front: pickle.loads(pickle.dumps(front))])
def test_a_front_can_be_copied_and_pickled(again):
    front = Front(SIMPLE, WORLD)
    made = again(front)
    assert isinstance(made, Front)
    assert made == front and made.run == SIMPLE and made.where == WORLD
    assert made._repr_html_() == front._repr_html_()


def test_notebooks_list_every_objective_of_the_run():
    run = run_of(
        sized(1, 0.5, 9000, 2e-9, bracket=-1), sized(2, 0.4, 3000, 1e-9), objectives=["error", "size_bytes"]
    )
    table = Front(run, WORLD)._repr_html_().split("<table")[1]
    assert re.findall("<th[^>]*>(.*?)</th>", table)[5:7] == ["CO₂eq fg", "size kB"]
    assert "3.00</td>" in table and "9.00</td>" in table


def test_networks_that_break_a_constraint_are_drawn_too():
    run = run_of(record(1, 0.4, 4e-9), record(2, 0.3, 3e-9), constraint=["error <= 1 %"])
    view = digest([run])
    assert marks(front_sketch(view)) == [("circle", "trial 1: 60.0 %"), ("circle", "trial 2: 70.0 %")]
    assert picture(view, 40, 8).plain.count("×") == 2


def test_notebooks_show_hostile_text_as_text_and_run_no_script(tmp_path):
    run = hostile_run(tmp_path)
    for text in (
        run_html(run, WORLD),
        Front(run, WORLD)._repr_html_(),
        light_page(digest([run]), WORLD, HOSTILE),
    ):
        assert "alert(" in text
        assert "<script" not in text
        assert "<img" not in text


def test_a_run_directory_is_opened_and_shown(tmp_path):
    opened_run = opened.open_run(write_run(tmp_path, *hyperband_run(30).trials))
    assert "30 of 30 trials ended" in repr(opened_run)
    assert opened_run._repr_mimebundle_()["text/html"].count("<svg") == 1
    with pytest.raises(BadInput, match="nothing"):
        opened.open_run(tmp_path / "nothing")


def test_a_light_report_is_complete_without_a_script():
    view = digest([hyperband_run(60, seed=s) for s in range(2)])
    text = light_page(view, WORLD, "x", insight(view, trees=4))
    assert len(text) < 100_000
    assert "<script" not in text
    assert "<button" not in text
    assert "script-src &#x27;none&#x27;" in text
    assert re.findall(r'(?:src|href)="([^"#]*)"', text) == [
        "front.csv",
        "trials.csv",
        "tables/importance.csv",
        "tables/cost.csv",
    ]
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert headings[:4] == ["Front", "The front as a table", "What matters", "What the search took"]
    assert "Most important for the error" in text


def test_the_light_form_is_what_is_written(tmp_path):
    made = write_report([SIMPLE], WORLD, tmp_path, "light")
    assert made.stat().st_size < 30_000
    assert (tmp_path / "front.png").exists()
