import jouleshift as js
from jouleshift.api import Silent
from jouleshift.records import CarbonIntensity
from jouleshift.report.live import LiveReport
from tests.analysis.synthetic import hyperband_run

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")


class Clock:
    """A clock that stands still but for what a test, or the work it stands for, adds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_pages_are_written_at_most_so_often(tmp_path):
    clock, reads = Clock(), []

    def read():
        reads.append(clock.now)
        clock.now += 2.0  # what reading and writing take
        return hyperband_run(30, path=tmp_path)

    live = LiveReport(WORLD, pause_s=10.0, clock=clock)
    assert live.update(read)
    assert 'id="follow"' in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "front.png").exists()
    assert not live.update(read)
    clock.now += 39.9
    assert not live.update(read)  # twenty times two seconds
    clock.now += 0.2
    assert live.update(read)
    assert len(reads) == 2


def test_a_quick_page_still_waits_the_pause(tmp_path):
    clock = Clock()
    live = LiveReport(WORLD, pause_s=10.0, clock=clock)
    assert live.update(lambda: hyperband_run(30, path=tmp_path))
    clock.now += 9.9
    assert not live.update(lambda: hyperband_run(30, path=tmp_path))
    clock.now += 0.2
    assert live.update(lambda: hyperband_run(30, path=tmp_path))


def test_a_search_writes_its_page_while_it_runs(tmp_path):
    """With the second trial's first epoch the page of the first is there, and follows the run."""
    out, seen = tmp_path / "run", []

    class Looking(Silent):
        def epoch(self, trial, epoch):
            if trial.id == 2 and not seen:
                seen.append((out / "report.html").read_text())

    settings = {"model": "tiny", "scheduler": "random", "min_budget": 1, "max_budget": 1, "limit_train": 100}
    js.search("digits", trials=2, threads=1, watcher=Looking(), out=out, **settings)
    assert 'id="follow"' in seen[0]
    assert 'id="follow"' not in (out / "report.html").read_text()
