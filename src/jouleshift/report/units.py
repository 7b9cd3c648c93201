"""Numbers as people read them: an SI prefix that fits, three significant digits.

A shift network's inference takes picojoules on paper and millijoules on a server, so no fixed unit is
readable. A figure or a table chooses one prefix for all its values; a sentence chooses one per number.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PREFIXES = (
    (1e-15, "f"),
    (1e-12, "p"),
    (1e-9, "n"),
    (1e-6, "µ"),
    (1e-3, "m"),
    (1.0, ""),
    (1e3, "k"),
    (1e6, "M"),
)


@dataclass(frozen=True)
class Unit:
    """A unit with its prefix: a value in it is the plain value divided by `scale`."""

    scale: float
    name: str

    def show(self, value: float | None, digits: int = 3) -> str:
        """A plain value in this unit, without the unit's name; an em dash where there is none."""
        return "–" if value is None else significant(value / self.scale, digits)


def unit_for(values: Iterable[float | None], base: str) -> Unit:
    """The unit in which the median of the values lies between 1 and 1000; zeros and None do not count."""
    sizes = sorted(abs(v) for v in values if v is not None and v != 0 and math.isfinite(v))
    if not sizes:
        return Unit(1.0, base)
    middle = sizes[len(sizes) // 2]
    scale, prefix = max((p for p in _PREFIXES if p[0] <= middle * (1 + 1e-9)), default=_PREFIXES[0])
    return Unit(scale, prefix + base)


def quantity(value: float | None, base: str, digits: int = 3) -> str:
    """One number with the unit that suits it.

    >>> quantity(1.234e-8, "J")
    '12.3 nJ'
    """
    if value is None:
        return "–"
    unit = unit_for([value], base)
    return f"{unit.show(value, digits)} {unit.name}"


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent where that stays short.

    >>> significant(1234.5), significant(0.012345)
    ('1234', '0.0123')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: 0.123 → "12.3 %"."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f} %"


_SHOWN = {"error": ("error", ""), "energy_j": ("energy", "J"), "latency_s": ("latency", "s"),
          "size_bytes": ("size", "B")}  # fmt: skip


def short_name(objective: str) -> str:
    """An objective without its unit: "energy_j" → "energy"."""
    return _SHOWN[objective][0]


def objective_unit(objective: str, values: Iterable[float | None]) -> Unit:
    """The unit that suits these values of an objective."""
    return unit_for(values, _SHOWN[objective][1])


def amount(objective: str, value: float) -> str:
    """`amount("size_bytes", 64e3)` is "64.0 kB"."""
    base = _SHOWN[objective][1]
    return quantity(value, base) if base else f"{value:g}"


def upper_limit(objective: str, value: float) -> str:
    """`upper_limit("size_bytes", 64e3)` is "size ≤ 64.0 kB"."""
    return f"{short_name(objective)} ≤ {amount(objective, value)}"


def listed(parts: Sequence[str]) -> str:
    """`listed(["a", "b", "c"])` is "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def duration(seconds: float) -> str:
    """A span of time in the two largest units that matter: 3725 → "1 h 2 min"."""
    if seconds < 60:
        return f"{significant(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
