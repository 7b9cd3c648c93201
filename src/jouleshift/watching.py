"""A run watched from another terminal while it is written: the front, what runs, how fast, how long still.

It only reads: the journal is followed from where it was last read. It ends when the run does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from jouleshift import store
from jouleshift.analysis.digest import digest
from jouleshift.fidelity import Fidelity
from jouleshift.hpo.study import Progress
from jouleshift.journal import Asked, Event, Finished, read_events, records
from jouleshift.progress import line_of
from jouleshift.records import Run, Trial
from jouleshift.report.terminal import picture
from jouleshift.report.units import duration
from jouleshift.words import count

_PATIENCE = 20.0
"""A picture waits so many times as long as the last one took to draw."""
_SHOWN = 8


@dataclass
class Followed:
    """A journal read piece by piece."""

    run: Run
    path: Path
    events: list[Event] = field(default_factory=list)
    trials: dict[int, Trial] = field(default_factory=dict)
    _read: int = 0
    _file: int | None = None
    """The journal's number in its file system."""

    @classmethod
    def of(cls, directory: Path) -> "Followed":
        """Raises BadInput where that is no run."""
        return cls(store.read_run(directory), directory / store.JOURNAL)

    def more(self) -> list[Event]:
        """What was written since the last time; of a run that was started anew, everything."""
        self._notice_another()
        found, self._read, _ = read_events(self.path, self._read, (e.trial.id for e in self.running))
        self.events += found
        self.trials |= {event.trial.id: event.trial for event in found if isinstance(event, Asked)}
        return found

    def _notice_another(self) -> None:
        """Forget a run that --fresh has put another in the place of."""
        try:
            file = self.path.stat().st_ino
        except FileNotFoundError:
            return
        if self._file not in (None, file):
            self.run, self.events, self.trials, self._read = store.read_run(self.path.parent), [], {}, 0
        self._file = file

    @property
    def wanted(self) -> int:
        return int(self.run.config["trials"])

    @property
    def finished(self) -> list[Finished]:
        return [event for event in self.events if isinstance(event, Finished)]

    @property
    def running(self) -> list[Asked]:
        ended = {event.trial_id for event in self.finished}
        return [e for e in self.events if isinstance(e, Asked) and e.trial.id not in ended]


def watch(directory: Path, console: Console, pause_s: float = 0.5) -> None:
    """Show a run until no process writes it any more: a picture on a terminal, plain lines elsewhere.

    A search that is only beginning is waited for.
    """
    _until_it_has_begun(directory, console, pause_s)
    followed = Followed.of(directory)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            _until_it_ends(followed, pause_s, lambda: live.update(shown(followed, console), refresh=True))
    else:
        _until_it_ends(followed, pause_s, tell=lambda event, number: _tell(followed, event, number, console))


def _until_it_has_begun(directory: Path, console: Console, pause_s: float) -> None:
    if store.is_beginning(directory):
        words = f"{directory} is beginning: data and libraries are being loaded"
        console.print(words, highlight=False, markup=False, soft_wrap=True)
    while store.is_beginning(directory):
        time.sleep(pause_s)


def _until_it_ends(
    followed: Followed,
    pause_s: float,
    draw: Callable[[], object] = lambda: None,
    tell: Callable[[Finished, int], None] = lambda event, number: None,
) -> None:
    due = 0.0
    while True:
        goes_on = store.written_since(followed.path.parent) is not None
        new = [event for event in followed.more() if isinstance(event, Finished)]
        for number, event in enumerate(new, len(followed.finished) - len(new) + 1):
            tell(event, number)
        began = time.monotonic()
        if began >= due:
            draw()
            due = time.monotonic() + _PATIENCE * (time.monotonic() - began)
        if not goes_on:
            return
        time.sleep(pause_s)


def _tell(followed: Followed, event: Finished, number: int, console: Console) -> None:
    trial = followed.trials[event.trial_id]
    step = Progress(trial, event.result, number, followed.wanted)
    setting = Fidelity.of(followed.run.config).setting(trial.budget)
    console.print(line_of(step, setting, f"trial {trial.id}"), soft_wrap=True, highlight=False, markup=False)


def shown(followed: Followed, console: Console, now: datetime | None = None) -> Group:
    """The picture of a run at a moment."""
    now = now or datetime.now(UTC)
    run = Run(followed.run.path, followed.run.config, {}, records(followed.events))
    height = max(6, min(20, console.height - _SHOWN - 5))
    return Group(
        Text(f"{run.path.name}: {pace(followed, now)}", "bold"),
        picture(digest([run]), min(console.width, 100), height),
        *_running(followed, now),
    )


def pace(followed: Followed, now: datetime) -> str:
    """How much is done, how fast it goes, how long it still takes at that pace."""
    finished = followed.finished
    words = f"{len(finished)} of {count(followed.wanted, 'trial')}"
    since = store.written_since(followed.path.parent)
    if since is None:
        return f"{words}, not running"
    recent = [event for event in finished if event.time is not None and event.time >= since]
    if not recent:
        return words
    per_s = len(recent) / max(1e-3, (now - since) / timedelta(seconds=1))
    left = max(0, followed.wanted - len(finished)) / per_s
    return f"{words}, {60 * per_s:.3g} a minute, about {duration(left)} left"


def _running(followed: Followed, now: datetime) -> list[Text]:
    running = followed.running
    lines = []
    for event in running[:_SHOWN]:
        since = "" if event.time is None else f" for {duration((now - event.time) / timedelta(seconds=1))}"
        lines.append(Text(f"trial {event.trial.id}, {count(event.trial.budget, 'epoch')}{since}"))
    more = len(running) - len(lines)
    return [*lines, Text(f"and {more} more")] if more else lines
