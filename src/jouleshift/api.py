"""The main job for Python users and for the command line: compose a study, run it, read it back.

    run = jouleshift.search("photos/", model="resnet20", trials=60, out="runs/photos")
    run.front

This process never imports torch: data and networks live in the workers, which report what the search must
know of them (the largest shift depth). The same call again continues the run; see `hpo.study`.
"""

import json
import os
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml

from jouleshift import environment, store
from jouleshift.checkpoints import CheckpointKeeper
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput, Bug
from jouleshift.fidelity import Fidelity
from jouleshift.foreknowledge import known_objectives, refuse_unknowable
from jouleshift.hpo.executor import Work
from jouleshift.hpo.study import Progress, run_study
from jouleshift.objectives import Goal
from jouleshift.opened import SearchResult
from jouleshift.priors import PAPER, load_priors
from jouleshift.records import Run, Trial, TrialRecord
from jouleshift.remarks import remarks
from jouleshift.words import count

BUILT_IN_DATA = ("digits", "cifar10", "caltech101")


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
    layers = ({} if config is None else StudyConfig.from_file(Path(config)).given(), settings)
    study = resolve(StudyConfig.layered(*layers))
    assert study.out is not None
    if fresh:
        store.set_aside(study.out)
    ended_early = _run(study, study.out, watcher or Silent())
    page = report([study.out], also=["smac3"])
    return SearchResult(store.read_run(study.out), page, ended_early)


def resolve(config: StudyConfig) -> StudyConfig:
    """The configuration with everything that was left open decided and data paths made absolute.

    Raises `BadInput` for what would otherwise be noticed only when a worker has started (an unknown scheduler
    or hyperparameter) or the search has ended (an unknown region).
    """
    from jouleshift.energy.carbon import place
    from jouleshift.hpo import scheduler_class
    from jouleshift.space import narrowed

    place(config.model_dump())
    narrowed(config.space)
    scheduler_class(config.scheduler)
    decided: dict[str, Any] = {}
    name = config.data
    if config.data not in BUILT_IN_DATA:
        path = Path(config.data).expanduser()
        decided["data"], name = str(path.resolve()), path.resolve().stem
    if config.prior is not None and config.prior != PAPER:
        decided["prior"] = str(Path(config.prior).expanduser().resolve())
    if isinstance(config.intensity, str):
        decided["intensity"] = str(Path(config.intensity).expanduser().resolve())
    decided["out"] = (
        Path("runs", f"{name}-{config.model.replace(':', '.')}") if config.out is None else config.out
    )
    decided["energy"] = _automatic_source() if config.energy == "auto" else config.energy
    if decided["energy"] == "simulated":
        from jouleshift.energy.codecarbon import country_of

        country_of(config.region)
    refuse_unknowable(StudyConfig.layered(config.given(), decided))
    if config.measure_on and (isinstance(config.workers, int) or decided["energy"] == "modelled"):
        raise BadInput(
            f"measure_on {config.measure_on}: needs the workers of a Dask cluster, and --energy deployed or "
            "simulated (modelled energy is computed, not measured)"
        )
    if isinstance(config.workers, int):
        decided["threads"] = config.threads or max(1, (os.cpu_count() or 1) // config.workers)
    return StudyConfig.layered(config.given(), decided)


def _automatic_source() -> str:
    """Deployed where a sensor answers, else modelled."""
    from jouleshift.energy.sensors import probe

    return "deployed" if any(sensor.works for sensor in probe()) else "modelled"


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
    from jouleshift.energy.carbon import place
    from jouleshift.hpo import make_scheduler
    from jouleshift.hpo.executors import make_workers
    from jouleshift.hpo.stopping import rules_of
    from jouleshift.report.live import LiveReport
    from jouleshift.space import build_space

    with _opened(study, out) as journal:
        work = work_of(study, out, {"checkpoints": str((out / store.CHECKPOINTS).resolve())})
        pool = make_workers(study.workers, work, watcher.epoch, watcher.note)
        with counted(out, study.power_w) as spent, pool as workers:
            space = build_space(workers.facts["max_depth"], study.space)
            scheduler = make_scheduler(
                study.scheduler,
                space,
                objectives=study.objectives,
                constraints=Goal.of(study.model_dump()).limits,
                min_budget=study.min_budget,
                max_budget=study.max_budget,
                eta=study.eta,
                seed=study.seed,
                known=known_objectives(study, workers.foreknown),
                priors=load_priors(study.prior, space),
                acquisition=study.acquisition,
                cost=Fidelity.of(study.model_dump()).cost,
            )
            changed = _write_head(study, out, workers.facts)
            notes = [*_notes(journal.torn_bytes, changed), *remarks(study, workers.facts)]
            finished = sum(record.result is not None for record in journal.records)
            watcher.started(study, finished, notes)
            keeper = CheckpointKeeper(out / store.CHECKPOINTS, study)
            for record in journal.records:
                keeper(record)
            live = LiveReport(place(study.model_dump()))

            def tidy(record: TrialRecord) -> None:
                keeper(record)
                live.update(lambda: store.read_run(out))

            rules = rules_of(study, spent.duration_s, spent.energy_j)
            return run_study(
                scheduler, workers, journal, study.trials, watcher.progress, tidy, rules, bool(changed)
            )


def work_of(study: StudyConfig, run: Path, setup: Mapping[str, Any]) -> Work:
    """What the workers of a run are told: its study, and what `setup` adds."""
    return Work(
        setup={"study": study.model_dump(mode="json"), **setup},
        log=(run / store.LOG).resolve(),
        timeout_s=study.trial_timeout_s,
        memory_mb=study.trial_memory_mb,
    )


@contextmanager
def _opened(study: StudyConfig, out: Path) -> Iterator[store.Journal]:
    """The run's journal, once it is known to be of this configuration; no trace where nothing began."""
    store.refuse_foreign(out)
    store.refuse_lost(out)
    existed = out.exists()
    if (out / store.CONFIG).is_file():
        different = study.differences(store.read_settings(out))
        if different:
            raise BadInput(
                f"{out} was begun with other settings ({'; '.join(different)}); repeat those, "
                "name another --out, or start anew with --fresh"
            )
    try:
        with store.Journal(out) as journal:
            yield journal
    except (BadInput, KeyboardInterrupt):
        if not existed and not (out / store.CONFIG).exists():
            shutil.rmtree(out, ignore_errors=True)
        raise
    except Exception as error:
        with (out / store.LOG).open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
        raise Bug(out / store.LOG) from error


def _notes(torn_bytes: int, changed: Sequence[str]) -> list[str]:
    """What a person should know about the continuation."""
    notes = [f"cut off {count(torn_bytes, 'byte')} of an unfinished journal line"] if torn_bytes else []
    return [*notes, *([f"changed since this run began: {', '.join(changed)}"] if changed else [])]


def _write_head(study: StudyConfig, out: Path, facts: Mapping[str, Any]) -> list[str]:
    """Write config.yaml and env.json; return what of machine and versions changed since the run began."""
    changed: list[str] = []
    now = {**environment.describe(), **facts, "seed": study.seed, "energy_source": study.energy}
    path = out / store.ENVIRONMENT
    if path.is_file():
        begun = store.read_environment(path)
        for name in ("classes", "images"):
            if name in begun and begun[name] != now[name]:
                raise BadInput(
                    f"the {name} of {study.data} changed since {out} was begun ({begun[name]} → "
                    f"{now[name]}); name another --out, or start anew with --fresh"
                )
        changed = environment.differences(begun, now)
    else:
        store.write_atomically(path, json.dumps(now, indent=2, ensure_ascii=False) + "\n")
    settings = study.model_dump(mode="json")
    store.write_atomically(out / store.CONFIG, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return changed
