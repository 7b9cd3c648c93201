"""What a report says in words: the headline, where the energy comes from, what a figure shows.

The sentences are the report for whoever cannot see the figures or does not want to, so each stands alone and
claims no more than the numbers support.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jouleshift.analysis.digest import Digest, differing
from jouleshift.analysis.pareto import broken, full_budget, knee, most_frugal, points_of
from jouleshift.analysis.verification import Member, Verification
from jouleshift.errors import one_line
from jouleshift.objectives import Constraint, Goal, Objective
from jouleshift.records import EnergyKind, EnergyReading, Evaluation, Run, TrialRecord
from jouleshift.report.units import amount, duration, listed, percent, quantity, short_name
from jouleshift.words import count

_HOW: dict[EnergyKind, str] = {
    "measured": "measured by a sensor",
    "estimated": "estimated as time × a stated power, not measured",
    "modelled": "computed, not measured",
}
_SAVED: Mapping[Objective, str] = {"energy_j": "energy", "latency_s": "time", "size_bytes": "memory"}
_PER: Mapping[Objective, str] = {"energy_j": " per image", "latency_s": " per image", "size_bytes": ""}
"""What an objective of this name is a quantity of, and of what."""


def headline(view: Digest) -> str:
    """The result in one or two sentences; what is verified comes before what the search believes."""
    if view.verification is not None:
        return verified_headline(view.verification)
    comparison = view.comparison
    if not comparison.front:
        return _nothing_yet(view)
    budget = max(full_budget(run) for run in view.runs)
    if comparison.default is None:
        return (
            f"The front holds {count(len(comparison.front), 'network')}, {_span(view)}. The default "
            "configuration has no result, so there is nothing to compare it with."
        )
    if not comparison.others:
        alone = _both(comparison.default.values, view.goal.cost)
        if len(view.of("default", "rejected")) == 1:
            return f"Only the default configuration has finished {count(budget, 'epoch')} so far: {alone}."
        return f"Nothing dominates the default configuration: it alone is on the front, with {alone}."
    if not comparison.dominating:
        names = listed([short_name(name) for name in view.goal.objectives])
        beside = " and the default" if len(comparison.others) < len(comparison.front) else ""
        return (
            "No network on the front dominates the default configuration, that is, none is at least as good "
            f"in {names} and better in one. On it {'is' if len(comparison.others) == 1 else 'are'} "
            f"{count(len(comparison.others), 'network')}{beside}, {_span(view)}."
        )
    return f"{_dominating(view)} {_best(view)}"


def fresh_seeds(verification: Verification) -> str:
    """2 fresh seeds; 1 to 2 fresh seeds, where configurations differ in how many they had."""
    fewest, most = verification.seeds
    return f"{'' if fewest == most else f'{fewest} to '}{count(most, 'fresh seed')}"


def verified_headline(verification: Verification) -> str:
    """What the front is worth on test images, in one or two sentences, and what its constraints rule out."""
    text, goal = _verified(verification), verification.goal
    if not goal.constraints:
        return text
    every = (*verification.members, *verification.defaults)
    told = _ruled_out(map(verification.broken, every), goal)
    return f"{text} Of {count(len(every), 'configuration')} the constraints rule out: {told}."


def _verified(verification: Verification) -> str:
    cost = verification.goal.cost
    how = f"Trained again with {fresh_seeds(verification)} and judged on test images"
    members, default = verification.members, verification.default
    if not members:
        assert default is not None
        return (
            f"{how}, the default configuration, alone on the front, has an accuracy of "
            f"{percent(1 - default['error'])} at {amount(cost, default[cost])}{_PER[cost]}."
        )
    if default is None:
        return (
            f"{how}, the front holds {count(len(members), 'configuration')}, {_member_span(members, cost)}. "
            "No default configuration to compare it with."
        )
    if not verification.dominating:
        default_one = f"the default one ({_at(default, cost)}{_PER[cost]})"
        if len(members) == 1:
            one = f"the one configuration of the front, {_member_span(members, cost)},"
            return f"{how}, {one} does not dominate {default_one}."
        none = f"none of the {len(members)} configurations of the front, {_member_span(members, cost)},"
        return f"{how}, {none} dominates {default_one}."
    winners = verification.dominating
    names = verification.goal.objectives
    best = max(winners, key=lambda m: math.prod(default[name] - m.values[name] for name in names))
    verb = "dominates" if len(winners) == 1 else "dominate"
    return (
        f"{how}, {len(winners)} of {count(len(members), 'configuration')} of the front {verb} the default "
        f"one. Trial {best.found.trial.id} reaches {_instead_of(best.values, default, cost)}."
    )


def _member_span(members: Sequence[Member], cost: Objective) -> str:
    """From the most accurate to the most frugal; members are in order of their error."""
    return _between(members[0].values, min((m.values for m in members), key=lambda v: v[cost]), cost)


def _at(values: Mapping[str, float], cost: Objective) -> str:
    return f"{percent(1 - values['error'])} accuracy at {amount(cost, values[cost])}"


def _both(values: Mapping[str, float], cost: Objective) -> str:
    return f"an accuracy of {percent(1 - values['error'])} and {amount(cost, values[cost])}{_PER[cost]}"


def _between(one: Mapping[str, float], other: Mapping[str, float], cost: Objective) -> str:
    first, last = _at(one, cost), _at(other, cost)
    return f"with {first}{_PER[cost]}" if first == last else f"from {first} to {last}{_PER[cost]}"


def _instead_of(found: Mapping[str, float], base: Mapping[str, float], cost: Objective) -> str:
    """Accuracy and cost of a network against those of another; what looks the same is said to be."""
    accuracy, before = (percent(1 - values["error"]) for values in (found, base))
    reached = (
        f"the same {before} accuracy" if accuracy == before else f"{accuracy} accuracy instead of {before}"
    )
    saved = 1 - found[cost] / base[cost] if base[cost] > 0 else 0.0
    if abs(saved) < 0.005:
        return f"{reached} at the same {short_name(cost)}{_PER[cost]}"
    change = f"{percent(abs(saved), 0)} {'less' if saved > 0 else 'more'} {_SAVED[cost]}"
    return f"{reached} with {change}{_PER[cost]}"


def state_in_words(view: Digest) -> str:
    """How much is done, what failed, what it took."""
    asked = sum(int(run.config.get("trials", len(run.trials))) for run in view.runs)
    epochs = round(sum(result.epoch_equivalents for result in view.results))
    spent = sum(p.record.duration_s or 0.0 for p in view.points)
    ended = len(view.points) - len(view.of("running"))
    parts = [count(len(view.runs), "run")] if len(view.runs) > 1 else []
    parts += [f"{ended} of {count(asked, 'trial')} ended", f"{len(view.of('failed'))} failed"]
    parts += [count(epochs, "epoch") + " trained", f"{duration(spent)} of trials"]
    return ", ".join(parts) + "." + infeasible_in_words(view)


def _ruled_out(broken_ones: Iterable[Sequence[Constraint]], goal: Goal) -> str:
    """How many break each constraint: "3 by error <= 10 % and 0 by size <= 64 kB"."""
    every = list(broken_ones)
    return listed([f"{sum(c in found for found in every)} by {c.text}" for c in goal.constraints])


def infeasible_in_words(view: Digest) -> str:
    """Which constraints kept how many finished networks off the front; "" where there are none."""
    if not view.goal.constraints:
        return ""
    full = [p.record for p in view.of("front", "default", "rejected", "infeasible")]
    told = _ruled_out([broken(r, view.goal) for r in full], view.goal)
    return f" Of {count(len(full), 'network')} at full budget the constraints rule out: {told}."


def _nothing_yet(view: Digest) -> str:
    done, failed = len(view.results), view.of("failed")
    budget = max(full_budget(run) for run in view.runs)
    if any(broken(p.record, view.goal) for p in view.of("default", "infeasible")):
        return f"No network trained for {count(budget, 'epoch')} keeps the constraints yet."
    if done:
        return f"No trial has finished the full {count(budget, 'epoch')} yet, so there is no front to show."
    if failed:
        last = one_line(str(failed[-1].record.result)).rstrip(".")
        return f"No trial has succeeded: {len(failed)} failed, the last with {last}."
    return "No trial has finished yet."


def _span(view: Digest) -> str:
    values, cost = [record.values for record in view.comparison.front], view.goal.cost
    return _between(values[0], min(reversed(values), key=lambda v: v[cost]), cost)


def _dominating(view: Digest) -> str:
    comparison = view.comparison
    winners, size = len(comparison.dominating), len(comparison.others)
    other = "other " if size < len(comparison.front) else ""
    if size == 1:
        return f"The one {other}network on the front dominates the default configuration."
    how_many = "All" if winners == size else f"{winners}"
    verb = "dominates" if winners == 1 else "dominate"
    return f"{how_many} of the {size} {other}networks on the front {verb} the default configuration."


def _best(view: Digest) -> str:
    comparison = view.comparison
    assert comparison.both is not None and comparison.default is not None
    reached = _instead_of(comparison.both.values, comparison.default.values, view.goal.cost)
    return f"Trial {comparison.both.trial.id} reaches {reached}."


def show_setting(value: Any) -> str:
    """A setting's value for people: lists with commas, an en dash where it was left open."""
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def differences_in_words(runs: Sequence[Run]) -> list[str]:
    """Each setting in which runs differ, with its value in each: "seed: 0 | 1"."""
    different = differing(runs)
    return [f"{name}: {' | '.join(map(show_setting, values))}" for name, values in different.items()]


def energy_stamp(view: Digest) -> str:
    """Where the energies of a digest come from, for the margin of a figure."""
    return origin_in_words(result.energy for result in view.results)


def origin_in_words(readings: Iterable[EnergyReading]) -> str:
    """Where energies come from: source, how it is known, from what."""
    ways = sorted({(r.source, r.kind, r.origin) for r in readings})
    if not ways:
        return "no energy known yet"
    shown = "; ".join(f"{source} energy, {_HOW[kind]}: {origin}" for source, kind, origin in ways[:3])
    return shown + (f"; and {len(ways) - 3} more" if len(ways) > 3 else "")


def flags(view: Digest) -> tuple[str, ...]:
    """The quality flags that any energy reading carries."""
    return tuple(sorted({flag for result in view.results for flag in result.energy.flags}))


def landmarks(view: Digest) -> dict[str, TrialRecord]:
    """The members of the front that have a name: most accurate, knee, most frugal."""
    members = view.comparison.front
    if not members:
        return {}
    if len(members) == 1:
        return {"the only network": members[0]}
    return {
        "most accurate": members[0],
        "knee": members[knee(points_of(members, view.goal))],
        "most frugal": members[most_frugal(members)],
    }


def front_in_words(view: Digest) -> str:
    """What the figure of the front shows, for a reader who cannot see it."""
    parts = [
        f"{len(view.comparison.front)} on the front",
        f"{len(view.of('rejected'))} dominated at full budget",
        *([f"{len(view.of('infeasible'))} infeasible"] if view.goal.constraints else []),
        f"{len(view.of('lower'))} at lower budgets",
    ]
    text = (
        f"Error against energy per image of {count(len(view.results), 'finished trial')}: {', '.join(parts)}."
    )
    for name, record in landmarks(view).items():
        result = record.result
        assert isinstance(result, Evaluation)
        text += (
            f" {name.capitalize()}: trial {record.trial.id}, {percent(result.accuracy)} accuracy at "
            f"{quantity(result.energy.energy_j, 'J')}."
        )
    if view.comparison.default is not None:
        known = _both(view.comparison.default.values, "energy_j")
        text += f" Default configuration: {known.removeprefix('an ')}."
    return text
