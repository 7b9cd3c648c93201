"""A search or verification as a person sees it: a live bar on a terminal, elsewhere a plain line a trial."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jouleshift.config import StudyConfig
from jouleshift.errors import one_line
from jouleshift.fidelity import Fidelity, Setting
from jouleshift.hpo.study import Progress as Step
from jouleshift.records import Failure, Trial
from jouleshift.report.units import percent, quantity
from jouleshift.words import count


class SearchDisplay:
    """Shows a search on a console. Use as a context manager, so that the terminal is left as it was."""

    unit = "trial"
    judged = "accuracy"

    def __init__(self, console: Console) -> None:
        self._console = console
        self._fidelity = Fidelity.of(StudyConfig().model_dump())
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(f"{self.unit}s", total=None, now="loading data and libraries")

    def __enter__(self) -> "SearchDisplay":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        self._console.print(f"note: {escape(one_line(text))}", soft_wrap=True, highlight=False)

    def started(self, config: StudyConfig, finished: int, notes: list[str]) -> None:
        self._fidelity = Fidelity.of(config.model_dump())
        for note in notes:
            self.note(note)
        wanted = count(config.trials, self.unit)
        done = f"continuing, {finished} of {wanted} done" if finished else wanted
        where = escape(f"{config.model} on {config.data}: {done}, in {config.out}")
        self._console.print(where, soft_wrap=True)
        self._bar.update(self._task, total=config.trials, completed=finished, now="")

    def epoch(self, trial: Trial, epoch: Mapping[str, Any]) -> None:
        epochs = self._fidelity.setting(trial.budget).epochs
        now = f"{self.name_of(trial)}: epoch {epoch['epoch']}/{epochs}, error {epoch['val_error']:.3f}"
        self._bar.update(self._task, now=now)

    def progress(self, step: Step) -> None:
        setting = self._fidelity.setting(step.trial.budget)
        if step.result is None:
            self._bar.update(self._task, now=f"{self.name_of(step.trial)}: {setting}")
            return
        self._bar.update(self._task, completed=step.finished)
        line = line_of(step, setting, self.name_of(step.trial), self.judged)
        self._console.print(escape(line), soft_wrap=True, highlight=False)

    def name_of(self, trial: Trial) -> str:
        return f"trial {trial.id}"


class VerificationDisplay(SearchDisplay):
    """Shows a verification: trials by their number in the search, each with several seeds."""

    unit = "training"
    judged = "test accuracy"

    def name_of(self, trial: Trial) -> str:
        return f"trial {trial.id} again, seed {trial.seed}"


def line_of(step: Step, setting: Setting, name: str, judged: str = "accuracy") -> str:
    """A finished trial in one line; `judged` says what its accuracy is of."""
    result = step.result
    assert result is not None
    head = f"[{step.finished}/{step.wanted}] {name} ({setting})"
    if isinstance(result, Failure):
        return f"{head}: {result}"
    energy = f"energy {quantity(result.energy.energy_j, 'J')} ({result.energy.source})"
    return f"{head}: {judged} {percent(result.accuracy)}, {energy}"
