"""The page's figures beside the front, as plotly.js takes them: plain data and layout.

Colours are named, not given: `"var:front"` becomes the style sheet's `--front` when the page draws it, so
light, dark and print need no second description.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jouleshift.analysis.attainment import ProgressBand
from jouleshift.analysis.digest import Digest, Point
from jouleshift.analysis.importance import Curve, Importance, RunImportance
from jouleshift.analysis.thinning import evenly
from jouleshift.records import Evaluation
from jouleshift.report.canvas import wants_log
from jouleshift.report.markup import plain
from jouleshift.report.units import Unit, unit_for

Figure = dict[str, Any]

PALETTE = tuple(f"var:c{i}" for i in range(1, 9))
ERROR, ENERGY = "var:front", "var:default"


def importance_chart(found: RunImportance) -> Figure:
    """Main effects on error and on energy, one above the other, with their spread over the trees."""
    rows = sorted(
        zip(found.error.main_effects(), found.energy.main_effects(), strict=True),
        key=lambda pair: max(e.mean for e in pair),
    )
    names = [plain(error.names[0]) for error, _ in rows]
    traces = []
    for label, color, effects in (
        ("on energy", ENERGY, [e for _, e in rows]),
        ("on error", ERROR, [e for e, _ in rows]),
    ):
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label,
                "y": names,
                "x": [round(100 * e.mean, 2) for e in effects],
                "error_x": {"type": "data", "array": [round(100 * e.sd, 2) for e in effects], "thickness": 1},
                "marker": {"color": color},
                "hovertemplate": "%{y}: %{x:.1f} % ± %{error_x.array:.1f}<extra>" + label + "</extra>",
            }
        )
    layout = {
        "barmode": "group",
        "xaxis": {"title": {"text": "share of variance (%)"}, "rangemode": "tozero"},
        "legend": {"traceorder": "reversed"},
    }
    return {"data": traces, "layout": layout}


def weights_chart(found: RunImportance, most: int = 6) -> Figure:
    """Importance as the weight moves from energy to error, with the weights of the front's members below."""
    grid, shares = found.over_weights
    top = np.argsort(-shares.max(axis=0))[:most]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(found.error.domains[axis].name),
            "x": grid.round(3).tolist(),
            "y": (100 * shares[:, axis]).round(2).tolist(),
            "line": {"color": color, "width": 2},
        }
        for axis, color in zip(top, PALETTE, strict=False)
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "front's own weights",
            "x": [round(w, 4) for w in found.front_weights],
            "y": [0] * len(found.front_weights),
            "marker": {"symbol": "line-ns-open", "size": 12, "color": "var:ink"},
        }
    )
    layout = {
        "xaxis": {"title": {"text": "weight on the error"}, "range": [-0.02, 1.02]},
        "yaxis": {"title": {"text": "share of variance (%)"}, "rangemode": "tozero"},
    }
    return {"data": traces, "layout": layout}


def marginals_chart(found: RunImportance, unit: Unit, most: int = 4) -> Figure:
    """Mean error and mean energy over the space as one hyperparameter moves, for those that matter most."""
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "grid": {"rows": 2, "columns": most, "pattern": "independent", "ygap": 0.35, "xgap": 0.22},
        "showlegend": False,
    }
    rows = (
        (found.error, ERROR, 0.01, "error (%)"),
        (found.energy, ENERGY, unit.scale, f"energy ({unit.name})"),
    )
    for row, (forest, color, scale, label) in enumerate(rows):
        for column, name in enumerate(most_important(forest, most)):
            number = row * most + column + 1
            suffix = "" if number == 1 else str(number)
            domain = next(d for d in forest.domains if d.name == name)
            traces += _band(forest.curve(name), scale, color, suffix)
            layout[f"xaxis{suffix}"] = {
                "title": {"text": plain(name).replace("_", " "), "font": {"size": 11}},
                "type": "category" if _is_named(domain.levels) else "log" if domain.log else "linear",
                **({"dtick": 1, "tickformat": "~g"} if domain.log else {}),
            }
            layout[f"yaxis{suffix}"] = {"title": {"text": label if column == 0 else ""}}
    return {"data": traces, "layout": layout}


def most_important(forest: Importance, most: int = 4) -> list[str]:
    """The hyperparameters that explain most alone."""
    effects = sorted(forest.main_effects(), key=lambda e: -e.mean)
    return [e.names[0] for e in effects[:most]]


def _is_named(levels: Sequence[object]) -> bool:
    return any(isinstance(level, str) for level in levels)


def _band(curve: Curve, scale: float, color: str, suffix: str) -> list[dict[str, Any]]:
    """A mean with one standard deviation over the trees to either side."""
    x = [plain(v) if isinstance(v, str) else v for v in curve.values]
    common = {"type": "scatter", "x": x, "xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    low, high = (curve.mean - curve.sd) / scale, (curve.mean + curve.sd) / scale
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        {**common, **edge, "y": _short(low)},
        {**common, **edge, "y": _short(high), "fill": "tonexty", "fillcolor": f"{color}/0.2"},
        {**common, "mode": "lines", "y": _short(curve.mean / scale), "line": {"color": color, "width": 2}},
    ]


def _short(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{v:.4g}") for v in values]


def curves_chart(view: Digest, most: int = 150) -> Figure | None:
    """Validation error over epochs, a colour for each budget; the front and the default are always among
    them."""
    first = [p for p in view.points if p.on_front or p.role == "default"]
    others = evenly(view.of("rejected", "infeasible", "lower"), most)
    by_budget: dict[int, list[Point]] = {}
    for point in [*others, *first]:
        if isinstance(point.record.result, Evaluation) and point.record.result.curve:
            by_budget.setdefault(point.record.trial.budget, []).append(point)
    if not by_budget:
        return None
    traces = []
    for color, (budget, points) in zip(PALETTE * 9, sorted(by_budget.items()), strict=False):
        x: list[int | None] = []
        y: list[float | None] = []
        for point in points:
            curve = point.record.result.curve if isinstance(point.record.result, Evaluation) else ()
            x += [*(epoch.epoch for epoch in curve), None]
            y += [*(round(100 * epoch.val_error, 2) for epoch in curve), None]
        style = {
            "mode": "lines+markers",
            "marker": {"size": 4, "color": color},
            "line": {"color": color, "width": 1},
        }
        name = f"{budget} epoch{'s' if budget > 1 else ''}"
        traces.append({"type": "scatter", "name": name, "x": x, "y": y, "opacity": 0.7, **style})
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "validation error (%)"}},
    }
    return {"data": traces, "layout": layout}


def causes_chart(view: Digest) -> Figure | None:
    """Energy of one inference by cause, a bar for each network of the front and the default."""
    shown = _with_components(view)
    if not shown:
        return None
    unit = unit_for([result.energy.energy_j for _, result in shown], "J")
    causes = list(dict.fromkeys(cause for _, result in shown for cause in result.energy.components))
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": plain(cause).replace("_", " "),
            "y": [label for label, _ in shown],
            "x": [
                float(f"{result.energy.components.get(cause, 0.0) / unit.scale:.5g}") for _, result in shown
            ],
            "marker": {"color": color},
        }
        for cause, color in zip(causes, PALETTE * 9, strict=False)
    ]
    layout = {
        "barmode": "stack",
        "legend": {"traceorder": "normal"},
        "xaxis": {"title": {"text": f"energy per image ({unit.name})"}},
        "yaxis": {"type": "category", "autorange": "reversed"},
    }
    return {"data": traces, "layout": layout}


def _with_components(view: Digest, most: int = 30) -> list[tuple[str, Evaluation]]:
    apart = [p for p in view.of("default") if not p.on_front][:1]
    found = []
    for point in [*view.front, *apart]:
        result = point.record.result
        if isinstance(result, Evaluation) and result.energy.components:
            of_run = f" ({view.names[point.run]})" if len(view.runs) > 1 else ""
            kind = "default" if point.role == "default" else "trial"
            found.append((plain(f"{kind} {point.record.trial.id}{of_run}"), result))
    return found[:most]


def energy_axis(energies: Sequence[float], unit: Unit) -> dict[str, Any]:
    """The axis of these energies in joules, shown in `unit`; logarithmic where they span much."""
    kind = "log" if wants_log(np.array(energies)) else "linear"
    return {"title": {"text": f"energy per image ({unit.name})"}, "type": kind}


def format_names(view: Digest, most: int = 6) -> list[str]:
    """The hyperparameters of the number format, as the front's configurations have them."""
    config = view.front[0].record.trial.config if view.front else {}
    return [n for n in config if any(w in n for w in ("depth", "bits", "shift_type"))][:most]


def along_chart(view: Digest, most: int = 120) -> Figure | None:
    """The hyperparameters of the number format along the front, from frugal to accurate."""
    points = evenly(list(reversed(view.front)), most)
    config = [p.record.trial.config for p in points]
    shown = format_names(view)
    if len(points) < 2 or not shown:
        return None
    energies = [e.energy.energy_j or 0.0 for p in points if isinstance(e := p.record.result, Evaluation)]
    unit = unit_for(energies, "J")
    x = [float(f"{energy_j / unit.scale:.5g}") for energy_j in energies]
    last = "y" if len(shown) == 1 else f"y{len(shown)}"
    xaxis = {**energy_axis(energies, unit), "anchor": last}
    layout: dict[str, Any] = {"showlegend": False, "xaxis": xaxis}
    traces = []
    for row, name in enumerate(shown):
        values = [plain(v) if isinstance(v := c.get(name), str) else v for c in config]
        suffix, color = "" if row == 0 else str(row + 1), PALETTE[row]
        layout[f"yaxis{suffix}"] = _row_axis(name, row, len(shown), isinstance(values[0], str))
        style = {"line": {"shape": "hv", "color": color, "width": 1}, "marker": {"color": color, "size": 8}}
        axis = {"type": "scatter", "mode": "lines+markers", "yaxis": f"y{suffix}", "name": plain(name)}
        traces.append({**axis, "x": x, "y": values, **style})
    return {"data": traces, "layout": layout}


def _row_axis(name: str, row: int, rows: int, named: bool) -> dict[str, Any]:
    top = 1 - row / rows
    return {
        "domain": [round(top - 0.8 / rows, 4), round(top, 4)],
        "title": {"text": plain(name).replace("_", "<br>"), "font": {"size": 11}},
        "type": "category" if named else "linear",
        "nticks": 4,
    }


def progress_chart(band: ProgressBand, several: bool) -> Figure:
    """The hypervolume of the front against epochs spent, for several runs their median and quartiles."""
    x = [round(float(e), 1) for e in band.epochs]
    edge = {"type": "scatter", "x": x, "mode": "lines", "hoverinfo": "skip", "showlegend": False}
    traces: list[dict[str, Any]] = []
    if several:
        traces.append({**edge, "y": _short(band.low), "line": {"width": 0, "shape": "hv"}})
        style = {"line": {"width": 0, "shape": "hv"}, "fill": "tonexty", "fillcolor": "var:front/0.2"}
        traces.append({**edge, "y": _short(band.high), **style})
    line = {"color": "var:front", "width": 2, "shape": "hv"}
    traces.append({"type": "scatter", "x": x, "mode": "lines", "y": _short(band.median), "line": line})
    traces[-1]["name"] = "median of the runs" if several else "hypervolume"
    layout = {
        "xaxis": {"title": {"text": "epochs trained"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "hypervolume (share of the box)"}, "rangemode": "tozero"},
        "showlegend": False,
    }
    return {"data": traces, "layout": layout}
