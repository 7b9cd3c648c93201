"""The front as a picture of characters: energy to the right, on a log scale, accuracy upwards."""

import math
from typing import TYPE_CHECKING

from jouleshift.analysis.digest import Digest, Role
from jouleshift.analysis.pareto import objectives
from jouleshift.report.units import percent, quantity

if TYPE_CHECKING:
    from rich.text import Text

MARKS: dict[Role, tuple[str, str]] = {
    "lower": ("·", "dim"),
    "infeasible": ("×", ""),
    "rejected": ("∘", ""),
    "default": ("◆", "bold yellow"),
    "front": ("●", "bold green"),
}
"""Character and style of each role; of two in one place the later is seen."""

Dot = tuple[float, float, Role]


def picture(view: Digest, width: int, height: int) -> "Text":
    """Every finished trial of a run in so many columns and lines, axes included (at least 24 by 4)."""
    from rich.text import Text

    dots = _dots(view)
    if not dots:
        return Text("No trial has a result to draw yet.", "dim")
    columns, lines = width - 9, height - 2
    xs, ys = [x for x, _, _ in dots], [y for _, y, _ in dots]
    cells: dict[tuple[int, int], Role] = {}
    for x, y, role in sorted(dots, key=lambda dot: list(MARKS).index(dot[2])):
        cells[_place(-y, -max(ys), -min(ys), lines), _place(x, min(xs), max(xs), columns)] = role
    text = Text(no_wrap=True)
    for line in range(lines):
        label = percent(max(ys)) if line == 0 else percent(min(ys)) if line == lines - 1 else ""
        text.append(f"{label:>7} │", "dim")
        for column in range(columns):
            text.append(*MARKS.get(cells.get((line, column), "failed"), (" ", "")))
        text.append("\n")
    low, high = quantity(10 ** min(xs), "J"), quantity(10 ** max(xs), "J")
    text.append(f"{'':>7} └{'─' * columns}\n{'':>9}{low}{high:>{max(1, columns - len(low))}}", "dim")
    return text


def _dots(view: Digest) -> list[Dot]:
    """(log10 joules, accuracy, role) of what has a result; energies of zero have no place on the scale."""
    dots: list[Dot] = []
    for point in view.of(*MARKS):
        pair = objectives(point.record)
        if pair is not None and pair[1] > 0:
            dots.append((math.log10(pair[1]), 1 - pair[0], point.role))
    return dots


def _place(value: float, low: float, high: float, cells: int) -> int:
    return round((value - low) / (high - low) * (cells - 1)) if high > low else (cells - 1) // 2
