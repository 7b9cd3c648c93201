"""The paper's figures with our numbers: fronts, importance, emissions over learning rates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jouleshift.analysis.attainment import attainment_of
from jouleshift.analysis.digest import Digest
from jouleshift.analysis.importance import Effect, RunImportance
from jouleshift.analysis.pareto import complete
from jouleshift.paper.published import Front
from jouleshift.report.canvas import (
    DEFAULT,
    FRONT,
    SOFT,
    legend,
    literal,
    picture,
    prepare,
    staircase,
    to_png,
)
from jouleshift.report.figures import draw_front, energy_unit
from jouleshift.report.sentences import energy_stamp
from jouleshift.report.units import Unit
from jouleshift.words import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#2f6fde", "#e07b00", "#17793f", "#8a3fb0", "#b42355", "#0e7f8a", "#7a6a1d", "#5b616b")


def fronts_picture(published: Front, view: Digest, title: str) -> bytes:
    """Two panels: the printed front on the left, ours over all seeds on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=12, fontweight="bold")
    prepare(left, "published, three seeds", "emissions (1e-4 g CO₂eq, A100)", "error (%)")
    _published(left, published)
    unit = energy_unit(view)
    prepare(
        right,
        f"ours, {count(len(view.runs), 'seed')}",
        f"energy per image ({unit.name})",
        "validation error (%)",
    )
    finished = [run for run in view.runs if complete(run)]
    draw_front(right, view, unit, attainment_of(finished) if len(finished) > 1 else None)
    figure.supxlabel(literal(energy_stamp(view)[:170]), fontsize=7.5, color=SOFT, x=0.01, ha="left")
    return to_png(figure, dpi=110)


def _published(axes: "Axes", front: Front) -> None:
    points = np.array([(c.error, c.emissions_g) for c in front.columns])
    unit = Unit(1e-4, "1e-4 g")
    staircase(axes, points, unit, color=FRONT, linewidth=1.6)
    axes.scatter(points[:, 1] / unit.scale, 100 * points[:, 0], color=FRONT, s=46, edgecolor="white",
                 label=f"front ({len(points)})", zorder=4)  # fmt: skip
    if front.default is not None:
        axes.scatter([front.default.emissions_g / unit.scale], [100 * front.default.error], color=DEFAULT,
                     s=190, marker="*", edgecolor="white", label="default", zorder=5)  # fmt: skip
    legend(axes)


def importance_picture(effects: Sequence[Effect], title: str, stamp: str) -> bytes:
    """Main effects as bars, the most important on top, whiskers one standard deviation over the trees."""
    rows = sorted(effects, key=lambda e: e.mean)
    figure, axes = picture(title, "share of variance (%)", "", stamp, size=(7, 4.2))
    axes.barh([e.names[0].replace("_", " ") for e in rows], [100 * e.mean for e in rows],
              xerr=[100 * e.sd for e in rows], color=FRONT, error_kw={"elinewidth": 1})  # fmt: skip
    axes.set_xlim(left=0)
    return to_png(figure, dpi=110)


def weights_picture(found: RunImportance, title: str, stamp: str) -> bytes:
    """Importance of each hyperparameter as the weight moves from emissions to loss."""
    grid, shares = found.over_weights
    x, y = "weight on the loss (the rest on emissions)", "share of variance (%)"
    figure, axes = picture(title, x, y, stamp, size=(8, 4.6))
    order = np.argsort(-shares.max(axis=0))
    for place, axis in enumerate(order):
        name = found.error.domains[axis].name.replace("_", " ")
        color, line = COLORS[place % len(COLORS)], "-" if place < len(COLORS) else ":"
        axes.plot(grid, 100 * shares[:, axis], color=color, linestyle=line, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return to_png(figure, dpi=110)


def rates_picture(groups: Sequence[tuple[str, Sequence[float]]], stamp: str) -> bytes:
    """Emissions of each group of networks as a box, with every one as a dot."""
    figure, axes = picture("Emissions over learning rates", "", "emissions per image (g CO₂eq)", stamp,
                           size=(6, 4.6))  # fmt: skip
    places = range(1, len(groups) + 1)
    axes.boxplot([list(values) for _, values in groups], widths=0.4, showfliers=False)
    for place, (_, values) in zip(places, groups, strict=True):
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(place + spread, values, s=10, color=FRONT, alpha=0.6)
    axes.set_xticks(list(places), [f"{name} (n = {len(values)})" for name, values in groups])
    return to_png(figure, dpi=110)
