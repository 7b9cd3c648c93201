"""The contract of sensors on each of them, and the ways in which a counter deceives."""

from types import SimpleNamespace

import pytest

from jouleshift.energy import counters
from jouleshift.energy.counters import (
    CombinedSensor,
    RaplSensor,
    Sample,
    Sensor,
    Window,
    ZeusSensor,
    between,
    detect,
)
from jouleshift.energy.replay import ReplaySensor, VirtualClock, record
from tests.energy.boards import SimulatedBoard


class FakeRapl:
    """A powercap tree of two packages with memory and cores, whose counters this object moves."""

    def __init__(self, root):
        self.root = root
        for zone, name in {
            "0": "package-0",
            "0:0": "core",
            "0:1": "dram",
            "1": "package-1",
            "1:0": "dram",
        }.items():
            folder = root / f"intel-rapl:{zone}"
            folder.mkdir()
            (folder / "name").write_text(name + "\n")
            (folder / "max_energy_range_uj").write_text("1000000\n")
            self.set(zone, 0.5)
        (root / "intel-rapl").mkdir()

    def set(self, zone, joules):
        (self.root / f"intel-rapl:{zone}" / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


class FakeGpus:
    """As much of Zeus's manager of GPUs as the sensor uses; counts millijoules."""

    def __init__(self, clock):
        self.clock, self.broken = clock, False

    def __len__(self):
        return 1

    def get_name(self, index):
        return "Board"

    def get_total_energy_consumption(self, index):
        from zeus.device.gpu.common import ZeusGPUUnknownError

        if self.broken:
            raise ZeusGPUUnknownError("fell off the bus")
        return 100_000 * self.clock.now()


@pytest.fixture
def zeus(monkeypatch):
    pytest.importorskip("zeus")
    clock = VirtualClock()
    gpus = FakeGpus(clock)
    monkeypatch.setattr(counters, "_zeus_devices", lambda: (gpus, None))
    return ZeusSensor(clock), gpus


def replay(rows, **settings):
    """A recording of one component."""
    return ReplaySensor([Sample(time_s, {"gpu0": joules}) for time_s, joules in rows], **settings)


@pytest.fixture(params=["replay", "board", "rapl", "zeus", "combined"])
def sensor(request, tmp_path):
    if request.param == "replay":
        return replay([(0.0, 1.0), (1.0, 2.0)])
    if request.param == "board":
        return SimulatedBoard()
    if request.param == "zeus":
        return request.getfixturevalue("zeus")[0]
    FakeRapl(tmp_path)
    rapl = RaplSensor(tmp_path, VirtualClock())
    return rapl if request.param == "rapl" else CombinedSensor([rapl, SimulatedBoard()])


def test_contract(sensor: Sensor):
    first, second = sensor.read(), sensor.read()
    assert sensor.origin
    assert sensor.update_period_s > 0
    assert second.time_s >= first.time_s
    assert list(first.joules) == list(second.joules) != []
    assert all(value is None or value >= 0 for value in first.joules.values())
    assert set(sensor.ranges_j()) <= set(first.joules)
    assert all(range_j > 0 for range_j in sensor.ranges_j().values())


def window(rows, **settings) -> Window:
    """The window from the first to the last row of a recording."""
    sensor = replay(rows, **settings)
    first = sensor.read()
    sensor.clock.sleep(rows[-1][0] - rows[0][0])
    return between(first, sensor.read(), sensor)


def test_a_window_is_a_difference():
    seen = window([(0, 100.0), (10, 350.0)])
    assert (seen.duration_s, seen.energy_j, seen.flags) == (10, 250.0, ())


def test_wrap_around_is_taken_modulo_the_range():
    seen = window([(0, 990.0), (10, 40.0)], ranges_j={"gpu0": 1000.0})
    assert seen.energy_j == pytest.approx(50.0)
    assert seen.flags == ()


@pytest.mark.parametrize(
    ("rows", "flag"),
    [
        ([(0, 100.0), (10, 90.0)], "sensor-backwards:gpu0"),
        ([(0, 100.0), (10, 100.0)], "sensor-zero:gpu0"),
        ([(0, 100.0), (10, None)], "sensor-missing:gpu0"),
        ([(0, None), (10, 100.0)], "sensor-missing:gpu0"),
    ],
)
def test_what_is_not_known_is_none_and_named(rows, flag):
    seen = window(rows)
    assert seen.energy_j is None
    assert seen.flags == (flag,)


def test_standing_still_within_an_update_period_is_no_fault():
    assert window([(0, 100.0), (0.05, 100.0)]).energy_j == 0


def test_a_sum_with_a_missing_part_is_missing():
    both = Window(1.0, {"gpu0": 5.0, "cpu0": None})
    assert both.energy_j is None
    assert Window(1.0, {}).energy_j is None


def test_rapl_counts_packages_and_memory_but_not_the_parts_of_a_package(tmp_path):
    tree = FakeRapl(tmp_path)
    sensor = RaplSensor(tmp_path, VirtualClock())
    first = sensor.read()
    assert list(first.joules) == ["cpu0", "dram0", "cpu1", "dram1"]
    tree.set("0", 0.7)
    tree.set("0:0", 0.9)
    tree.set("0:1", 0.1)  # wrapped at 1 J
    tree.set("1", 0.6)
    tree.set("1:0", 0.8)
    seen = between(first, Sample(first.time_s + 1, sensor.read().joules), sensor)
    assert seen.joules == pytest.approx({"cpu0": 0.2, "dram0": 0.6, "cpu1": 0.1, "dram1": 0.3})
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert sensor.read().joules["cpu1"] is None


def test_zeus_millijoules_become_joules_and_errors_become_none(zeus):
    sensor, gpus = zeus
    first = sensor.read()
    gpus.clock.sleep(2.0)
    assert between(first, sensor.read(), sensor).energy_j == pytest.approx(200)
    gpus.broken = True
    assert sensor.read().joules == {"gpu0": None}


def test_a_gpu_without_a_counter_is_left_out_and_named(monkeypatch):
    error = pytest.importorskip("zeus.exception").ZeusBaseError

    class ThreeGpus(FakeGpus):
        def __len__(self):
            return 3

        def get_name(self, index):
            return ("A100", "GTX 1080", "A100")[index]

        def get_total_energy_consumption(self, index):
            if index == 1:
                raise error("not supported")
            return super().get_total_energy_consumption(index)

    gpus = ThreeGpus(VirtualClock())
    monkeypatch.setattr(counters, "_zeus_devices", lambda: (gpus, None))
    sensor = ZeusSensor(gpus.clock)
    first = sensor.read()
    gpus.clock.sleep(2.0)
    assert between(first, sensor.read(), sensor).joules == pytest.approx({"gpu0": 200, "gpu2": 200})
    assert sensor.origin == "Zeus: A100, A100, without gpu1 GTX 1080 (no counter)"


def chips():
    """Zeus's own readings of chips, and the joules that they stand for."""
    apple = pytest.importorskip("zeus.device.soc.apple").AppleSiliconMeasurement
    jetson = pytest.importorskip("zeus.device.soc.jetson").JetsonMeasurement
    return [
        (apple(cpu_total_mj=2000, dram_mj=10, gpu_mj=500), {"cpu": 2.0, "dram": 0.01, "gpu": 0.5}),
        (jetson(cpu_energy_mj=2000.0, gpu_energy_mj=3000.0, total_energy_mj=9000.0), {"module": 9.0}),
        (jetson(cpu_energy_mj=2000.0, gpu_energy_mj=3000.0), {"cpu": 2.0, "gpu": 3.0}),
    ]


def test_chips_are_read_by_what_they_count(monkeypatch):
    for measured, joules in chips():
        soc = SimpleNamespace(get_total_energy_consumption=lambda measured=measured: measured)
        monkeypatch.setattr(counters, "_zeus_devices", lambda soc=soc: (None, soc))
        assert ZeusSensor().read().joules == pytest.approx(joules)
        assert detect() is not None


def test_a_chip_that_cannot_be_read_is_missing(monkeypatch):
    failure = pytest.importorskip("zeus.device.soc.common").ZeusSoCInitError
    measured, joules = chips()[0]
    readings = iter([measured, failure("no permission")])

    def read():
        found = next(readings)
        if isinstance(found, Exception):
            raise found
        return found

    soc = SimpleNamespace(get_total_energy_consumption=read)
    monkeypatch.setattr(counters, "_zeus_devices", lambda: (None, soc))
    sensor = ZeusSensor()
    first = sensor.read()
    window = between(first, sensor.read(), sensor)
    assert window.energy_j is None
    assert window.flags == tuple(f"sensor-missing:{name}" for name in sorted(joules))


def test_detection_never_raises():
    found = detect()
    assert found is None or found.read().joules


def test_a_recording_plays_back_what_was_recorded(tmp_path):
    board = SimulatedBoard(noise=0.02, seed=3)
    record(board, tmp_path / "board.csv", duration_s=5.0, period_s=0.5, clock=board)
    played = ReplaySensor.load(tmp_path / "board.csv")
    first = played.read()
    played.clock.sleep(5.0)
    assert between(first, played.read(), played).energy_j == pytest.approx(60 * 5, rel=0.1)


def test_a_gap_in_a_recording_is_missing(tmp_path):
    (tmp_path / "gap.csv").write_text("time_s,gpu0,cpu0\n0,1.0,5.0\n1,,6.0\n")
    played = ReplaySensor.load(tmp_path / "gap.csv")
    first = played.read()
    played.clock.sleep(1.0)
    assert between(first, played.read(), played).joules == {"gpu0": None, "cpu0": 1.0}
