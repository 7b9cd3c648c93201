"""The protocol of a measurement on boards whose truth is known."""

from dataclasses import replace
from statistics import NormalDist, fmean

import pytest

from jouleshift.energy import meter
from jouleshift.energy.compare import compare
from jouleshift.energy.counters import Sample
from jouleshift.energy.meter import DEFAULT_POWER_W, EnergyMeter, Protocol, interval95
from jouleshift.energy.replay import ReplaySensor, VirtualClock
from jouleshift.errors import BadInput
from tests.energy.boards import SimulatedBoard


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("JOULESHIFT_LOCKS", str(tmp_path / "locks"))


def meter_of(board, **settings):
    return EnergyMeter(board, clock=board, protocol=Protocol(**settings))


def test_gross_net_and_idle_of_a_steady_board():
    """200 W for 20 ms a call of 64 items: 62.5 mJ an item gross; 140 W of it above rest."""
    board = SimulatedBoard(idle_w=60)
    seen = meter_of(board).observe(board.work(200, 0.02), n_items=64)
    assert seen.energy_j == pytest.approx(200 * 0.02 / 64, rel=0.02)
    assert seen.net_j == pytest.approx(140 * 0.02 / 64, rel=0.02)
    assert seen.item_s == pytest.approx(0.02 / 64, rel=1e-6)
    assert seen.idle_before_w == pytest.approx(60, rel=0.05)
    assert len(seen.windows_j) == 5
    assert seen.flags == ()
    reading = seen.reading()
    assert (reading.source, reading.kind, reading.origin) == ("deployed", "measured", "simulated board")
    assert sum(reading.components.values()) == pytest.approx(reading.energy_j)
    assert reading.idle_power_w == pytest.approx(60, rel=0.05)


def test_the_warm_up_is_not_in_the_figure():
    board = SimulatedBoard()
    calls = iter(range(10**6))

    def warming():
        board.work(2000 if next(calls) < 90 else 100, 0.02)()

    # 2 s of warm-up are 100 calls of 20 ms; the 90 expensive ones are among them
    assert meter_of(board).measure(warming, 1).energy_j == pytest.approx(100 * 0.02, rel=0.02)


def test_slow_functions_get_their_ten_calls():
    board = SimulatedBoard()
    calls = []
    meter_of(board).warm_up(lambda: calls.append(board.work(100, 1.0)()))
    assert len(calls) == 10


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(100):
        board = SimulatedBoard(noise=0.02, seed=seed)
        low, high = meter_of(board).measure(board.work(150, 0.1), 1).interval_j
        covered += low <= 15.0 <= high
    assert covered >= 85


def test_student_interval_by_hand():
    """Three values 1, 2, 3: mean 2, sd 1, t(2) = 4.303."""
    low, high = interval95([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), rel=1e-4)
    assert interval95([1.0]) is None


@pytest.mark.parametrize(
    ("settings", "board", "flag"),
    [
        ({"window_s": 1.0}, {}, "short-window"),
        ({"windows": 2}, {}, "few-windows"),
        ({}, {"noise": 0.2}, "noisy"),
        ({}, {"warming": 0.005}, "idle-drift"),
    ],
)
def test_doubtful_quality_is_flagged(settings, board, flag):
    board = SimulatedBoard(**board)
    assert flag in meter_of(board, **settings).measure(board.work(100, 0.1), 1).flags


def test_a_wrapping_counter_changes_nothing():
    plain, wrapping = SimulatedBoard(), SimulatedBoard(range_j=1500.0)
    readings = [meter_of(board).measure(board.work(100, 0.1), 1) for board in (plain, wrapping)]
    assert readings[1].energy_j == pytest.approx(readings[0].energy_j)
    assert readings[1].flags == ()


def recording(fault):
    """100 W for two minutes, refreshed every 100 ms, with `fault` applied to each reading."""
    samples = [Sample(t / 10, {"gpu0": fault(t / 10, 10.0 * t)}) for t in range(1200)]
    return ReplaySensor(samples)


@pytest.mark.parametrize(
    ("fault", "flags"),
    [
        (lambda t, j: None if 26 < t < 28 else j, {"sensor-missing:gpu0", "lost-windows"}),
        (lambda t, j: j if t < 32 else j - 3200, {"sensor-backwards:gpu0", "lost-windows"}),
        (lambda t, j: j if t < 26 else 2600.0 if t < 40 else j, {"sensor-zero:gpu0", "lost-windows"}),
    ],
    ids=["missing", "backwards", "stuck"],
)
def test_windows_that_a_fault_hits_are_lost_and_the_others_count(fault, flags):
    """At rest to 5 s, warm-up to 7 s, windows from about 7, 17, 27, 37 and 47 s on.

    A counter that sticks 1 s before the end of a window costs that window a tenth, one of three that count.
    """
    sensor = recording(fault)
    meter = EnergyMeter(sensor, clock=sensor.clock)
    reading = meter.measure(lambda: sensor.clock.sleep(0.1), 1)
    assert flags <= set(reading.flags)
    assert reading.energy_j == pytest.approx(10.0, rel=0.05)


def test_a_sensor_that_gives_nothing_gives_none():
    sensor = recording(lambda t, j: None)
    reading = EnergyMeter(sensor, clock=sensor.clock).measure(lambda: sensor.clock.sleep(0.1), 1)
    assert reading.energy_j is None
    assert reading.interval_j is None
    assert reading.components == {}


def test_without_a_sensor_it_is_time_by_a_power():
    clock = VirtualClock()
    meter = EnergyMeter(None, power_w=12.0, clock=clock)
    reading = meter.measure(lambda: clock.sleep(0.05), 10)
    assert reading.energy_j == pytest.approx(12.0 * 0.05 / 10)
    assert (reading.source, reading.kind) == ("deployed", "estimated")
    assert reading.origin == "time × 12 W stated"
    assert reading.flags == ("no-sensor",)
    assert reading.idle_power_w is None
    assumed = EnergyMeter(None, clock=clock).measure(lambda: clock.sleep(0.05), 10)
    assert assumed.energy_j == pytest.approx(DEFAULT_POWER_W * 0.05 / 10)
    assert "default-power" in assumed.flags


def ratios(noise, factor, runs, **settings):
    """Comparisons on boards that warm by 1 % a minute and read 5 % too much."""
    for seed in range(runs):
        board = SimulatedBoard(noise=noise, warming=0.01 / 60, gain=1.05, seed=seed)
        a, b = board.work(200, 0.1), board.work(200 * factor, 0.1)
        yield compare(meter_of(board), a, b, **settings)


def test_a_network_against_itself_is_tied_within_one_percent():
    results = list(ratios(noise=0.015, factor=1.0, runs=40))
    assert sum(r.verdict == "tied" for r in results) >= 0.9 * len(results)
    assert sum(abs(r.ratio - 1) < 0.01 for r in results) >= 0.9 * len(results)
    assert fmean(r.interval[1] - r.interval[0] for r in results) / 2 < 0.01
    assert fmean(r.ratio for r in results) == pytest.approx(1, abs=0.002)


def test_three_percent_more_is_found():
    results = list(ratios(noise=0.015, factor=1.03, runs=40))
    assert sum(r.verdict == "A" for r in results) >= 0.8 * len(results)
    assert fmean(r.ratio for r in results) == pytest.approx(1.03, abs=0.004)


def test_without_interleaving_the_same_board_would_deceive():
    """The reason for A B B A: measured one after the other, warming alone makes B look worse."""
    board = SimulatedBoard(warming=0.01 / 60)
    work = board.work(200, 0.1)
    first, second = (meter_of(board).measure(work, 1).energy_j for _ in range(2))
    assert second / first > 1.005
    assert compare(meter_of(board), work, work).ratio == pytest.approx(1, abs=0.002)


def test_items_per_call_are_accounted_for():
    board = SimulatedBoard()
    result = compare(meter_of(board), board.work(100, 0.1), board.work(100, 0.2), items=(1, 2))
    assert result.ratio == pytest.approx(1, abs=0.01)
    assert result.verdict == "tied"


@pytest.mark.parametrize("items", [(0, 1), (1, -1)])
def test_no_items_per_call_are_refused(items):
    board = SimulatedBoard()
    with pytest.raises(BadInput, match="items a call: expected at least 1"):
        compare(meter_of(board), board.work(100, 0.1), board.work(100, 0.2), items=items)


def test_comparing_without_a_sensor_compares_times():
    clock = VirtualClock()
    meter = EnergyMeter(None, power_w=10, clock=clock)
    result = compare(meter, lambda: clock.sleep(0.02), lambda: clock.sleep(0.03))
    assert result.ratio == pytest.approx(1.5)
    assert result.verdict == "A"
    assert "time × 10 W" in result.origin


def test_a_dead_sensor_makes_no_verdict():
    sensor = recording(lambda t, j: None)
    meter = EnergyMeter(sensor, clock=sensor.clock, protocol=replace(Protocol(), window_s=1.0))
    result = compare(meter, lambda: sensor.clock.sleep(0.1), lambda: sensor.clock.sleep(0.1), most=4)
    assert (result.verdict, result.ratio) == ("unknown", None)
    assert "unknown" in str(result)


def test_the_noise_of_the_simulated_board_is_what_it_says():
    """The scatter of 10 s windows, over many boards."""
    means = []
    for seed in range(200):
        board = SimulatedBoard(noise=0.015, seed=seed)
        work = board.work(200, 0.1)
        meter = meter_of(board, windows=1)
        meter.warm_up(work)
        means.append(meter.window(work)[0].energy_j)
    spread = NormalDist.from_samples(means)
    assert spread.stdev / spread.mean == pytest.approx(0.015, rel=0.25)


def test_work_that_an_accelerator_still_does_is_within_the_window(monkeypatch):
    """A call only queues 20 ms at 200 W; it is done while `settle` waits for it."""
    board, queued = SimulatedBoard(), []
    work = board.work(200, 0.02)

    def settle():
        while queued:
            queued.pop()()

    monkeypatch.setattr(meter, "settle", settle)

    def call():
        if len(queued) == 100:
            settle()  # as a full queue does
        queued.append(work)

    seen = meter_of(board, warm_up_calls=10, warm_up_s=0.0).observe(call, n_items=1)
    assert seen.energy_j == pytest.approx(200 * 0.02, rel=0.02)
    assert seen.item_s == pytest.approx(0.02, rel=1e-6)


def test_others_that_keep_the_machine_busy_are_flagged(monkeypatch):
    loads = iter([0.0, 80.0, 0.0, 0.0])
    monkeypatch.setattr(meter.psutil, "cpu_percent", lambda: next(loads))
    protocol = Protocol(idle_s=0.0, warm_up_s=0.0, warm_up_calls=1, windows=2, window_s=0.01)
    assert "busy-machine" in EnergyMeter(None, power_w=10.0, protocol=protocol).measure(lambda: None, 1).flags
    loads = iter([0.0, 1.0, 0.0, 1.0])
    assert (
        "busy-machine"
        not in EnergyMeter(None, power_w=10.0, protocol=protocol).measure(lambda: None, 1).flags
    )
