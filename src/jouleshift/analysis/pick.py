"""Which point of a front to ship, in a few words.

knee                where giving up either objective starts to cost most
max-accuracy        the lowest error
min-energy          the lowest energy
"accuracy>=0.95"    the lowest energy that is accurate enough (also energy_j<=…, error<=…)
12                  trial 12, on the front or not
"""

import re
from collections.abc import Sequence

from jouleshift.analysis.pareto import complete, front, goal_of, knee, most_frugal, objectives, points_of
from jouleshift.errors import BadInput, nearest
from jouleshift.records import Run, TrialRecord

PICKS = ("knee", "max-accuracy", "min-energy")
_BOUND = re.compile(r"\s*(accuracy|error|energy_j)\s*(>=|<=|>|<)\s*([0-9.eE+-]+)\s*")


def pick(run: Run, wish: str) -> TrialRecord:
    """The trial of a run that a wish names. Raises `BadInput` where there is none."""
    members = front(run)
    if not members:
        raise BadInput(f"{run.path} has no trial at the full budget yet; continue its search first")
    if wish in PICKS:
        middle = knee(points_of(members, goal_of([run])))
        return members[{"knee": middle, "max-accuracy": 0, "min-energy": most_frugal(members)}[wish]]
    if wish.isdecimal():
        return _trial(run, int(wish))
    bound = _BOUND.fullmatch(wish)
    if bound is None:
        raise BadInput(
            f'pick {wish!r}: give {", ".join(PICKS)}, a bound such as "accuracy>=0.95", or a trial\'s number'
            f"{nearest(wish, PICKS)}"
        )
    return _best_within(members, *bound.groups())


def _trial(run: Run, number: int) -> TrialRecord:
    found = next((record for record in complete(run) if record.trial.id == number), None)
    if found is None:
        raise BadInput(f"trial {number} of {run.path} has no result at the full budget")
    return found


def _best_within(members: Sequence[TrialRecord], what: str, relation: str, number: str) -> TrialRecord:
    """The member that keeps the bound and is best in the other objective."""
    try:
        limit = float(number)
    except ValueError:
        raise BadInput(f"pick: {number!r} is not a number") from None
    column = 1 if what == "energy_j" else 0
    pairs = [_pair(member) for member in members]
    values = [1 - pair[0] if what == "accuracy" else pair[column] for pair in pairs]
    holds = {">=": float.__ge__, "<=": float.__le__, ">": float.__gt__, "<": float.__lt__}[relation]
    keeping = [m for m, value in zip(members, values, strict=True) if holds(value, limit)]
    if not keeping:
        low, high = min(values), max(values)
        raise BadInput(f"no point of the front has {what} {relation} {limit:g}: it spans {low:g} … {high:g}")
    return min(keeping, key=lambda member: _pair(member)[1 - column])


def _pair(record: TrialRecord) -> tuple[float, float]:
    pair = objectives(record)
    assert pair is not None
    return pair
