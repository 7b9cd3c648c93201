"""Two groups of networks, their energies compared: how far each spreads, and what goes with what.

The spread is the standard deviation over the mean (over networks, each the mean of its passes). Intervals are
95 % percentile bootstrap over networks. Two passes over the same networks tell the networks' own differences
from noise: their correlation is 1 where all of a spread is the networks', 0 where all of it is the machine's.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Interval = tuple[float, float]
Floats = NDArray[np.float64]
_RESAMPLES = 2000


@dataclass(frozen=True)
class Sample:
    """One network: energy in each pass."""

    group: str
    learning_rate: float
    values: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; NaN where it is not defined (nothing varies)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "–" if np.isnan(self.value) else f"{self.value:.2f} ({self.low:.2f} … {self.high:.2f})"


@dataclass(frozen=True)
class Summary:
    """Spreads are relative; correlations are Spearman's."""

    rates: int
    repeats: int
    mean_rates: float
    mean_repeats: float
    spread_rates: float
    spread_repeats: float
    ratio: Estimate
    passes: Estimate
    with_rate: Estimate
    with_error: Estimate

    def __str__(self) -> str:
        spreads = (f"{100 * spread:.3g} %" for spread in (self.spread_rates, self.spread_repeats))
        return " | ".join([*spreads, *map(str, (self.ratio, self.passes, self.with_rate, self.with_error))])

    def as_dict(self) -> dict[str, object]:
        """Plain values; what is not defined (NaN, which JSON lacks) is None."""
        return asdict(self, dict_factory=lambda pairs: {k: None if v != v else v for k, v in pairs})


def spread(values: Floats) -> float:
    return float(np.std(values, ddof=1) / np.mean(values)) if np.ptp(values) > 0 else 0.0


def correlation(x: Floats, y: Floats) -> float:
    """Spearman's."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def bootstrap(estimate: Callable[..., float], *groups: Floats) -> Estimate:
    """`estimate` of the groups, and of groups whose rows are drawn from them with replacement."""
    rng = np.random.default_rng(0)
    value = estimate(*groups)
    if np.isnan(value):
        return Estimate(value, value, value)
    drawn = [
        estimate(*(group[rng.integers(len(group), size=len(group))] for group in groups))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def summarise(samples: Sequence[Sample]) -> Summary:
    rates, repeats = ([s for s in samples if s.group == group] for group in ("rates", "repeats"))
    means, base = _means(rates), _means(repeats)
    return Summary(
        rates=len(rates),
        repeats=len(repeats),
        mean_rates=float(means.mean()),
        mean_repeats=float(base.mean()),
        spread_rates=spread(means),
        spread_repeats=spread(base),
        ratio=bootstrap(lambda a, b: spread(a) / spread(b) if spread(b) else float("nan"), means, base),
        passes=_together(np.array([sample.values[:2] for sample in rates if len(sample.values) > 1])),
        with_rate=_together(np.stack([_column(rates, "learning_rate"), means], axis=1)),
        with_error=_together(np.stack([_column(rates, "error"), means], axis=1)),
    )


def _together(pairs: Floats) -> Estimate:
    """How two columns go together."""
    if len(pairs) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    return bootstrap(lambda drawn: correlation(*drawn.T), pairs)


def _means(samples: Sequence[Sample]) -> Floats:
    return np.array([np.mean(sample.values) for sample in samples])


def _column(samples: Sequence[Sample], name: str) -> Floats:
    return np.array([getattr(sample, name) for sample in samples])


def draw(found: dict[str, Sequence[Sample]], path: Path) -> None:
    """Boxes of both groups, and energy against the rate, a row a source; relative to the repeats' mean."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(found), 2, figsize=(9, 2.2 * len(found)), layout="constrained", squeeze=False
    )
    for (left, right), (source, samples) in zip(axes, found.items(), strict=True):
        groups = {group: [s for s in samples if s.group == group] for group in ("repeats", "rates")}
        base = _means(groups["repeats"]).mean()
        left.boxplot(
            [_means(some) / base for some in groups.values()],
            tick_labels=list(groups),
            orientation="horizontal",
        )
        right.plot(_column(groups["rates"], "learning_rate"), _means(groups["rates"]) / base, ".")
        right.set_xscale("log")
        left.set_title(source, loc="left", fontsize="medium")
        right.set_xlabel("learning rate")
    figure.supxlabel(
        "energy (instructions for the C program) relative to the mean of the repeats", fontsize="medium"
    )
    figure.savefig(path, dpi=100)
