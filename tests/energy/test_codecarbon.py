"""The paper's protocol, with the real CodeCarbon: offline, silent, without files."""

import socket
import time

import pytest

from jouleshift.energy.codecarbon import simulated
from jouleshift.errors import BadInput


class Spy:
    """Counts calls, each of which is busy for a while."""

    def __init__(self, busy_s: float):
        self.busy_s, self.calls = busy_s, 0

    def __call__(self):
        self.calls += 1
        end = time.perf_counter() + self.busy_s
        while time.perf_counter() < end:
            pass


@pytest.fixture
def sealed(tmp_path, monkeypatch):
    """An empty directory, a hostile configuration, and no way to the network."""

    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODECARBON_PUE", "1000")
    monkeypatch.setenv("CODECARBON_FORCE_CPU_POWER", "1000000")
    monkeypatch.setenv("CODECARBON_SAVE_TO_API", "true")
    monkeypatch.setenv("CODECARBON_LOG_LEVEL", "debug")
    return tmp_path


def test_a_reading_without_network_files_or_noise(sealed, capfd):
    spy = Spy(0.02)
    reading = simulated(spy, n_items=10, region="DEU", min_window_s=1.5)
    assert (reading.source, reading.kind in ("measured", "estimated")) == ("simulated", True)
    assert reading.energy_j is not None
    assert 0 < reading.energy_j < 10  # far below what the hostile settings would give
    assert set(reading.components) >= {"cpu", "ram"}
    assert sum(reading.components.values()) == pytest.approx(reading.energy_j, rel=1e-6)
    assert "constant-ram-model" in reading.flags
    assert "CodeCarbon" in reading.origin
    assert f"{spy.calls - 1} passes" in reading.origin
    assert list(sealed.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_setting_up_is_not_in_the_figure(sealed):
    """Power of the whole machine stays far below 1 kW, so joules per item bound the time that was counted."""
    spy = Spy(0.02)
    reading = simulated(spy, n_items=1, region="FR", min_window_s=1.0)
    assert spy.calls >= 10
    assert reading.energy_j < 1000 * 0.2


def test_without_counters_the_kind_is_estimated(sealed):
    reading = simulated(Spy(0.01), n_items=1, region="DEU", min_window_s=0.5)
    assert (reading.kind == "estimated") == ("cpu-load-model" in reading.flags)


def test_an_error_of_the_pass_is_not_swallowed(sealed):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        simulated(broken, n_items=1, region="DEU", min_window_s=0.5)


@pytest.mark.parametrize(
    ("region", "hint"), [("world", "DEU"), ("GER", "did you mean 'GEO|did you mean"), ("US-CA", "country")]
)
def test_the_region_must_be_a_country(region, hint):
    with pytest.raises(BadInput, match=hint):
        simulated(Spy(0), n_items=1, region=region)
