"""The loop of a search: ask, run, record, tell; and its continuation by replay.

Every step is in the journal before the next one is taken, in the order in which the scheduler saw it. So a
search that was interrupted at any moment, or that is to get more trials, is continued by replaying the
journal into a fresh scheduler: it must propose the recorded trials again, one by one. Trials that were
proposed but have no result are run again under the same number. With one worker the trials equal those of a
run that was never interrupted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jouleshift.errors import BadInput
from jouleshift.hpo.executor import Executor
from jouleshift.hpo.scheduler import Scheduler
from jouleshift.records import Evaluation, Failure, Outcome, Trial, TrialRecord
from jouleshift.store import Asked, Event, Finished, Journal


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


def replay(scheduler: Scheduler, events: list[Event]) -> list[Trial]:
    """Bring a fresh scheduler to the state of the journal; return the trials that have no result yet.

    Raises `BadInput` where the scheduler does not propose what is recorded: the run was made with another
    version of it or of its libraries.
    """
    running: dict[int, Trial] = {}
    for event in events:
        if isinstance(event, Asked):
            proposed = scheduler.ask()
            if proposed != event.trial:
                raise BadInput(
                    f"the scheduler does not repeat recorded trial {event.trial.id}; this run was made with "
                    "other versions (see env.json): continue it with those, or start anew with --fresh"
                )
            running[event.trial.id] = event.trial
        else:
            scheduler.tell(running.pop(event.trial_id), outcome_of(event.result))
    return list(running.values())


def run_study(
    scheduler: Scheduler,
    executor: Executor,
    journal: Journal,
    trials: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_finished: Callable[[TrialRecord], None] = lambda record: None,
) -> None:
    """Run until `trials` trials have a result, those already in the journal included.

    It ends earlier where the scheduler has nothing more to propose: a finite space is exhausted.

    `on_finished` gets each finished trial once it is in the journal, to drop files no longer needed.
    """
    waiting = replay(scheduler, journal.events)
    asked = len(journal.records)
    finished = asked - len(waiting)
    running = 0

    while finished < max(trials, asked):
        while executor.free:
            if waiting:
                trial = waiting.pop(0)
            elif asked < trials and (proposed := scheduler.ask()) is not None:
                trial = proposed
                journal.append(Asked(trial))
                asked += 1
            elif not running:
                return
            else:
                break
            executor.submit(trial)
            running += 1
            on_progress(Progress(trial, None, finished, trials))
        done = executor.wait()
        if done is None:
            continue
        running -= 1
        duration_s = round(done.duration_s, 3)
        journal.append(Finished(done.trial.id, done.result, duration_s))
        scheduler.tell(done.trial, outcome_of(done.result))
        finished += 1
        on_progress(Progress(done.trial, done.result, finished, trials))
        on_finished(TrialRecord(done.trial, done.result, duration_s))
