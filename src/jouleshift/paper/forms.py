"""Each experiment in the form that the paper gives it, ours beside what is published: text, CSV, picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleshift.analysis.digest import digest
from jouleshift.analysis.importance import FEWEST, RunImportance, importance_of
from jouleshift.analysis.pareto import energy_source, objectives
from jouleshift.errors import BadInput
from jouleshift.paper.experiments import Experiment
from jouleshift.paper.findings import (
    IMPORTANT,
    answers,
    findings,
    front_of_runs,
    importance_reasons,
    most_important,
)
from jouleshift.paper.pictures import fronts_picture, importance_picture, rates_picture, weights_picture
from jouleshift.paper.published import Column, Front, published_front, statements
from jouleshift.paper.readings import readings_csv
from jouleshift.paper.studies import STUDIES, Study
from jouleshift.records import CarbonIntensity, Evaluation, Run
from jouleshift.report.sentences import energy_stamp, origin_in_words
from jouleshift.report.tables import Row, show_value, to_csv
from jouleshift.report.units import percent, significant
from jouleshift.space import TABLE_1, Choice
from jouleshift.words import count

if TYPE_CHECKING:
    from rich.table import Table

Runs = Mapping[str, Sequence[Run]]

EMISSIONS = (
    "Emissions: ours are grams of CO₂eq of one image; the paper's are grams that CodeCarbon gave on an A100 "
    "for a whole pass over the validation images, the last one. Compare shares, not grams."
)


@dataclass
class Shown:
    """What an experiment gives: paragraphs and tables for a terminal, and files by their suffix."""

    parts: list[Any] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, heading: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table under a heading."""
        self.parts += [heading, _table(header, rows)]


def show(
    experiment: Experiment, runs: Runs, intensity: CarbonIntensity, others: Mapping[str, Runs] | None = None
) -> Shown:
    """The experiment from finished runs, by the names of their studies; `others` are the same runs under
    other energies, by name. Raises BadInput where too little is finished to say anything."""
    forms: Mapping[str, Callable[[Experiment, Runs, CarbonIntensity], Shown]] = {
        "space": _space, "front": _front, "table": _front, "importance": _importance, "weights": _weights,
        "rates": _rates,
    }  # fmt: skip
    shown = forms[experiment.kind](experiment, runs, intensity)
    if others and experiment.kind in ("front", "table"):
        _add_others(shown, experiment, {"ours": runs, **others}, intensity)
    return shown


def _add_others(
    shown: Shown, experiment: Experiment, energies: Mapping[str, Runs], intensity: CarbonIntensity
) -> None:
    """The findings once more, a column for each energy of the same networks."""
    (study,) = experiment.studies
    assert study.table is not None
    published = published_front(study.table)
    rows = [[f.question, f.published] for f in findings(published, published)]
    rows += [[question, says if study.table == 2 else "–"] for question, says in IMPORTANT]
    for runs in energies.values():
        front = front_of_runs(digest(runs[study.name]), intensity)
        told = [*answers(front), *most_important(importance_of(runs[study.name]))]
        for row, answer in zip(rows, told, strict=True):
            row.append(answer)
    header = ("finding", "published", *energies)
    shown.add("The same networks under other energies:", header, rows)
    table: list[Row] = [dict(zip(header, row, strict=True)) for row in rows]
    shown.files["energies.csv"] = to_csv(table, header).encode()
    anew = {name: runs[study.name] for name, runs in energies.items() if name != "ours"}
    shown.files["readings.csv"] = readings_csv(study.name, anew)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(header):
        first = place == 0
        table.add_column(Text(name), justify="left" if first else "right", no_wrap=first, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _space(experiment: Experiment, runs: Runs, intensity: CarbonIntensity) -> Shown:
    """Table 1, and the spaces that the other tables imply."""
    rows = []
    for name, entry in TABLE_1.items():
        table_1 = ", ".join(entry.values) if isinstance(entry, Choice) else f"{entry.low:g} … {entry.high:g}"
        other = STUDIES["googlenet-cifar10"].space.get(name)
        implied = " … ".join(f"{v:g}" for v in other) if isinstance(other, list) else other
        rows.append((name, table_1, "same" if implied is None else str(implied), str(entry.default)))
    shown = Shown()
    header = ("hyperparameter", "Table 1 (ResNet20, CIFAR-10)", "Tables 3 to 7", "default")
    shown.add("The space of the paper's Table 1, which is ours; what the other tables imply.", header, rows)
    shown.parts.append(
        "The largest shift depth is that of the network: 20 (ResNet20), 53 (MobileNetV2), 22 (GoogLeNet, "
        "which alone needs a limit: 65 of its layers could be converted). Tables 3 to 7 have no batch size."
    )
    shown.files["csv"] = to_csv([dict(zip(header, row, strict=True)) for row in rows], header).encode()
    return shown


def _front(experiment: Experiment, runs: Runs, intensity: CarbonIntensity) -> Shown:
    """Figure 1's panels and Tables 2 to 7: both fronts, and what they have in common."""
    (study,) = experiment.studies
    assert study.table is not None
    view = digest(runs[study.name])
    ours, published = front_of_runs(view, intensity), published_front(study.table)
    shown = Shown()
    if experiment.kind == "table":
        shown.add(f"Table {study.table} as published (emissions in g CO₂eq of a pass)", *_columns(published))
        shown.add(f"Ours: front over {count(len(view.runs), 'seed')} (g CO₂eq of one image)", *_columns(ours))
    found = findings(published, ours, _conditions(view.runs, study))
    rows = [(f.question, f.published, f.ours) for f in found]
    shown.add(experiment.title, ("", "published", "ours"), rows)
    shown.parts += [f"{f.question}: {f.why}." for f in found if f.why]
    shown.parts += [EMISSIONS, f"Ours: {energy_stamp(view)}; emissions at {intensity.in_words}."]
    shown.files["csv"] = _fronts_csv({"published": published, "ours": ours})
    if experiment.kind == "front":
        shown.files["png"] = fronts_picture(published, view, experiment.title)
    return shown


def _conditions(runs: Sequence[Run], study: Study) -> list[str]:
    """What is true of our runs of a study that may explain a difference from the paper."""
    full = study.scaled(1.0)
    smaller = any(
        run.config.get("limit_train") is not None
        or any(run.config.get(name, 0) < full[name] for name in ("trials", "max_budget"))
        for run in runs
    )
    source = energy_source([r for run in runs for r in run.trials])
    return [*(["smaller"] if smaller else []), *([source] if source else [])]


def _columns(front: Front) -> tuple[list[str], list[list[str]]]:
    """A front as the paper prints it: a column for each network, a row for each hyperparameter."""
    columns = [*front.columns, *([front.default] if front.default else [])]
    rows = [
        [
            name.replace("activation", "act").replace("_", " "),
            *(show_value(c.config.get(name)) for c in columns),
        ]
        for name in TABLE_1
    ]
    rows.append(["loss", *(f"{c.error:.4f}" for c in columns)])
    rows.append(["emissions", *(significant(c.emissions_g) for c in columns)])
    return ["", *(c.name for c in columns)], rows


def _fronts_csv(fronts: Mapping[str, Front]) -> bytes:
    def row(whose: str, column: Column) -> Row:
        results = {"error": column.error, "emissions_g": column.emissions_g}
        return {"whose": whose, "network": column.name, **column.config, **results}

    rows = [
        row(whose, column)
        for whose, front in fronts.items()
        for column in (*front.columns, *([front.default] if front.default else []))
    ]
    return to_csv(rows, ("whose", "network", *TABLE_1, "error", "emissions_g")).encode()


def _importance(experiment: Experiment, runs: Runs, intensity: CarbonIntensity) -> Shown:
    """Figures 2 and 3: the main effects of one objective."""
    found = _known_importance(experiment, runs)
    which, forest = ("loss", found.error) if experiment.name == "figure-2" else ("emissions", found.energy)
    effects = sorted(forest.main_effects(), key=lambda e: -e.mean)
    rows = [(e.names[0], percent(e.mean), percent(e.sd)) for e in effects]
    shown = Shown([f"{s['says']} (section {s['section']})." for s in statements(experiment.name)])
    header = ("hyperparameter", f"share of the variance of {which}", "sd over trees")
    shown.add(f"Ours, {_basis(found)}:", header, rows)
    shown.parts += _reasons(which, experiment, runs)
    shown.parts += [EMISSIONS] if which == "emissions" else []
    table: list[Row] = [{"hyperparameter": e.names[0], "share": e.mean, "sd": e.sd} for e in effects]
    shown.files["csv"] = to_csv(table, ("hyperparameter", "share", "sd")).encode()
    shown.files["png"] = importance_picture(effects, experiment.title, _basis(found))
    return shown


def _weights(experiment: Experiment, runs: Runs, intensity: CarbonIntensity) -> Shown:
    """Figure 5: main effects over the weight of the loss."""
    found = _known_importance(experiment, runs)
    grid, shares = found.over_weights
    names = [d.name for d in found.error.domains]
    shown = Shown([f"{s['says']} (section {s['section']})." for s in statements(experiment.name)])
    rows = [[name, *(f"{100 * share:.0f}" for share in shares[:, axis])] for axis, name in enumerate(names)]
    header = ["weight on the loss", *(f"{w:.1f}" for w in grid)]
    shown.add(f"Ours, share of the variance in %, {_basis(found)}, a forest for each weight:", header, rows)
    shown.parts += [*_reasons("weights", experiment, runs), EMISSIONS]
    lines = zip(grid.tolist(), shares.tolist(), strict=True)
    table: list[Row] = [{"weight": w, **dict(zip(names, line, strict=True))} for w, line in lines]
    shown.files["csv"] = to_csv(table, ("weight", *names)).encode()
    shown.files["png"] = weights_picture(found, experiment.title, _basis(found))
    return shown


def _reasons(of: str, experiment: Experiment, runs: Runs) -> list[str]:
    (study,) = experiment.studies
    return importance_reasons(of, _conditions(runs[study.name], study))


def _known_importance(experiment: Experiment, runs: Runs) -> RunImportance:
    (study,) = experiment.studies
    found = importance_of(runs[study.name])
    if found is None:
        raise BadInput(
            f"{experiment.name}: no budget of {study.name} has {FEWEST} results, which importance needs; run "
            "more --seeds or --trials"
        )
    return found


def _basis(found: RunImportance) -> str:
    return f"fANOVA on {count(found.trials, 'trial')} of {count(found.budget, 'epoch')}"


def _rates(experiment: Experiment, runs: Runs, intensity: CarbonIntensity) -> Shown:
    """Figure 4: emissions of the default configuration with other learning rates, and of its control."""
    groups, rows = [], []
    for label, study in zip(("random", "default"), experiment.studies, strict=True):
        pairs = [objectives(r) for run in runs[study.name] for r in run.trials]
        energies = [pair[1] for pair in pairs if pair is not None]
        if not energies:
            raise BadInput(f"{experiment.name}: no trial with a {label} learning rate has a result")
        mean, sd = float(np.mean(energies)), float(np.std(energies))
        grams = (significant(intensity.emissions_g(energy_j)) for energy_j in (mean, sd))
        rows.append((label, str(len(energies)), *grams, percent(sd / mean if mean else None)))
        groups.append((label, [intensity.emissions_g(energy_j) for energy_j in energies]))
    shown = Shown([f"{s['says']} (section {s['section']})." for s in statements(experiment.name)])
    header = ("learning rate", "n", "mean (g)", "sd (g)", "sd / mean")
    shown.add(f"Ours, emissions of one image at {intensity.in_words}:", header, rows)
    records = [record for study in experiment.studies for run in runs[study.name] for record in run.trials]
    source = energy_source(records)
    readings = [record.result.energy for record in records if isinstance(record.result, Evaluation)]
    shown.parts += [EMISSIONS, f"Ours: {origin_in_words(readings)}."]
    if source == "modelled":
        shown.parts.append(
            "Modelled energy follows from the network's form alone, so a learning rate cannot change it. "
            "Where one seems to, it was time that was measured: of diverged weights, or of a busy machine."
        )
    table: list[Row] = [
        {"learning_rate": label, "emissions_g": v} for label, values in groups for v in values
    ]
    shown.files["csv"] = to_csv(table, ("learning_rate", "emissions_g")).encode()
    shown.files["png"] = rates_picture(groups, f"{source} energy")
    return shown
