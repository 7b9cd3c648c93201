"""What the paper says of its fronts, computed in the same way from its printed tables and from our runs.

A finding is a row: what is asked, the answer of the printed table, ours, and why they may differ. Emissions
are compared as shares of the default configuration's, since the paper's are of a pass on an A100 and ours of
one image.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jouleshift.analysis.digest import Digest
from jouleshift.analysis.importance import Importance, RunImportance
from jouleshift.analysis.pareto import dominates, objectives
from jouleshift.paper.published import Column, Front
from jouleshift.records import CarbonIntensity, TrialRecord
from jouleshift.report.units import percent


@dataclass(frozen=True)
class Finding:
    """One statement on both fronts, in words."""

    question: str
    published: str
    ours: str
    why: str


def front_of_runs(view: Digest, intensity: CarbonIntensity) -> Front:
    """The pooled front of our runs and the mean default, as columns of the paper's tables."""
    default = view.comparison.default
    return Front(
        tuple(
            _column(p.record, _name(p.record, len(view.runs) > 1), intensity)
            for p in view.front
            if p.role == "front"
        ),
        None if default is None else _column(default, "default", intensity),
    )


def _name(record: TrialRecord, several: bool) -> str:
    return f"{record.trial.id}{f' seed {record.trial.seed}' if several else ''}"


def _column(record: TrialRecord, name: str, intensity: CarbonIntensity) -> Column:
    pair = objectives(record)
    assert pair is not None
    return Column(name, dict(record.trial.config), pair[0], intensity.emissions_g(pair[1]))


def dominating(front: Front) -> tuple[Column, ...]:
    """The columns that dominate the default."""
    if front.default is None or not front.columns:
        return ()
    mask = dominates([(c.error, c.emissions_g) for c in front.columns], _pair(front.default))
    return tuple(c for c, wins in zip(front.columns, mask, strict=True) if wins)


def findings(published: Front, ours: Front, source: str) -> list[Finding]:
    """The paper's findings on a front, beside ours; `source` is that of our energies."""
    return [
        Finding(question, answer(published), answer(ours), WHY.get(f"{name} {source}", WHY.get(name, "")))
        for name, question, answer in _QUESTIONS
    ]


def answers(front: Front) -> list[str]:
    """A front's answers to the questions of `findings`, in the same order."""
    return [answer(front) for _, _, answer in _QUESTIONS]


def most_important(found: RunImportance | None) -> tuple[str, str]:
    """The two hyperparameters that explain most of the variance of the error, and of the energy."""
    if found is None:
        return "–", "–"
    return _two(found.error), _two(found.energy)


def _two(forest: Importance) -> str:
    first = sorted(forest.main_effects(), key=lambda e: -e.mean)[:2]
    return ", ".join(
        f"{e.names[0].replace('activation', 'act').replace('_', ' ')} {percent(e.mean, 0)}" for e in first
    )


IMPORTANT = (
    ("most important for the error", "shift depth (Figure 2)"),
    ("most important for the energy", "act bits, of the shift ones (Figure 3)"),
)
"""What the paper finds for ResNet20 on CIFAR-10."""

WHY = {
    "dominate": "a shorter search on fewer images finds fewer of them",
    "error": "the default is trained as in the paper, but for fewer epochs on fewer images",
    "type": "the paper finds either on about half of its front's networks",
    "saving modelled": (
        "modelled energy falls with shift depth and bits; the paper's is that of a float simulation, which a "
        "configuration changes only through the work of quantising"
    ),
    "depth modelled": (
        "in a float simulation each shift layer costs extra quantising, so few of them are best; in hardware "
        "each one saves multiplications, so many are frugal"
    ),
    "fraction modelled": "bits cost nothing in a float simulation; modelled adders and memory pay for each",
    "bits modelled": "modelled weight memory grows with the bits; a float simulation's does not",
}
"""Why ours may differ, by finding, or by finding and source of our energy."""


def _pair(column: Column) -> tuple[float, float]:
    return column.error, column.emissions_g


def _dominate(front: Front) -> str:
    return f"{len(dominating(front))} of {len(front.columns)}"


def _error(front: Front) -> str:
    winners = dominating(front)
    if not winners or front.default is None:
        return "–"
    return f"{100 * max(front.default.error - c.error for c in winners):.1f} points"


def _saving(front: Front) -> str:
    winners = dominating(front)
    if not winners or front.default is None:
        return "–"
    shares = [1 - c.emissions_g / front.default.emissions_g for c in winners]
    least, most = percent(min(shares), 0), percent(max(shares), 0)
    return least if least == most else f"{least} to {most}"


def _numbers(name: str) -> Callable[[Front], str]:
    def answer(front: Front) -> str:
        values = [float(c.config[name]) for c in front.columns if name in c.config]
        if not values:
            return "–"
        if min(values) == max(values):
            return f"{values[0]:g}"
        return f"median {np.median(values):g}, {min(values):g} … {max(values):g}"

    return answer


def _types(front: Front) -> str:
    counts = Counter(str(c.config["shift_type"]) for c in front.columns)
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("PS", "Q") if counts[kind]) or "–"


_QUESTIONS: Sequence[tuple[str, str, Callable[[Front], str]]] = (
    ("dominate", "networks on the front that dominate the default", _dominate),
    ("error", "most error gained by one that dominates it", _error),
    ("saving", "emissions saved by those", _saving),
    ("depth", "shift depth on the front", _numbers("shift_depth")),
    ("fraction", "activation fraction bits on the front", _numbers("activation_fraction_bits")),
    ("bits", "weight bits on the front", _numbers("weight_bits")),
    ("type", "shift types on the front", _types),
)
