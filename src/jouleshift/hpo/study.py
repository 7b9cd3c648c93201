"""The loop of a search: ask, run, record, tell; and its continuation by replay.

Every step is in the journal before the next one is taken, in the order in which the scheduler saw it. So a
search that was interrupted at any moment, or that is to get more trials, is continued by replaying the
journal into a fresh scheduler, which must repeat the recorded trials, one by one. Trials that were
proposed but have no result are run again under the same number. With one worker the trials equal those of a
run that was never interrupted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jouleshift.errors import BadInput
from jouleshift.hpo.executor import Executor
from jouleshift.hpo.scheduler import Scheduler
from jouleshift.hpo.stopping import Rule, first_reason
from jouleshift.journal import Asked, Event, Finished
from jouleshift.records import Evaluation, Failure, Outcome, Trial, TrialRecord
from jouleshift.store import Journal


@dataclass(frozen=True)
class Progress:
    """What happened, for whoever shows it: a trial began, or ended with a result."""

    trial: Trial
    result: Evaluation | Failure | None
    finished: int
    wanted: int


def outcome_of(result: Evaluation | Failure) -> Outcome:
    """What the scheduler is told of a result."""
    return result if isinstance(result, Failure) else result.objectives


def replay(scheduler: Scheduler, events: list[Event], elsewhere: bool = False) -> list[Trial]:
    """Bring a fresh scheduler to the state of the journal; return the trials that have no result yet.

    With `elsewhere` the journal was begun on another machine or by other versions. Raises `BadInput` where
    the scheduler does not propose what is recorded and cannot take it up either.
    """
    running: dict[int, Trial] = {}
    for event in events:
        if isinstance(event, Asked):
            if not scheduler.repeat(event.trial, elsewhere):
                raise BadInput(
                    f"the scheduler does not repeat recorded trial {event.trial.id}; this run was made with "
                    "other versions (see env.json): continue it with those, or start anew with --fresh"
                )
            running[event.trial.id] = event.trial
        else:
            scheduler.tell(running.pop(event.trial_id), outcome_of(event.result))
    return list(running.values())


def finished_in_order(events: list[Event]) -> Iterator[TrialRecord]:
    """The finished trials of a journal, as they ended."""
    trials = {event.trial.id: event.trial for event in events if isinstance(event, Asked)}
    for event in events:
        if isinstance(event, Finished):
            yield TrialRecord(trials[event.trial_id], event.result, event.duration_s)


def run_study(
    scheduler: Scheduler,
    executor: Executor,
    journal: Journal,
    trials: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_finished: Callable[[TrialRecord], None] = lambda record: None,
    rules: Sequence[Rule] = (),
    elsewhere: bool = False,
) -> str | None:
    """Run until `trials` trials have a result, those already in the journal included.

    It ends earlier where a rule says so or the scheduler has nothing more to propose, a finite space being
    exhausted: then the reason is returned.

    `on_finished` gets each finished trial once it is in the journal, to drop files no longer needed. With
    `elsewhere` the run was begun on another machine or by other versions.
    """
    course = _Course(scheduler, journal, trials, rules, elsewhere)
    running = 0
    while True:
        while executor.free and (trial := course.next(running)) is not None:
            executor.submit(trial)
            running += 1
            on_progress(Progress(trial, None, course.finished, trials))
        if not running and course.over:
            return course.reason
        done = executor.wait()
        if done is None:
            continue
        running -= 1
        record = TrialRecord(done.trial, done.result, round(done.duration_s, 3))
        course.end(record)
        on_progress(Progress(done.trial, done.result, course.finished, trials))
        on_finished(record)


class _Course:
    """Where a study stands: each step into the journal, then to the scheduler and the rules."""

    def __init__(
        self,
        scheduler: Scheduler,
        journal: Journal,
        trials: int,
        rules: Sequence[Rule],
        elsewhere: bool,
    ) -> None:
        self._scheduler, self._journal, self._trials, self._rules = scheduler, journal, trials, rules
        self._waiting = replay(scheduler, journal.events, elsewhere)
        self._asked = len(journal.records)
        self._exhausted = False
        self.finished = self._asked - len(self._waiting)
        for record in journal.records:
            for rule in rules:
                rule.asked(record.trial)
        for record in finished_in_order(journal.events):
            for rule in rules:
                rule.finished(record)

    @property
    def over(self) -> bool:
        """Whether nothing is left to be started."""
        enough = self._asked >= self._trials or self.reason is not None
        return enough and not self._waiting

    @property
    def reason(self) -> str | None:
        """Why it ends before the wanted trials, None where it does not."""
        if self._asked >= self._trials:
            return None
        if not self._exhausted:
            return first_reason(self._rules)
        limits = self._scheduler.problem.known_limits
        return "the space holds no further configuration" + (f" found to keep {limits}" if limits else "")

    def next(self, running: int) -> Trial | None:
        """The next trial to start; None where there is none while so many run."""
        if self._waiting:
            return self._waiting.pop(0)
        if self.over:
            return None
        trial = self._scheduler.ask()
        if trial is None:
            self._exhausted = not running
            return None
        self._journal.append(Asked(trial))
        self._asked += 1
        for rule in self._rules:
            rule.asked(trial)
        return trial

    def end(self, record: TrialRecord) -> None:
        """A trial has its result."""
        assert record.result is not None and record.duration_s is not None
        self._journal.append(Finished(record.trial.id, record.result, record.duration_s))
        self._scheduler.tell(record.trial, outcome_of(record.result))
        self.finished += 1
        for rule in self._rules:
            rule.finished(record)
