"""The front as a small SVG that needs no script: for notebooks, and for pages that must stay small.

It shows what `front.png` shows. Text takes the colour of what surrounds it, and marks take the page's colours
where it has some (`--front` and so on) or else tones that stand out on white and on black, so one drawing
serves light and dark. A mark tells its trial when the mouse rests on it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jouleshift.analysis.digest import Digest, Point
from jouleshift.analysis.pareto import FloatArray, objectives, points_of
from jouleshift.analysis.thinning import evenly
from jouleshift.report.canvas import wants_log
from jouleshift.report.figures import energy_unit
from jouleshift.report.markup import Markup, element
from jouleshift.report.sentences import front_in_words
from jouleshift.report.units import percent

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 46
FAINT = "stroke:currentColor;stroke-opacity:.18"
MOST_DOTS = 250
"""Of each group of trials no more than so many are drawn: evenly chosen in the order of proposal."""


@dataclass(frozen=True)
class Axis:
    """Values `low` … `high`, low < high, onto pixels `start` … `end`; `log` for positive values only."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Three to ten round values inside."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [digit * 10.0**d for d in decades for digit in (1, 2, 5)]
        else:
            step = _round_step((self.high - self.low) / 6)
            found = [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [t for t in found if self.low <= t <= self.high]


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9))


def front_sketch(view: Digest) -> Markup:
    """The drawing; empty where no trial has a result."""
    pairs = [pair for p in view.points if (pair := objectives(p.record)) is not None]
    if not pairs:
        return Markup()
    values, unit = points_of([p.record for p in view.points if objectives(p.record)]), energy_unit(view)
    x = _axis(values[:, 1] / unit.scale, LEFT, WIDTH - RIGHT, log=wants_log(values[:, 1]))
    y = _axis(100 * values[:, 0], HEIGHT - BOTTOM, TOP)
    place = _Place(x, y, unit.scale)
    return element(
        "svg",
        _grid(x, y, f"energy per image ({unit.name})"),
        _dots(place, view.of("lower"), "fill:var(--lower,#9aa0aa);fill-opacity:.8", 2),
        _dots(place, view.of("rejected"), "fill:var(--rejected,#858b95)", 2.5),
        _dots(place, view.of("infeasible"), "fill-opacity:0;stroke:var(--rejected,#858b95)", 2.5),
        _staircase(place, points_of(view.comparison.front)),
        _dots(place, view.of("front"), "fill:var(--front,#4c86ea)", 4.5),
        *(_star(place, p) for p in view.of("default")),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=front_in_words(view),
        style=f"max-width:{WIDTH}px;width:100%;height:auto;font:11px system-ui,sans-serif",
    )


@dataclass(frozen=True)
class _Place:
    x: Axis
    y: Axis
    scale: float

    def of(self, error: float, energy_j: float) -> tuple[float, float]:
        return self.x(energy_j / self.scale), self.y(100 * error)


def _axis(values: FloatArray, start: float, end: float, log: bool = False) -> Axis:
    """An axis that holds the values with some room around them."""
    low, high = float(values.min()), float(values.max())
    if log:
        room = (high / low) ** 0.05
        return Axis(low / room, high * room, start, end, log)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(low - room, high + room, start, end)


def _grid(x: Axis, y: Axis, label: str) -> list[Markup]:
    bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    lines = [_line(x(t), TOP, x(t), bottom) for t in x.ticks]
    lines += [_line(LEFT, y(t), WIDTH - RIGHT, y(t)) for t in y.ticks]
    texts = [_text(f"{t:.6g}", x(t), bottom + 15, "middle") for t in x.ticks]
    texts += [_text(f"{t:.6g}", LEFT - 6, y(t) + 4, "end") for t in y.ticks]
    texts.append(_text(label, middle, HEIGHT - 10, "middle"))
    upright = f"rotate(-90 12 {(TOP + bottom) / 2})"
    return [*lines, *texts, _text("error (%)", 12, (TOP + bottom) / 2, "middle", transform=upright)]


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("path", d=f"M{x1} {y1}L{x2} {y2}", style=FAINT)


def _text(words: str, x: float, y: float, anchor: str, **more: str) -> Markup:
    place = {"x": str(x), "y": str(y), "text-anchor": anchor}
    return element("text", words, fill="currentColor", **place, **more)


def _dots(place: _Place, points: Sequence[Point], style: str, radius: float) -> Markup:
    marks = []
    for point in evenly(points, MOST_DOTS):
        pair = objectives(point.record)
        if pair is not None:
            cx, cy = place.of(*pair)
            marks.append(element("circle", _title(point), cx=str(cx), cy=str(cy), r=str(radius)))
    return element("g", marks, style=style)


def _title(point: Point) -> Markup:
    pair = objectives(point.record)
    assert pair is not None
    return element("title", f"trial {point.record.trial.id}: {percent(1 - pair[0])}")


def _star(place: _Place, point: Point) -> Markup | None:
    pair = objectives(point.record)
    if pair is None:
        return None
    cx, cy = place.of(*pair)
    corners = [
        (cx + r * math.sin(k * math.pi / 5), cy - r * math.cos(k * math.pi / 5))
        for k, r in enumerate((9, 3.8) * 5)
    ]
    shape = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    title = element("title", f"default configuration: {percent(1 - pair[0])}")
    return element("polygon", title, points=shape, style="fill:var(--default,#e07b00)")


def _staircase(place: _Place, front: FloatArray) -> Markup | None:
    """From each member right and up to the next more frugal one's height, as the front dominates."""
    corners = [place.of(*row) for row in front[front[:, 1].argsort()].tolist()]
    if len(corners) < 2:
        return None
    steps = "".join(f"H{a}V{b}" for a, b in corners[1:])
    path = f"M{corners[0][0]} {corners[0][1]}{steps}"
    return element("path", d=path, style="fill:none;stroke:var(--front,#4c86ea);stroke-width:1.6")
