"""What a search costs is kept, continued and read back."""

import json
from pathlib import Path

import pytest

from jouleshift import cost, store
from jouleshift.analysis.spent import search_cost
from jouleshift.errors import BadInput
from jouleshift.records import Run


def run_of(path: Path) -> Run:
    environment = json.loads((path / store.ENVIRONMENT).read_text())
    return Run(path, {}, environment, ())


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "detect", lambda: None)
    (tmp_path / store.ENVIRONMENT).write_text('{"seed": 0}')
    return tmp_path


def test_each_time_is_an_entry(run):
    with cost.counted(run, 100.0):
        pass
    with pytest.raises(KeyboardInterrupt), cost.counted(run, 100.0):
        raise KeyboardInterrupt
    read = run_of(run)
    assert read.env["seed"] == 0 and len(read.env["search_energy"]) == 2
    first = read.env["search_energy"][0]
    assert first["kind"] == "estimated" and "100 W stated" in first["origin"]
    assert first["energy_j"] == pytest.approx(100 * first["duration_s"], abs=0.1)
    total = sum(entry["energy_j"] for entry in read.env["search_energy"])
    known = search_cost([read])
    assert known is not None and known.energy_j == pytest.approx(total)


def test_a_part_without_a_value_leaves_the_whole_without(run):
    holed = Run(run, {}, {"search_energy": [{"energy_j": 1.0}, {"energy_j": None}]}, ())
    assert search_cost([holed]) is None
    assert search_cost([Run(run, {}, {}, ())]) is None


def test_where_nothing_began_nothing_is_written(tmp_path):
    with cost.counted(tmp_path, None):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_greenest_start(run, tmp_path):
    series = tmp_path / "hours.csv"
    series.write_text(
        "time,g_per_kwh\n2026-05-01T00:00+02:00,300\n2026-05-01T01:00+02:00,300\n2026-05-01T02:00+02:00,150\n"
    )
    hour = Run(run, {}, {"search_energy": [{"energy_j": 1.0, "duration_s": 3600.0}]}, ())
    told = cost.greenest_start(hour, series)
    assert "(1 h 0 min)" in told and "02:00+02:00: 150 g" in told and "50.0 % less" in told
    long = Run(run, {}, {"search_energy": [{"energy_j": 1.0, "duration_s": 36000.0}]}, ())
    with pytest.raises(BadInput, match="does not fit"):
        cost.greenest_start(long, series)
