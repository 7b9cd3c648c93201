"""Which point of a front to ship, in a few words.

knee                where giving up either objective starts to cost most
max-accuracy        the lowest error
min-energy          the lowest energy
"accuracy >= 95 %"  the lowest energy that is accurate enough (also error <= 0.05)
"energy <= 2 uJ"    the lowest error within a limit, written as constraints are (also latency, size)
12                  trial 12, on the front or not, also where nothing keeps the constraints

A configuration without a shift layer (of shift depth 0, usually) is a float32 network, which can be on a
front of deployed energy but cannot be shipped as integers: only its number names it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jouleshift.analysis.pareto import complete, front_or_reason, goal_of, knee, most_frugal, points_of
from jouleshift.errors import BadInput, nearest
from jouleshift.layer_formats import FLOAT
from jouleshift.objectives import Constraint, base_unit, parse_constraint
from jouleshift.records import Evaluation, Run, TrialRecord

PICKS = ("knee", "max-accuracy", "min-energy")


def pick(run: Run, wish: str) -> TrialRecord:
    """The trial of a run that a wish names. Raises `BadInput` where there is none."""
    if wish.isdecimal():
        return _trial(run, int(wish))
    if wish not in PICKS and not set(wish) & set("<>=≤≥"):
        known = f'{", ".join(PICKS)}, a limit such as "accuracy >= 95 %", or a trial\'s number'
        raise BadInput(f"pick {wish!r}: give {known}{nearest(wish, PICKS)}")
    limit = None if wish in PICKS else parse_constraint(wish, "pick")
    members = [member for member in front_or_reason(run) if not is_float(member, run.config)]
    if not members:
        raise BadInput(f"{run.path}: no network on the front has a shift layer to export; search on")
    if limit is not None:
        return _best_within(members, limit)
    middle = knee(points_of(members, goal_of([run])))
    return members[{"knee": middle, "max-accuracy": 0, "min-energy": most_frugal(members)}[wish]]


def is_float(record: TrialRecord, config: Mapping[str, Any]) -> bool:
    """Whether a trial's network has no shift layer, and so nothing to export as integers. `config` are the
    settings of its run, which may give single layers formats of their own."""
    for pattern, own in (config.get("layers") or {}).items():
        if own != FLOAT:
            return False
        if pattern == "*":
            return True
    return record.trial.config.get("shift_depth") == 0


def _trial(run: Run, number: int) -> TrialRecord:
    found = next((record for record in complete(run) if record.trial.id == number), None)
    if found is None:
        raise BadInput(f"trial {number} of {run.path} has no result at the full budget")
    return found


def _best_within(members: Sequence[TrialRecord], limit: Constraint) -> TrialRecord:
    """Of the members that keep a limit on their error the one of least energy, else that of least error."""
    keeping = [member for member in members if limit.met(_values(member))]
    if not keeping:
        raise BadInput(f"no point of the front has {limit.text}: {_span(members, limit)}")
    wanted = "energy_j" if limit.objective == "error" else "error"
    return min(keeping, key=lambda member: _values(member)[wanted])


def _span(members: Sequence[TrialRecord], limit: Constraint) -> str:
    """What the members have of what is limited."""
    name = limit.objective
    values = [_values(member)[name] for member in members if name in _values(member)]
    if limit.text.startswith("accuracy"):
        values = [1 - error for error in values]
    unit = f" {base_unit(name)}" if base_unit(name) else ""
    return f"it spans {min(values):g} … {max(values):g}{unit}" if values else "nothing is known of it"


def _values(record: TrialRecord) -> dict[str, float]:
    assert isinstance(record.result, Evaluation)
    return record.result.values
