"""Every command and snippet of README.md and docs/ is run, or its reason not to be is in `pages.NOT_RUN`."""

import io
import re
import shlex
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ConfigSpace import ConfigurationSpace
from PIL import Image

from jouleshift.analysis.digest import digest
from jouleshift.cli import app
from jouleshift.hpo import make_scheduler
from jouleshift.report.html import page as page_of
from jouleshift.report.insight import insight
from jouleshift.report.numbers import NAMES
from tests.analysis.synthetic import hyperband_run
from tests.docs.pages import (
    CHANGED,
    PAGES,
    ROOT,
    commands,
    files,
    inline_commands,
    quick,
    snippets,
    why_not_run,
)
from tests.report.test_page import WORLD
from tests.test_cli import jouleshift

RUN_ELSEWHERE = {"docs/energy.md": "tests/energy/test_docs.py"}
"""Pages whose Python another test runs."""

SHELL = [(s, c) for page in PAGES for s in snippets(page) if s.language == "sh" for c in commands(s.text)]
INLINE = [(page.name, c) for page in PAGES for c in inline_commands(page)]
SEARCHED = {"deploy.md": "jouleshift search photos/ --out runs/photos"}
"""A command that a page takes for granted."""
BEFORE = {"README.md": "from jouleshift.models import create\nmodel = create('resnet20', 10)\n"}
"""What a page's Python takes for granted."""
BEFORE["docs/deploy.md"] = (
    "import torch, jouleshift as js\nfrom jouleshift.models.registry import create\n"
    "model = js.convert(create('tiny', 10), js.ShiftConfig(act_integer_bits=3, act_fraction_bits=5)).eval()\n"
    "images = torch.rand(4, 3, 16, 16)\n"
)


@pytest.mark.parametrize(
    ("where", "command"),
    [*((f"{s.page}:{s.line}", c) for s, c in SHELL), *INLINE],
)
def test_each_command_is_ours_and_understood_or_has_a_reason(where, command):
    """The parser reads every flag and value; nothing is run."""
    if command.startswith("jouleshift "):
        app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    else:
        assert why_not_run(command), f"{where}: {command!r} is neither run nor listed in pages.NOT_RUN"


def test_reasons_are_of_commands_that_exist():
    """Those of pages that are here; docs/cluster.md has its own."""
    begun = (
        "python3 -m venv",
        "python -m benchmarks.",
        "jouleshift paper all",
        "optuna-dashboard ",
        "mlflow ",
    )
    assert [s for s in begun if not any(c.startswith(s) for _, c in SHELL)] == []


def test_tiny_settings_replace_those_of_the_page():
    words = quick("jouleshift search photos/ --trials 60 --model resnet20 --out runs/a")
    assert words[:7] == ["jouleshift", "search", "photos/", "--model", "resnet20", "--out", "runs/a"]
    assert words[words.index("--trials") + 1] == "3"
    assert words.count("--trials") == 1


def stage(folder):
    """The images that the pages speak of, few and tiny: two classes in photos/, and a CIFAR-10 in Parquet."""
    images = []
    for number in range(60):
        picture = Image.new("RGB", (16, 16), (4 * number, 250 - 4 * number, 40 + 80 * (number % 2)))
        place = folder / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture.save(place)
        out = io.BytesIO()
        picture.save(out, "png")
        images.append({"bytes": out.getvalue(), "path": f"{number}.png"})
    table = pa.table({"img": images, "label": [n % 2 for n in range(60)]})
    pq.write_table(table, folder / "cifar10-train.parquet")


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=p.name, marks=() if p.name == "README.md" else pytest.mark.slow) for p in PAGES],
)
def test_the_commands_of_a_page_run_in_order(page, tmp_path):
    stage(tmp_path)
    if page.name in SEARCHED:
        assert jouleshift(*quick(SEARCHED[page.name])[1:], cwd=tmp_path, timeout=300).returncode == 0
    for name, text in files(page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for snippet in snippets(page):
        for command in commands(snippet.text) if snippet.language == "sh" else []:
            if not why_not_run(command):
                done = jouleshift(*quick(command)[1:], cwd=tmp_path, timeout=300)
                assert done.returncode == 0, f"{snippet.page}:{snippet.line}: {command}\n{done.stderr}"


CHEAP = ("jouleshift convert", "jouleshift doctor")
"""Beginnings."""


@pytest.mark.parametrize(
    "command", sorted({c for _, c in SHELL if c.startswith(CHEAP) or c == "jouleshift paper"})
)
def test_cheap_commands_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    app(shlex.split(command)[1:], exit_on_error=False, print_error=False, result_action="return_value")
    assert capsys.readouterr().out.strip()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The module of docs/search.md where Python finds it."""
    (tmp_path / "mine.py").write_text(files(ROOT / "docs" / "search.md")["mine.py"], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("name", ["mine:Promising", "mo-hyperband"])
def test_the_scheduler_and_the_acquisition_of_the_page_search_and_replay(name, mine):
    space = ConfigurationSpace({"x": (0.0, 1.0), "kind": ["a", "b"]}, seed=0)
    acquisition = {"acquisition": "mine:most_accurate"} if name == "mo-hyperband" else {}
    runs = []
    for _ in range(2):
        scheduler = make_scheduler(name, space, max_budget=9, seed=3, **acquisition)
        trials = []
        for _ in range(30):
            trial = scheduler.ask()
            trials.append(trial)
            error = (trial.config["x"] - 0.7) ** 2 + 0.5 / trial.budget
            scheduler.tell(trial, {"error": error, "energy_j": trial.config["x"]})
        runs.append(trials)
    assert runs[0] == runs[1]
    assert any(t.parent is not None and t.budget == 9 for t in runs[0])


def test_the_report_page_names_every_table_and_panel():
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`tables/{name}.csv`" not in text] == []
    view = digest([hyperband_run(60)])
    shown = re.findall(r"<h2[^>]*>(.*?)</h2>", page_of(view, WORLD, "x", insight(view, trees=4)))
    assert [heading for heading in shown if re.sub(r" \(\d+\)", "", heading) not in text] == []
    for page in ("README.md", "docs/architecture.md", "docs/quickstart.md"):
        assert "report.md" in (ROOT / page).read_text(encoding="utf-8")
    assert "tables/" in (ROOT / "README.md").read_text(encoding="utf-8")


def run_python(page, folder):
    name = str(page.relative_to(ROOT))
    names: dict[str, object] = {}
    exec(BEFORE.get(name, ""), names)
    for snippet in snippets(page):
        if snippet.language == "python":
            text = snippet.text
            for old, new in CHANGED.items():
                text = text.replace(old, new)
            exec(compile("\n" * snippet.line + text, name, "exec"), names)


PYTHON = [p for p in PAGES if any(s.language == "python" for s in snippets(p))]
QUICK = ROOT / "docs" / "deploy.md"
LONG = [p for p in PYTHON if p != QUICK and str(p.relative_to(ROOT)) not in RUN_ELSEWHERE]


def test_python_that_trains_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(QUICK, tmp_path)
    assert (tmp_path / "model.onnx").exists()


def test_pages_left_to_other_tests_are_in_them():
    assert all(page in (ROOT / test).read_text() for page, test in RUN_ELSEWHERE.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [p for p in PYTHON if p != QUICK and str(p.relative_to(ROOT)) not in RUN_ELSEWHERE],
    ids=lambda p: p.name,
)
def test_the_python_of_a_page_runs_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage(tmp_path)
    run_python(page, tmp_path)
