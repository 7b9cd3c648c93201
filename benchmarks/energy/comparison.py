"""How well the comparison of two networks works where the truth is known: a table of docs/energy.md.

    python -m benchmarks.energy.comparison        from the root of the repository; about five minutes

A simulated board at a steady 200 W (it warms by 1 % a minute, reads 5 % too much, updates ten times a second
and scatters from window to window) is recorded to a file, and the recording played back to the meter. On a
steady board B uses 3 % more than A where its calls take 3 % longer. Results: results/comparison.json.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from tests.energy.boards import SimulatedBoard

from benchmarks.measuring import write
from jouleshift.energy.compare import Comparison, compare
from jouleshift.energy.meter import EnergyMeter, Protocol
from jouleshift.energy.replay import ReplaySensor, record

RUNS = 200
SCATTERS = (0.005, 0.01, 0.015, 0.02, 0.03)
LONGEST_S = 900.0
CALL_S = 0.1


@dataclass(frozen=True)
class Row:
    """Shares of the runs at one scatter; `half_width` is the mean of A/A intervals, relative."""

    scatter: float
    runs: int
    tied: float
    within_one_percent: float
    half_width: float
    found_three_percent: float
    fours: float

    def __str__(self) -> str:
        shares = (f"{self.tied:.0%}", f"{self.within_one_percent:.0%}", f"± {self.half_width:.1%}")
        cells = (f"{self.scatter:.1%}", *shares, f"{self.found_three_percent:.0%}", f"{self.fours:.0f}")
        return f"| {' | '.join(cells)} |".replace("%", " %")


def recording(scatter: float, seed: int, folder: Path) -> ReplaySensor:
    board = SimulatedBoard(idle_w=200, noise=scatter, warming=0.01 / 60, gain=1.05, seed=seed)
    path = folder / "board.csv"
    record(board, path, LONGEST_S, board.update_period_s, board)
    return ReplaySensor.load(path)


def compared(sensor: ReplaySensor, factor: float) -> Comparison:
    """A network against one of `factor` times its energy."""
    clock = sensor.clock
    meter = EnergyMeter(sensor, clock=clock, protocol=Protocol())
    return compare(meter, lambda: clock.sleep(CALL_S), lambda: clock.sleep(CALL_S * factor))


def both(scatter: float, runs: int) -> Iterator[tuple[Comparison, Comparison]]:
    """A against A, and A against 1.03 A, on as many recordings."""
    with TemporaryDirectory() as folder:
        for seed in range(runs):
            yield tuple(compared(recording(scatter, seed, Path(folder)), factor) for factor in (1.0, 1.03))


def row(scatter: float, runs: int = RUNS) -> Row:
    same, more = zip(*both(scatter, runs), strict=True)
    return Row(
        scatter,
        runs,
        tied=fmean(c.verdict == "tied" for c in same),
        within_one_percent=fmean(abs(c.ratio - 1) < 0.01 for c in same),
        half_width=fmean(c.interval[1] - c.interval[0] for c in same) / 2,
        found_three_percent=fmean(c.verdict == "A" for c in more),
        fours=fmean(c.fours for c in same),
    )


def main() -> None:
    columns = ["scatter of a window", "A against A: tied", "within ± 1 %", "interval"]
    print(f"| {' | '.join([*columns, 'A against 1.03 A: found', 'fours'])} |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for scatter in SCATTERS:
        rows.append(row(scatter))
        print(rows[-1], flush=True)
    write("comparison", {"rows": [asdict(one) for one in rows]})


if __name__ == "__main__":
    main()
