"""Train a run's front again with fresh seeds and judge it on the test split.

Each configuration of the front, and the default one, is trained at the full budget once for each fresh seed,
by the same worker processes as in the search, and its energy is had anew. Only here are the test images read.
What is done is in a journal of its own beside the run's, so the same command continues after an interruption,
adds seeds, and adds configurations when the run has got more trials since.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jouleshift import environment, store
from jouleshift.analysis.pareto import DEFAULT_BRACKET, default_trial, front_or_reason, objectives
from jouleshift.api import Silent, Watcher, report, work_of
from jouleshift.beginning import refuse_other_prices
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.hpo.executors import make_workers
from jouleshift.hpo.study import Progress
from jouleshift.journal import Asked, Finished
from jouleshift.records import Run, Trial
from jouleshift.remarks import unreadable
from jouleshift.resolving import threads_of
from jouleshift.store import Journal

SEED_STEP = 1000
"""Fresh seeds lie so far from one another and from the run's own, which usually count 0, 1, 2 …"""


def verify(
    run: Path, *, seeds: int = 2, workers: int | str | None = None, watcher: Watcher | None = None
) -> Path:
    """Verify the front of a run directory with so many fresh seeds; return the path of the new report.

    What has been verified before is not repeated. The watcher is told of each training by the number that the
    search gave to its configuration. Raises BadInput where the run has no front yet.
    """
    read = store.read_run(run)
    if seeds < 1:
        raise BadInput(f"seeds {seeds}: at least one is needed")
    study = _study(read, workers)
    with Journal(run, store.VERIFICATION) as journal:
        waiting = _waiting(read, journal, seeds)
        if waiting:
            _train(study, read, journal, waiting, _ByFound(watcher or Silent(), read))
    return report([run])


def _study(run: Run, workers: int | str | None) -> StudyConfig:
    """The settings of the run; with other workers each gets its own share of this machine's cores."""
    study = StudyConfig(**run.config)
    own = study.workers
    if workers is not None:
        study = StudyConfig(**{**run.config, "workers": workers})
    return study if study.workers == own else study.model_copy(update={"threads": threads_of(study.workers)})


class _ByFound:
    """Passes on to a watcher what happens, trials numbered as the search found them."""

    def __init__(self, watcher: Watcher, run: Run) -> None:
        self._watcher = watcher
        self.started, self.note = watcher.started, watcher.note
        self._number = {_key(record.trial)[:2]: record.trial.id for record in reversed(run.trials)}

    def epoch(self, trial: Trial, epoch: Mapping[str, Any]) -> None:
        self._watcher.epoch(self._found(trial), epoch)

    def progress(self, progress: Progress) -> None:
        self._watcher.progress(replace(progress, trial=self._found(progress.trial)))

    def _found(self, trial: Trial) -> Trial:
        return replace(trial, id=self._number[_key(trial)[:2]])


def wanted(run: Run, seeds: int) -> list[Trial]:
    """What to train: for each fresh seed the default configuration and the front's, numbered from 1."""
    members = front_or_reason(run)
    default = default_trial(run)
    configs = [r.trial for r in ([default] if default and objectives(default) else [])]
    configs += [r.trial for r in members if r is not default]
    own = int(run.config.get("seed", 0))
    return [
        Trial(
            id=0,
            config=trial.config,
            budget=trial.budget,
            seed=(own + SEED_STEP * number) % 2**31,
            bracket=DEFAULT_BRACKET if trial.bracket == DEFAULT_BRACKET else 0,
        )
        for number in range(1, seeds + 1)
        for trial in configs
    ]


def _waiting(run: Run, journal: Journal, seeds: int) -> list[Trial]:
    """What is wanted and has no result yet; what was begun before keeps its number."""
    begun = {_key(record.trial): record for record in journal.records}
    number = itertools.count(len(begun) + 1)
    waiting = []
    for trial in wanted(run, seeds):
        record = begun.get(_key(trial))
        if record is None:
            waiting.append(replace(trial, id=next(number)))
        elif record.result is None:
            waiting.append(record.trial)
    return waiting


def _key(trial: Trial) -> tuple[object, ...]:
    return (tuple(sorted(trial.config.items())), trial.budget, trial.seed)


def _train(study: StudyConfig, run: Run, journal: Journal, waiting: list[Trial], watcher: Watcher) -> None:
    """Train what is waiting, each result in the journal before anything else happens with it."""
    begun = {record.trial.id for record in journal.records}
    total = len(begun | {trial.id for trial in waiting})
    finished = total - len(waiting)
    checkpoints = run.path / store.CHECKPOINTS / "verify"
    checkpoints.mkdir(parents=True, exist_ok=True)
    work = work_of(study, run.path, {"checkpoints": str(checkpoints.resolve()), "split": "test"})
    with make_workers(study.workers, work, watcher.epoch, watcher.note) as workers:
        refuse_other_prices(study, run.path, run.env, workers.facts)
        changed = environment.differences(run.env, environment.describe())
        notes = [f"changed since the search: {', '.join(changed)}"] if changed else []
        notes += unreadable(workers.facts["images"]["skipped"])
        watcher.started(study.model_copy(update={"trials": total, "out": run.path}), finished, notes)
        queue, running = list(waiting), 0
        while queue or running:
            while queue and workers.free:
                trial = queue.pop(0)
                if trial.id not in begun:
                    journal.append(Asked(trial))
                workers.submit(trial)
                running += 1
                watcher.progress(Progress(trial, None, finished, total))
            done = workers.wait()
            if done is None:
                continue
            running -= 1
            finished += 1
            journal.append(Finished(done.trial.id, done.result, round(done.duration_s, 3)))
            (checkpoints / f"{done.trial.id}.pt").unlink(missing_ok=True)
            watcher.progress(Progress(done.trial, done.result, finished, total))
