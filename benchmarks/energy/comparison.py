"""How well the comparison of two networks works on boards whose truth is known: a table of docs/energy.md.

    python -m benchmarks.energy.comparison        from the root of the repository; about two minutes

Simulated boards warm by 1 % a minute, read 5 % too much and scatter from window to window.
"""

from collections.abc import Iterator
from statistics import fmean

from tests.energy.boards import SimulatedBoard

from jouleshift.energy.compare import Comparison, compare
from jouleshift.energy.meter import EnergyMeter, Protocol

RUNS = 200


def comparisons(noise: float, factor: float, runs: int = RUNS) -> Iterator[Comparison]:
    """A network of 200 W against one of `factor` times as much."""
    for seed in range(runs):
        board = SimulatedBoard(noise=noise, warming=0.01 / 60, gain=1.05, seed=seed)
        meter = EnergyMeter(board, clock=board, protocol=Protocol())
        yield compare(meter, board.work(200, 0.1), board.work(200 * factor, 0.1))


def row(noise: float) -> str:
    same, more = list(comparisons(noise, 1.0)), list(comparisons(noise, 1.03))
    tied = fmean(c.verdict == "tied" for c in same)
    near = fmean(abs(c.ratio - 1) < 0.01 for c in same)
    half = fmean(c.interval[1] - c.interval[0] for c in same) / 2
    found = fmean(c.verdict == "A" for c in more)
    fours = fmean(c.fours for c in same)
    return f"| {noise:.1%} | {tied:.0%} | {near:.0%} | ± {half:.1%} | {found:.0%} | {fours:.0f} |".replace(
        "%", " %"
    )


if __name__ == "__main__":
    columns = ["scatter of a window", "A against A: tied", "within ± 1 %", "interval"]
    print(f"| {' | '.join([*columns, 'A against 1.03 A: found', 'fours'])} |")
    print("| --- | --- | --- | --- | --- | --- |")
    for noise in (0.005, 0.01, 0.015, 0.02, 0.03):
        print(row(noise))
