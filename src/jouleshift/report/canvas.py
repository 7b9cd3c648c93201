"""Pictures on matplotlib's own canvas, without pyplot: nothing global is touched, no display is needed.

All look alike: a title on the left, a light grid, and at the bottom where the energies come from, since
pictures travel without their page. The same data give the same bytes.
"""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleshift.analysis.domains import LOG_SPAN
from jouleshift.analysis.pareto import FloatArray
from jouleshift.report.units import Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONT, DEFAULT, REJECTED, LOWER, SOFT = "#2f6fde", "#e07b00", "#8a8f98", "#c9ccd2", "#5b616b"

_LABELLED_SPAN = 1000.0


def wants_log(values: FloatArray) -> bool:
    """Whether positive values span so much that a linear axis would press most of them together."""
    return bool(values.size and values.min() > 0 and values.max() >= LOG_SPAN * values.min())


def scale_energy(axes: "Axes", energy_j: FloatArray) -> None:
    """Logarithms where the values span much, labelled at 1, 2 and 5, over many decades at 1."""
    if not wants_log(energy_j):
        return
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    few = energy_j.max() < _LABELLED_SPAN * energy_j.min()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend(axes: "Axes", **place: Any) -> None:
    """What the marks are, on a ground that lets points behind it be guessed and its words be read."""
    axes.legend(fontsize=9, facecolor="white", edgecolor="none", framealpha=0.85, **place)


def picture(
    title: str, x: str, y: str, stamp: str, size: tuple[float, float] = (8, 5.2)
) -> "tuple[Figure, Axes]":
    """An empty picture with one pair of axes, `size` in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    prepare(axes, title, x, y)
    figure.supxlabel(literal(_shorten(stamp, 130)), fontsize=7.5, color=SOFT, x=0.01, ha="left")
    return figure, axes


def prepare(axes: "Axes", title: str, x: str, y: str) -> None:
    """Title, labels and grid of a pair of axes."""
    axes.grid(True, color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(literal(title), loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def to_png(figure: "Figure", dpi: int = 160) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def staircase(axes: "Axes", values: FloatArray, unit: Unit, **style: Any) -> None:
    """The edge of what a front (n, 2) of errors and joules dominates: from each member, right and up to the
    next. Of equal joules, as rounded figures have, the least error leads on."""
    if len(values) > 1:
        order = np.lexsort((-values[:, 0], values[:, 1]))
        axes.step(values[order, 1] / unit.scale, 100 * values[order, 0], where="post", **style)


def literal(text: str) -> str:
    """Text that matplotlib takes literally: a dollar sign would start a formula."""
    return text.replace("$", r"\$")


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
