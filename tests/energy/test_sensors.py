"""Looking for sensors: never an exception, and a way to mend what can be mended."""

import os
import sys
import time
from types import SimpleNamespace

import pytest

from jouleshift.energy import sensors


def test_probing_is_quick_and_says_something_of_each_family():
    start = time.perf_counter()
    found = sensors.probe()
    assert time.perf_counter() - start < 5
    assert [name for name, _, _ in found] == ["NVML", "RAPL", "Apple", "AMD", "Jetson"]
    assert all(isinstance(works, bool) and detail for _, works, detail in found)


@pytest.fixture
def zone(tmp_path):
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("123456\n")
    return zone


def test_rapl_counters_are_named(zone):
    assert sensors._rapl(zone.parent) == (True, "counters cpu0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_rapl_comes_with_the_remedy(zone):
    (zone / "energy_uj").chmod(0)
    works, detail = sensors._rapl(zone.parent)
    assert not works
    assert "chmod a+r" in detail


def test_a_broken_rapl_counter_is_no_exception(zone):
    (zone / "energy_uj").write_text("nonsense")
    works, detail = sensors._rapl(zone.parent)
    assert not works
    assert "not readable" in detail


def test_a_jetson_module_is_seen(tmp_path, monkeypatch):
    assert sensors._jetson() == (False, "not a Jetson module")
    monkeypatch.setattr(sensors, "_TEGRA", (tmp_path,))
    monkeypatch.setattr(sensors, "find_spec", lambda name: None)
    assert sensors._jetson() == (False, "to read its power monitors: pip install zeus")
    monkeypatch.setattr(sensors, "find_spec", lambda name: name)
    assert sensors._jetson()[0]


def test_gpus_with_and_without_a_counter(monkeypatch):
    class NVMLError(Exception):
        pass

    def energy(index):
        if index == 1:
            raise NVMLError("Not Supported")

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(sensors, "find_spec", lambda name: name)
    assert sensors._nvml() == (True, "energy counter of 1 of 2 GPUs")
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda index: energy(1)
    assert sensors._nvml() == (False, "no energy counter (Not Supported); needs Volta or newer")
