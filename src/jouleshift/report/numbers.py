"""The numbers that the page draws and trials.csv does not have, as sheets.

| sheet | rows |
| --- | --- |
| `attainment` | corners of the surfaces that several runs attain |
| `paths` | the changes from the default to a network of the front, with what a forest predicts of each |
| `causes` | networks of the front and the default, their energy by cause |
| `layers` | the same by layer and cause |
| `importance` | hyperparameters and pairs, their shares of the variance of error and energy |
| `marginals` | hyperparameters and values, mean error and energy over all others |
| `weights` | weights on the error, each hyperparameter's share of the weighted sum's variance |
| `curves` | trials and epochs, error and losses |
| `progress` | epochs trained, hypervolume of the front by then |
| `cost` | runs, what searching took |

Each is a function of what is known, None where it is not. Units are in the columns' names; shares and errors
are in 0 … 1, hypervolumes shares of the box up to `up_to_…`.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from jouleshift.analysis.digest import Digest, Point
from jouleshift.analysis.importance import RunImportance
from jouleshift.analysis.spent import search_cost
from jouleshift.analysis.thinning import evenly
from jouleshift.records import CarbonIntensity, Evaluation, Run, Trial
from jouleshift.report.insight import Insight
from jouleshift.report.sheet import Sheet
from jouleshift.report.tables import Cell

NAMES = (
    "attainment", "paths", "causes", "layers", "importance", "marginals", "weights", "curves", "progress",
    "cost",
)  # fmt: skip
"""Every sheet there may be."""


def sheets(view: Digest, found: Insight, intensity: CarbonIntensity) -> list[Sheet]:
    """Those that there are numbers for."""
    of_importance = (importance, marginals, weights) if found.importance else ()
    made = (
        attainment(found), paths(view, found), causes(view), layers(view),
        *(sheet(found.importance) for sheet in of_importance if found.importance),
        curves(view), progress(view, found), cost(view, intensity),
    )  # fmt: skip
    return [sheet for sheet in made if sheet is not None]


def attainment(found: Insight) -> Sheet | None:
    """The surfaces of the best quarter, the median and the worst quarter of several runs."""
    if found.attainment is None:
        return None
    rows: list[tuple[Cell, ...]] = [
        (surface, float(error), float(energy_j))
        for surface in ("optimistic", "median", "pessimistic")
        for error, energy_j in getattr(found.attainment, surface)
    ]
    return Sheet("attainment", ("surface", "error", "energy_j"), rows)


def paths(view: Digest, found: Insight) -> Sheet | None:
    """How each network of the front differs from the default, the change that brings most first."""
    if not found.paths:
        return None
    members = view.front
    rows = [
        (*_who(view, members[place]), number, s.name, s.old, s.new, s.error, s.energy_j)
        for place, steps in found.paths.items()
        for number, s in enumerate(steps, 1)
    ]
    columns = ("step", "hyperparameter", "from", "to", "predicted_error", "predicted_energy_j")
    return Sheet("paths", (*_who_columns(view), *columns), rows)


def causes(view: Digest) -> Sheet | None:
    """Energy of one inference by cause, a row a network, the most accurate first."""
    members = [(p, r) for p, r in _members(view) if r.energy.components]
    if not members:
        return None
    names = list(dict.fromkeys(cause for _, result in members for cause in result.energy.components))
    rows = [
        (*_who(view, p), p.role, r.error, r.energy.energy_j, *(r.energy.components.get(n) for n in names))
        for p, r in members
    ]
    by_cause = (f"{name}_j" for name in names)
    return Sheet("causes", (*_who_columns(view), "role", "error", "energy_j", *by_cause), rows)


def layers(view: Digest) -> Sheet | None:
    """Energy of one inference by layer, in the order of execution, and by cause."""
    rows = [
        (*_who(view, p), p.role, layer, cause, joules)
        for p, r in _members(view)
        for layer, causes_j in r.energy.layers.items()
        for cause, joules in causes_j.items()
    ]
    columns = (*_who_columns(view), "role", "layer", "cause", "energy_j")
    return Sheet("layers", columns, rows) if rows else None


def has_layers(view: Digest) -> bool:
    """Whether there is a sheet of layers: of the front or a default, not of dominated networks alone."""
    return any(result.energy.layers for _, result in _members(view))


def along(view: Digest, names: Sequence[str]) -> Sheet:
    """Some hyperparameters of the networks of the front, from frugal to accurate; front.csv has them all."""
    rows = [
        (*_who(view, p), r.error, r.energy.energy_j, *(p.record.trial.config.get(n) for n in names))
        for p in reversed(view.front)
        if isinstance(r := p.record.result, Evaluation)
    ]
    return Sheet("front", (*_who_columns(view), "error", "energy_j", *names), rows)


def importance(found: RunImportance) -> Sheet:
    """Main effects, then interactions of pairs, each the largest first; `with` is empty for main effects."""
    pairs = (
        zip(found.error.main_effects(), found.energy.main_effects(), strict=True),
        zip(found.error.pair_effects(), found.energy.pair_effects(), strict=True),
    )
    rows: list[tuple[Cell, ...]] = [
        (one.names[0], one.names[1] if len(one.names) > 1 else None, one.mean, one.sd, two.mean, two.sd,
         found.budget, found.trials)
        for effects in pairs
        for one, two in sorted(effects, key=lambda pair: -max(pair[0].mean, pair[1].mean))
    ]  # fmt: skip
    shares = ("error_share", "error_share_sd", "energy_share", "energy_share_sd")
    return Sheet("importance", ("hyperparameter", "with", *shares, "budget_epochs", "trials"), rows)


def marginals(found: RunImportance) -> Sheet:
    """The mean over all other hyperparameters as one takes each value, with its spread over the trees."""
    rows: list[tuple[Cell, ...]] = []
    for domain in found.error.domains:
        error, energy = found.error.curve(domain.name), found.energy.curve(domain.name)
        columns = (error.mean, error.sd, energy.mean, energy.sd)
        rows += [
            (domain.name, value, *map(float, row))
            for value, row in zip(error.values, np.column_stack(columns), strict=True)
        ]
    columns_named = ("hyperparameter", "value", "error", "error_sd", "energy_j", "energy_sd_j")
    return Sheet("marginals", columns_named, rows)


def weights(found: RunImportance) -> Sheet:
    """Shares over the weights on the error, and at the weights of the front's own members."""
    members = sorted(zip(found.front_weights, found.at_front, strict=True), key=lambda member: member[0])
    rows: list[tuple[Cell, ...]] = [
        (round(float(weight), 6), mark, *map(float, shares))
        for mark, part in (("", zip(*found.over_weights, strict=True)), ("yes", members))
        for weight, shares in part
    ]
    names = (f"share_of_{domain.name}" for domain in found.error.domains)
    return Sheet("weights", ("weight_on_error", "of_the_front", *names), rows)


def curves(view: Digest) -> Sheet | None:
    """Every epoch of every trial."""
    rows = [
        (*_who(view, p), t.budget, t.bracket, t.rung, e.epoch, e.val_error, e.val_loss, e.train_loss,
         e.learning_rate)
        for p, t, r in _trained(view)
        for e in r.curve
    ]  # fmt: skip
    columns = ("budget_epochs", "bracket", "rung", "epoch", "error", "val_loss", "train_loss",
               "learning_rate")  # fmt: skip
    return Sheet("curves", (*_who_columns(view), *columns), rows) if rows else None


def rungs(view: Digest, most: int = 10) -> Sheet:
    """The same in short: the spread of errors over the trials of a budget, after some of its epochs."""
    found: dict[int, dict[int, list[float]]] = {}
    for _, trial, result in _trained(view):
        for step in result.curve:
            found.setdefault(trial.budget, {}).setdefault(step.epoch, []).append(step.val_error)
    rows: list[tuple[Cell, ...]] = []
    for budget, by_epoch in evenly(sorted(found.items()), 8):
        for epoch, errors in evenly(sorted(by_epoch.items()), most):
            spread = (min(errors), float(np.median(errors)), max(errors))
            rows.append((budget, epoch, len(errors), *spread))
    columns = ("budget_epochs", "epoch", "trials", "lowest_error", "median_error", "highest_error")
    return Sheet("curves", columns, rows)


def progress(view: Digest, found: Insight) -> Sheet | None:
    """The hypervolume against epochs trained; of several runs the median and the middle half."""
    band = found.progress
    if band is None or found.reference is None or len(band.epochs) < 2:
        return None
    box = {f"up_to_{n}": float(v) for n, v in zip(view.goal.objectives, found.reference, strict=True)}
    several = len(view.runs) > 1
    values = (band.median, band.low, band.high) if several else (band.median,)
    names = ("hypervolume", "hypervolume_lower_quartile", "hypervolume_upper_quartile")[: len(values)]
    table = np.column_stack([band.epochs, *values])
    rows = [(*map(float, row), *box.values()) for row in table]
    return Sheet("progress", ("epochs_trained", *names, *box), rows)


def cost(view: Digest, intensity: CarbonIntensity) -> Sheet:
    """What each search took, apart from the inference it is about."""
    rows = [(name, *_cost(run, intensity)) for name, run in zip(view.names, view.runs, strict=True)]
    columns = (
        "run", "trials_ended", "epochs_trained", "trials_s", "search_energy_j", "known_as",
        "search_emissions_g", "region", "g_per_kwh", "pue",
    )  # fmt: skip
    return Sheet("cost", columns, rows)


def _cost(run: Run, intensity: CarbonIntensity) -> tuple[Cell, ...]:
    ended = [record for record in run.trials if record.result is not None]
    epochs = sum(r.result.epoch_equivalents for r in ended if isinstance(r.result, Evaluation))
    spent = search_cost([run])
    energy_j, how = spent or (None, None)
    emissions_g = None if energy_j is None else intensity.emissions_g(energy_j)
    place = (intensity.region, intensity.grams_per_kwh, intensity.pue)
    return (len(ended), epochs, sum(r.duration_s or 0.0 for r in ended), energy_j, how, emissions_g, *place)


def _members(view: Digest) -> Iterator[tuple[Point, Evaluation]]:
    """The front from its most accurate member, then the defaults that are not on it."""
    for point in (*view.front, *(p for p in view.of("default") if not p.on_front)):
        if isinstance(point.record.result, Evaluation):
            yield point, point.record.result


def _trained(view: Digest) -> Iterator[tuple[Point, Trial, Evaluation]]:
    for point in view.points:
        if isinstance(point.record.result, Evaluation):
            yield point, point.record.trial, point.record.result


def _who(view: Digest, point: Point) -> tuple[Cell, ...]:
    """Which trial; of several runs, which run first, as in trials.csv."""
    trial = point.record.trial.id
    return (trial,) if len(view.runs) == 1 else (view.names[point.run], trial)


def _who_columns(view: Digest) -> tuple[str, ...]:
    return ("trial",) if len(view.runs) == 1 else ("run", "trial")
