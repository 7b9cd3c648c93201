"""The front as a picture: error against energy per inference, the default configuration as a star.

What was tried and dominated stays visible in grey, lower budgets fainter still, so that the picture shows how
much was searched, not only what was found.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleshift.analysis.attainment import Attainment
from jouleshift.analysis.digest import Digest, Point
from jouleshift.analysis.pareto import FloatArray, objectives, points_of
from jouleshift.analysis.verification import Verification
from jouleshift.report.canvas import (
    DEFAULT,
    FRONT,
    LOWER,
    REJECTED,
    SOFT,
    legend,
    picture,
    scale_energy,
    staircase,
    to_png,
)
from jouleshift.report.sentences import energy_stamp
from jouleshift.report.units import Unit, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def energy_unit(view: Digest) -> Unit:
    """The unit in which a digest's energies per image are shown."""
    return unit_for([result.energy.energy_j for result in view.results], "J")


def front_png(view: Digest, title: str, attainment: Attainment | None = None, dpi: int = 160) -> bytes:
    """The figure as a PNG file, the same bytes for the same digest; several runs with their attainment."""
    unit = energy_unit(view)
    errors = "validation error (%)" if view.verification is None else "error (%)"
    figure, axes = picture(title, f"energy per image ({unit.name})", errors, energy_stamp(view))
    draw_front(axes, view, unit, attainment)
    return to_png(figure, dpi)


def draw_front(axes: "Axes", view: Digest, unit: Unit, attainment: Attainment | None = None) -> None:
    """The same on a pair of axes."""
    _draw(axes, view, unit)
    if attainment is not None:
        _draw_attainment(axes, attainment, unit)
    if view.verification is not None:
        _draw_verified(axes, view.verification, unit)
    if axes.has_data():
        legend(axes, loc="upper right")


def _draw(axes: "Axes", view: Digest, unit: Unit) -> None:
    _scatter(axes, view.of("lower"), unit, "lower budget", color=LOWER, s=12)
    _scatter(axes, view.of("rejected"), unit, "dominated", color=REJECTED, s=20)
    _scatter(
        axes, view.of("infeasible"), unit, "infeasible", color=REJECTED, s=24, marker="x", edgecolor=None
    )
    staircase(axes, points_of(view.comparison.front), unit, color=FRONT, alpha=0.9, linewidth=1.6)
    _scatter(axes, view.of("front"), unit, "front", color=FRONT, s=46, edgecolor="white", zorder=4)
    _scatter(
        axes,
        view.of("default"),
        unit,
        "default",
        color=DEFAULT,
        s=190,
        marker="*",
        edgecolor="white",
        zorder=5,
    )
    points = _array([p for p in view.points if p.role != "failed"])
    if not len(points):
        axes.text(0.5, 0.5, "no finished trial yet", transform=axes.transAxes, ha="center", color=SOFT)
        return
    scale_energy(axes, points[:, 1])


def _draw_attainment(axes: "Axes", attainment: Attainment, unit: Unit) -> None:
    """The median surface of several runs and the band that holds the middle half of them."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    good, bad = attainment.optimistic, attainment.pessimistic
    inner = np.unique(np.concatenate((good[:, 1], bad[:, 1]))) / unit.scale
    x = np.concatenate((inner, [max(right, inner[-1])]))
    bottom, top = (np.minimum(_height(surface, x * unit.scale), high) for surface in (good, bad))
    band: dict[str, Any] = {"color": FRONT, "alpha": 0.12, "linewidth": 0, "label": "middle half of the runs"}
    axes.fill_between(x, bottom, top, step="post", **band)
    line: dict[str, Any] = {"alpha": 0.8, "linewidth": 1.2, "linestyle": "--", "label": "median of the runs"}
    staircase(axes, attainment.median, unit, color=FRONT, **line)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _height(surface: FloatArray, energy_j: FloatArray) -> FloatArray:
    """The error in percent that a surface reaches at each energy; infinite before its first corner."""
    index = np.searchsorted(surface[:, 1], energy_j * (1 + 1e-12), side="right") - 1
    return np.where(index >= 0, 100 * surface[np.maximum(index, 0), 0], np.inf)


def _draw_verified(axes: "Axes", verification: Verification, unit: Unit) -> None:
    """Means on test images, with one standard deviation over the fresh seeds."""
    for label, members, color in (
        ("front, on test images", verification.members, FRONT),
        ("default, on test images", verification.defaults, DEFAULT),
    ):
        if members:
            axes.errorbar(
                [m.energy_j / unit.scale for m in members],
                [100 * m.error for m in members],
                [100 * (m.error_sd or 0.0) for m in members],
                fmt="D", color=color, markersize=5, markerfacecolor="white", linewidth=1, capsize=2, zorder=6,
                label=f"{label} ({len(members)})",
            )  # fmt: skip


def _array(points: Sequence[Point]) -> FloatArray:
    pairs = [pair for p in points if (pair := objectives(p.record)) is not None]
    return np.array(pairs, dtype=float).reshape(-1, 2)


def _scatter(axes: "Axes", points: Sequence[Point], unit: Unit, label: str, **style: Any) -> None:
    values = _array(points)
    if len(values):
        style.setdefault("edgecolor", "none")
        axes.scatter(values[:, 1] / unit.scale, 100 * values[:, 0], label=f"{label} ({len(values)})", **style)
