"""Which of two networks uses less: a ratio on one board, from interleaved windows.

Two separate measurements of the same network easily differ by a few percent, because the board warms and
its gain drifts. Windows of A and B in the order A B B A, again and again, see the same drift: what is
linear in time cancels within each four. Each four gives the logarithm of the ratio B / A; exp of their mean
is the ratio. Where its 95 % interval includes 1 the networks are "tied".

How many fours are needed depends on how much they scatter. Stopping as soon as the interval looks narrow
would stop at lucky moments and find differences that are not there (12 % of A/A comparisons in a simulation,
not 5 %). Stein's two stages (1945) avoid that: a pilot of n fours gives the spread s once and for all, then
N = (t s / precision)² fours in all are made, and the interval is mean ± t s / √N with t of n − 1 degrees of
freedom. Its coverage is exact for normal noise, however N turns out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from statistics import fmean
from typing import Literal

from jouleshift.energy.meter import EnergyMeter, interval95
from jouleshift.energy.quiet import measuring, trials_running
from jouleshift.errors import BadInput

Verdict = Literal["A", "B", "tied", "unknown"]


@dataclass(frozen=True)
class Comparison:
    """Joules per item of B over those of A, gross. `verdict` names the one that uses less.

    `fours` is the number of A B B A that gave a value. `ratio` and `interval` are None, and the verdict
    "unknown", where too few windows gave a value.
    """

    ratio: float | None
    interval: tuple[float, float] | None
    verdict: Verdict
    fours: int
    origin: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        if self.ratio is None or self.interval is None:
            return f"B / A unknown ({', '.join(self.flags)})"
        low, high = self.interval
        return f"B / A = {self.ratio:.4f} ({low:.4f} … {high:.4f}), {self.verdict}"


def compare(
    meter: EnergyMeter,
    a: Callable[[], object],
    b: Callable[[], object],
    *,
    items: tuple[int, int] = (1, 1),
    pilot: int = 6,
    most: int = 20,
    precision: float = 0.01,
) -> Comparison:
    """Compare the energy per item of `a` and `b`, whose calls process `items` items each.

    At least `pilot` fours (A B B A) are measured, and at most `most`, for an interval of ± `precision`.
    """
    if min(items) < 1:
        raise BadInput(f"{min(items)} items a call: expected at least 1")
    with measuring(meter.protocol.lock_timeout_s) as alone:
        beside = trials_running()
        if not alone or (beside and meter.protocol.refuse_beside_trials):
            why = "trials-beside" if alone else "another-measurement"
            return Comparison(None, None, "unknown", 0, meter.origin, ("refused", why))
        flags = {"trials-beside"} if beside else set[str]()
        meter.warm_up(a)
        meter.warm_up(b)
        first = _fours(meter, (a, b), items, pilot, flags)
        spread = _spread(first)
        needed = 0 if spread is None else min(most, ceil((spread / precision) ** 2)) - pilot
        logs = first + _fours(meter, (a, b), items, needed, flags)
    return _conclude(logs, spread, meter.origin, tuple(sorted(flags)))


def _fours(
    meter: EnergyMeter,
    functions: tuple[Callable[[], object], Callable[[], object]],
    items: tuple[int, int],
    count: int,
    flags: set[str],
) -> list[float]:
    """The log ratios of `count` fours; one with a window without value gives none."""
    return [log_ratio for _ in range(count) for log_ratio in _four(meter, functions, items, flags)]


def _four(
    meter: EnergyMeter,
    functions: tuple[Callable[[], object], Callable[[], object]],
    items: tuple[int, int],
    flags: set[str],
) -> list[float]:
    """The log ratio of one A B B A, or nothing where a window has no value."""
    logs: list[list[float]] = [[], []]
    for which in (0, 1, 1, 0):
        window, calls = meter.window(functions[which])
        flags.update(window.flags)
        if window.energy_j:
            logs[which].append(log(window.energy_j / (calls * items[which])))
    if any(len(side) < 2 for side in logs):
        flags.add("lost-windows")
        return []
    return [fmean(logs[1]) - fmean(logs[0])]


def _spread(logs: Sequence[float]) -> float | None:
    """t s of the pilot: half the interval of a single four."""
    interval = interval95(logs)
    return None if interval is None else (interval[1] - interval[0]) / 2 * len(logs) ** 0.5


def _conclude(logs: Sequence[float], spread: float | None, origin: str, flags: tuple[str, ...]) -> Comparison:
    if spread is None:
        return Comparison(None, None, "unknown", len(logs), origin, flags)
    half = spread / len(logs) ** 0.5
    low, high = exp(fmean(logs) - half), exp(fmean(logs) + half)
    verdict: Verdict = "A" if low > 1 else "B" if high < 1 else "tied"
    return Comparison(exp(fmean(logs)), (low, high), verdict, len(logs), origin, flags)
