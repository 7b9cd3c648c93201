"""The cost of a whole block, with counters that wrap while it runs."""

import time

import pytest

from jouleshift.energy.counters import Sample, Sensor, SystemClock
from jouleshift.energy.replay import VirtualClock
from jouleshift.energy.spent import spent


class Flowing(Sensor):
    """10 W in real time, on a counter that wraps every 10 J, that is every second."""

    origin = "flowing"
    update_period_s = 1.0

    def __init__(self, silent_s=0.0):
        self.clock = SystemClock()
        self.silent_until_s = self.clock.now() + silent_s

    def read(self):
        now = self.clock.now()
        return Sample(now, {"cpu0": None if now < self.silent_until_s else 10 * now % 10})

    def ranges_j(self):
        return {"cpu0": 10.0}


def test_a_counter_that_wraps_is_added_up():
    with spent(Flowing(), period_s=0.02) as cost:
        time.sleep(1.3)
    assert cost.kind == "measured"
    assert cost.duration_s >= 1.3
    assert cost.energy_j == pytest.approx(10 * cost.duration_s)


def test_a_hole_makes_the_whole_unknown():
    with spent(Flowing(silent_s=0.1), period_s=0.02) as cost:
        time.sleep(0.2)
    assert cost.energy_j is None
    assert "sensor-missing:cpu0" in cost.flags


def test_without_a_sensor_it_is_time_by_a_power():
    clock = VirtualClock()
    with spent(None, power_w=30, clock=clock) as cost:
        clock.sleep(3600)
    assert cost.energy_j == pytest.approx(108_000)
    assert (cost.kind, cost.origin, cost.flags) == ("estimated", "time × 30 W stated", {"no-sensor"})


def test_an_assumed_power_is_flagged():
    with spent(None, clock=VirtualClock()) as cost:
        pass
    assert "assumed" in cost.origin and cost.flags == {"no-sensor", "default-power"}


def test_an_interrupted_block_has_its_cost():
    clock = VirtualClock()
    with pytest.raises(KeyboardInterrupt), spent(None, power_w=30, clock=clock) as cost:
        clock.sleep(10)
        raise KeyboardInterrupt
    assert cost.energy_j == pytest.approx(300)
