"""Run what an experiment needs, one search for each study and seed, and write it beside what is published.

Under the chosen folder each study has a folder of run directories, `STUDY/seed-N`, with a report of all its
seeds, and each experiment its files, `NAME.txt`, `.csv` and `.png`. Experiments share studies: Figure 1f,
Table 2, and Figures 2, 3 and 5 need one search of three seeds. The same call again continues; what is done is
not done again.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jouleshift import api, store
from jouleshift.analysis.pareto import complete
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.paper.experiments import Experiment
from jouleshift.paper.foreseen import refuse_too_few
from jouleshift.paper.forms import Runs, Shown, show
from jouleshift.paper.studies import Study
from jouleshift.records import CarbonIntensity, Run
from jouleshift.report.export import write_files, write_report

FIXED = ("model", "data", "seed", "space")
"""Settings that belong to a study and cannot be overridden."""


def study_config(study: Study, seed: int, scale: float, out: Path, own: Mapping[str, Any]) -> StudyConfig:
    """The search of a study: its settings at this scale, overridden by the user's own.

    `own` may have `cifar10` and `caltech101`, where the images are if not downloaded.
    """
    for name in FIXED:
        if name in own:
            raise BadInput(f"{name} is fixed by the study {study.name}; `search` lets you choose it")
    if not 0 < scale <= 1:
        raise BadInput(f"scale {scale:g}: expected more than 0 and at most 1")
    sources = {"cifar10": own.get("cifar10", "cifar10"), "caltech101": own.get("caltech101", "caltech101")}
    settings = {name: value for name, value in own.items() if name not in sources}
    place = {"data": str(sources[study.data]), "seed": seed, "out": run_directory(study, seed, out)}
    return api.resolve(StudyConfig.layered(study.scaled(scale), settings, place))


def run_directory(study: Study, seed: int, out: Path) -> Path:
    return out / study.name / f"seed-{seed}"


def run_study(
    study: Study, seeds: int, scale: float, out: Path, own: Mapping[str, Any], watcher: api.Watcher
) -> list[Run]:
    """Search each seed that is not done, write the report of all, and return the runs."""
    for seed in range(seeds):
        config = study_config(study, seed, scale, out, own)
        if not is_done(config):
            api.search(watcher=watcher, **config.given())
    return [store.read_run(run_directory(study, seed, out)) for seed in range(seeds)]


def is_done(config: StudyConfig) -> bool:
    """Whether this very search has all its trials already."""
    assert config.out is not None
    if not (config.out / store.CONFIG).is_file():
        return False
    run = store.read_run(config.out)
    if config.differences(StudyConfig(**run.config)):
        return False
    return sum(record.result is not None for record in run.trials) >= config.trials


def reproduce(
    experiments: Sequence[Experiment],
    *,
    seeds: int,
    scale: float,
    out: Path,
    intensity: CarbonIntensity,
    own: Mapping[str, Any],
    watcher: api.Watcher,
    energies: Sequence[str] = (),
) -> list[tuple[Experiment, Shown]]:
    """Run and write these experiments; fronts under these other `energies` too (see `other_energy`).

    What too few results say nothing about is told in place of the experiment. Raises BadInput where that is
    all of them, before the searches where it can be known.
    """
    if energies:
        from jouleshift.paper.other_energy import settings_of, under

        for name in energies:
            settings_of(name)
    studies = {study.name: study for experiment in experiments for study in experiment.studies}
    if all(experiment.needs_importance for experiment in experiments):
        for study in studies.values():
            refuse_too_few([study_config(study, seed, scale, out, own) for seed in range(seeds)])
    runs: dict[str, list[Run]] = {}
    for name, study in studies.items():
        runs[name] = run_study(study, seeds if study.table else 1, scale, out, own, watcher)
        if any(complete(run) for run in runs[name]):
            write_report(runs[name], intensity, out / name)
    others = {
        name: {study: under(found, name, watcher.note) for study, found in runs.items()} for name in energies
    }
    results = _show_each(experiments, runs, intensity, others)
    for experiment, shown in results:
        files = {"txt": as_text(experiment, shown).encode(), **shown.files}
        write_files(out, {f"{experiment.name}.{suffix}": content for suffix, content in files.items()})
    return results


def _show_each(
    experiments: Sequence[Experiment], runs: Runs, intensity: CarbonIntensity, others: Mapping[str, Runs]
) -> list[tuple[Experiment, Shown]]:
    """Each experiment, or why it cannot be shown. Raises BadInput where none can."""
    results, refused = [], []
    for experiment in experiments:
        try:
            shown = show(experiment, runs, intensity, others)
        except BadInput as error:
            refused.append(error)
            shown = Shown([str(error)])
        results.append((experiment, shown))
    if refused and len(refused) == len(results):
        raise refused[0]
    return results


def as_text(experiment: Experiment, shown: Shown) -> str:
    """What the terminal shows, as plain text 160 characters wide."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=160)
    show_on(console, experiment, shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def show_on(console: Any, experiment: Experiment, shown: Shown) -> None:
    console.print(f"{experiment.name}: {experiment.title}", style="bold", markup=False, highlight=False)
    for part in shown.parts:
        if isinstance(part, str):
            console.print(part, markup=False, highlight=False)
        else:
            console.print(part)


def progress_of(experiment: Experiment, out: Path, seeds: int) -> str:
    """How many of the searches that it needs have been begun or ended, for the list of experiments."""
    places = [
        run_directory(study, seed, out)
        for study in experiment.studies
        for seed in range(seeds if study.table else 1)
    ]
    runs = [store.read_run(place) for place in places if (place / store.CONFIG).is_file()]
    ended = sum(
        sum(r.result is not None for r in run.trials) >= int(run.config.get("trials", 0)) for run in runs
    )
    return "nothing to run" if not places else f"{ended} of {len(places)} searches done"
