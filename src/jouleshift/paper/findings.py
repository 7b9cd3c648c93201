"""What the paper says of its fronts, computed in the same way from its printed tables and from our runs.

A finding is a row: what is asked, the answer of the printed table, ours, and why they may differ. A reason
belongs to a direction: that adders pay for each bit explains fewer bits, never more, so it is given where
ours has fewer and where the energy is modelled. Emissions are compared as shares of the default
configuration's, since the paper's are of a pass on an A100 and ours of one image; of ours, shares of energy
are the same, also where a kilowatt-hour emits nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
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
    """Empty where they agree, where either has no answer, and where no reason is known."""


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
    return Column(name, dict(record.trial.config), pair[0], intensity.emissions_g(pair[1]), pair[1])


def dominating(front: Front) -> tuple[Column, ...]:
    """The columns that dominate the default."""
    if front.default is None or not front.columns:
        return ()
    mask = dominates([_pair(c) for c in front.columns], _pair(front.default))
    return tuple(c for c, wins in zip(front.columns, mask, strict=True) if wins)


def findings(published: Front, ours: Front, conditions: Collection[str] = ()) -> list[Finding]:
    """The paper's findings on a front, beside ours. `conditions` are what is true of ours: the source of its
    energies, and "smaller" if its search was."""
    return [
        Finding(q.words, q.answer(published), q.answer(ours), _why(q, published, ours, conditions))
        for q in _QUESTIONS
    ]


def _why(question: "_Question", published: Front, ours: Front, conditions: Collection[str]) -> str:
    theirs, own = question.measure(published), question.measure(ours)
    if theirs is None or own is None:
        return ""
    direction = "more" if own > theirs else "less" if own < theirs else "same"
    known = (WHY.get((question.name, direction, condition), "") for condition in conditions)
    return next(filter(None, known), "")


def answers(front: Front) -> list[str]:
    """A front's answers to the questions of `findings`, in the same order."""
    return [question.answer(front) for question in _QUESTIONS]


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
    ("dominate", "less", "smaller"): (
        "a smaller search (of fewer trials, epochs or images) finds fewer of them"
    ),
    ("error", "less", "smaller"): (
        "after fewer epochs or on fewer images networks are further from trained, and much of what they "
        "differ by is chance"
    ),
    ("saving", "more", "modelled"): (
        "modelled energy falls with shift depth and bits; the paper's is that of a float simulation, which a "
        "configuration changes only through the work of quantising"
    ),
    ("depth", "more", "modelled"): (
        "in a float simulation a shift layer only adds work, if little, so few of them are best; in hardware "
        "each one saves multiplications, so many are frugal"
    ),
    ("fraction", "less", "modelled"): (
        "bits cost nothing in a float simulation; modelled adders and memory pay for each"
    ),
    ("bits", "less", "modelled"): (
        "modelled weight memory grows with the bits; a float simulation's does not"
    ),
}
"""Why ours may have more or less than the paper, by finding, direction, and what must be true of ours."""

_NOISE = (
    "After few epochs or on few images much of what networks differ by is chance. A forest spreads chance "
    "over all hyperparameters, so shares of the loss no larger than their spread over trees rank nothing."
)
_MODELLED = (
    "Modelled energy follows from a network's structure and number formats alone: shift depth decides how "
    "many multiplications become shifts, and what training sets, such as the learning rate, has no share but "
    "the forest's own error. The paper's is measured on a float simulation: run time counts, bits do not."
)
_OWN_FORESTS = (
    "Each weight has a forest of its own, which sees the weighted sum and not its parts: shares between "
    "the ends are no mixture of those at the ends, and what is noise at one weight may lead at the next."
)
IMPORTANCE_WHY = {
    "loss": {"smaller": _NOISE},
    "emissions": {"modelled": _MODELLED},
    "weights": {"": _OWN_FORESTS, "smaller": _NOISE, "modelled": _MODELLED},
}
"""Why importance may differ from the paper's, by what it is for and what must be true of ours."""


def importance_reasons(of: str, conditions: Collection[str]) -> list[str]:
    """The reasons that apply to the importance for loss or emissions, or over their weights."""
    return [why for condition, why in IMPORTANCE_WHY[of].items() if condition in ("", *conditions)]


def _pair(column: Column) -> tuple[float, float]:
    return column.error, column.spent


def _dominate(front: Front) -> str:
    if _dominating_share(front) is None:
        return "–"
    return f"{len(dominating(front))} of {len(front.columns)}"


def _dominating_share(front: Front) -> float | None:
    if front.default is None or not front.columns:
        return None
    return len(dominating(front)) / len(front.columns)


def _error(front: Front) -> str:
    gain = _gain(front)
    return "–" if gain is None else f"{100 * gain:.1f} points"


def _gain(front: Front) -> float | None:
    """The most error that one has less than the default which it dominates."""
    if front.default is None:
        return None
    return max((front.default.error - c.error for c in dominating(front)), default=None)


def _saving(front: Front) -> str:
    shares = _savings(front)
    if not shares:
        return "–"
    least, most = percent(min(shares), 0), percent(max(shares), 0)
    return least if least == most else f"{least} to {most}"


def _savings(front: Front) -> list[float]:
    if front.default is None:
        return []
    return [1 - c.spent / front.default.spent for c in dominating(front)]


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _values(front: Front, name: str) -> list[float]:
    return [float(c.config[name]) for c in front.columns if name in c.config]


def _numbers(values: Sequence[float]) -> str:
    if not values:
        return "–"
    if min(values) == max(values):
        return f"{values[0]:g}"
    return f"median {np.median(values):g}, {min(values):g} … {max(values):g}"


def _types(front: Front) -> str:
    counts = Counter(str(c.config["shift_type"]) for c in front.columns)
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("PS", "Q") if counts[kind]) or "–"


@dataclass(frozen=True)
class _Question:
    """What is asked of a front: its answer in words and, where more and less make sense, as a number."""

    name: str
    words: str
    answer: Callable[[Front], str]
    measure: Callable[[Front], float | None]


def _of_numbers(name: str, words: str, hyperparameter: str) -> _Question:
    return _Question(
        name,
        f"{words} on the front",
        lambda front: _numbers(_values(front, hyperparameter)),
        lambda front: _median(_values(front, hyperparameter)),
    )


_QUESTIONS: Sequence[_Question] = (
    _Question("dominate", "networks on the front that dominate the default", _dominate, _dominating_share),
    _Question("error", "most error gained by one that dominates it", _error, _gain),
    _Question(
        "saving", "emissions saved by those", _saving, lambda front: max(_savings(front), default=None)
    ),
    _of_numbers("depth", "shift depth", "shift_depth"),
    _of_numbers("fraction", "activation fraction bits", "activation_fraction_bits"),
    _of_numbers("bits", "weight bits", "weight_bits"),
    _Question("type", "shift types on the front", _types, lambda front: None),
)
