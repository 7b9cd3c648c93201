"""The main job for Python users and for the command line: compose a study, run it, read it back.

    run = jouleshift.search("photos/", model="resnet20", trials=60, out="runs/photos")
    run.front

This process never imports torch: data and networks live in the workers, which report what the search must
know of them (the largest shift depth). The same call again continues the run; see `hpo.study`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jouleshift import beginning, store
from jouleshift.checkpoints import CheckpointKeeper
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.fidelity import Fidelity
from jouleshift.foreknowledge import known_objectives
from jouleshift.hpo.executor import Work
from jouleshift.hpo.study import Progress, run_study
from jouleshift.objectives import Goal
from jouleshift.opened import SearchResult
from jouleshift.records import Run, Trial, TrialRecord, Value
from jouleshift.remarks import remarks
from jouleshift.resolving import resolve

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from jouleshift.hpo.scheduler import Scheduler


class Watcher(Protocol):
    """Whoever shows a search to a person."""

    def started(self, config: StudyConfig, finished: int, notes: list[str]) -> None: ...
    def note(self, text: str) -> None: ...
    def epoch(self, trial: Trial, epoch: Mapping[str, Any]) -> None: ...
    def progress(self, progress: Progress) -> None: ...


class Silent:
    """Shows nothing."""

    def started(self, config: StudyConfig, finished: int, notes: list[str]) -> None: ...
    def note(self, text: str) -> None: ...
    def epoch(self, trial: Trial, epoch: Mapping[str, Any]) -> None: ...
    def progress(self, progress: Progress) -> None: ...


def search(
    data: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    watcher: Watcher | None = None,
    **settings: Any,
) -> SearchResult:
    """Search the Pareto front of shift networks for `data`; continue where the run directory has one begun.

    `settings` are fields of `StudyConfig` and override those of the YAML file `config`. With `fresh` an
    existing run directory is kept aside as NAME.1 and a new one begun. Raises `BadInput`.
    """
    if data is not None:
        settings["data"] = os.fspath(data)
    stated = {} if config is None else StudyConfig.from_file(Path(config)).given()
    study = resolve(StudyConfig.layered(stated, settings))
    assert study.out is not None
    kept = store.set_aside(study.out) if fresh else None
    with beginning.put_back(kept, study.out):
        ended_early = _run(study, study.out, watcher or Silent())
    page = report([study.out], also=["smac3"])
    return SearchResult(store.read_run(study.out), page, ended_early)


def report(
    runs: list[Path],
    *,
    region: str | None = None,
    intensity: float | str | None = None,
    pue: float | None = None,
    out: Path | None = None,
    also: Sequence[str] = (),
    light: bool = False,
) -> Path:
    """Write the report of one or several runs; emissions for `region`, `intensity` (g CO₂eq/kWh, or a CSV of
    them) and `pue`, by default the first run's.

    With `light` the page has no script and few kilobytes. `also` names formats of other tools (see
    `report.interop`) to write into each run directory.
    """
    from jouleshift.energy.carbon import place
    from jouleshift.report.export import write_report
    from jouleshift.report.interop import write_as
    from jouleshift.space import build_space

    if len({path.resolve() for path in runs}) < len(runs):
        raise BadInput(f"a run is named twice among {', '.join(map(str, runs))}")
    read = [store.read_run(path) for path in runs]
    where = place(read[0].config, region=region, intensity=intensity, pue=pue)
    for run in read:
        for form in also:
            space = build_space(_max_depth(run), run.config.get("space", {}))
            write_as(form, run, space, where)
    return write_report(read, where, out, "light" if light else "full")


def _max_depth(run: Run) -> int:
    if "max_depth" not in run.env:
        raise BadInput(f"{run.path / store.ENVIRONMENT}: max_depth, the layers of its network, is missing")
    return int(run.env["max_depth"])


def _run(study: StudyConfig, out: Path, watcher: Watcher) -> str | None:
    """Run or continue the study; the reason where it ends before it has all its trials."""
    from jouleshift.cost import counted
    from jouleshift.hpo.executors import make_workers
    from jouleshift.hpo.stopping import rules_of
    from jouleshift.space import build_space

    with beginning.opened(study, out) as journal:
        study, surplus = beginning.with_all_trials(study, journal.records)
        work = work_of(study, out, {"checkpoints": str((out / store.CHECKPOINTS).resolve())})
        pool = make_workers(study.workers, work, watcher.epoch, watcher.note)
        with counted(out, study.power_w) as spent, pool as workers:
            space = build_space(workers.facts["max_depth"], study.space)
            priors = beginning.priors_of(study, out, space)
            scheduler = _scheduler(study, space, workers.foreknown, priors)
            changed = beginning.write_head(study, out, workers.facts, priors)
            notes = [*beginning.notes(journal.torn_bytes, changed), *surplus, *remarks(study, workers.facts)]
            finished = sum(record.result is not None for record in journal.records)
            watcher.started(study, finished, notes)
            keeper = CheckpointKeeper(out / store.CHECKPOINTS, study)
            for record in journal.records:
                keeper(record)
            update_page = _page(study, out, watcher)

            def tidy(record: TrialRecord) -> None:
                keeper(record)
                update_page()

            rules = rules_of(study, spent.duration_s, spent.energy_j, spent.now.origin)
            return run_study(
                scheduler, workers, journal, study.trials, watcher.progress, tidy, rules, bool(changed)
            )


def _scheduler(
    study: StudyConfig,
    space: "ConfigurationSpace",
    foreknown: Mapping[str, Any],
    priors: Sequence[Mapping[str, Value]],
) -> "Scheduler":
    from jouleshift.hpo import make_scheduler

    return make_scheduler(
        study.scheduler,
        space,
        objectives=study.objectives,
        constraints=Goal.of(study.model_dump()).limits,
        min_budget=study.min_budget,
        max_budget=study.max_budget,
        eta=study.eta,
        seed=study.seed,
        known=known_objectives(study, foreknown),
        priors=priors,
        acquisition=study.acquisition,
        cost=Fidelity.of(study.model_dump()).cost,
    )


def _page(study: StudyConfig, out: Path, watcher: Watcher) -> Callable[[], None]:
    """What brings the live report up to date. Trials cost more than a page: where it cannot be written, the
    watcher is told once and the search goes on."""
    from jouleshift.energy.carbon import place
    from jouleshift.report.live import LiveReport

    live = LiveReport(place(study.model_dump()))
    told: list[str] = []

    def update() -> None:
        try:
            live.update(lambda: store.read_run(out))
        except BadInput as error:
            if not told:
                told.append(str(error))
                watcher.note(f"the search goes on without its page: {error}")

    return update


def work_of(study: StudyConfig, run: Path, setup: Mapping[str, Any]) -> Work:
    """What the workers of a run are told: its study, and what `setup` adds."""
    return Work(
        setup={"study": study.model_dump(mode="json"), **setup},
        log=(run / store.LOG).resolve(),
        timeout_s=study.trial_timeout_s,
        memory_mb=study.trial_memory_mb,
    )
