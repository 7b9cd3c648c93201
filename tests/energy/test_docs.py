"""docs/energy.md: its snippets run, and its tables are what the code gives."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "energy.md").read_text(encoding="utf-8")


def test_the_snippets_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOULESHIFT_LOCKS", str(tmp_path / "locks"))
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(snippet, "docs/energy.md", "exec"), names)
    assert "B / A = " in capsys.readouterr().out
    assert names["breakdown"].energy_j == pytest.approx(1.37e-5, rel=0.01)
    assert names["reading"].energy_j > 0
    assert names["choice"].best.grams_per_kwh == 185
    assert names["cost"].energy_j > 0


@pytest.fixture(scope="module")
def tables():
    path = ROOT / "benchmarks" / "energy" / "modelled.py"
    spec = importlib.util.spec_from_file_location("modelled", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TABLES


@pytest.mark.parametrize(
    "name", ["causes", *(pytest.param(name, marks=pytest.mark.slow) for name in ("targets", "depths"))]
)
def test_the_tables_are_up_to_date(tables, name):
    """Rebuild them with benchmarks/energy/modelled.py."""
    shown = PAGE.split(f"<!-- {name} -->\n")[1].split("\n\n")[0]
    assert shown == tables[name]()
