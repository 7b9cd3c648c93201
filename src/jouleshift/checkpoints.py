"""Which checkpoints of a run are still needed: of trials that may be continued, and of the front."""

from pathlib import Path

from jouleshift.analysis.pareto import front_of
from jouleshift.config import StudyConfig
from jouleshift.fidelity import Fidelity
from jouleshift.objectives import Goal
from jouleshift.records import Evaluation, TrialRecord


class CheckpointKeeper:
    """Drops checkpoints that no promotion and no front point needs any more, one trial a call."""

    def __init__(self, folder: Path, study: StudyConfig) -> None:
        self._folder = folder
        self._full_budget = study.max_budget
        self._continues = Fidelity.of(study.model_dump()).continues
        self._goal = Goal.of(study.model_dump())
        self._front: tuple[TrialRecord, ...] = ()

    def __call__(self, record: TrialRecord) -> None:
        """One that was interrupted is run again and still needs its parent's."""
        if record.result is None:
            return
        if record.trial.parent is not None:
            self._drop(record.trial.parent)
        paused = record.trial.budget < self._full_budget
        if not isinstance(record.result, Evaluation) or (paused and not self._continues):
            self._drop(record.trial.id)
            return
        if paused:
            return
        candidates = (*self._front, record)
        self._front = front_of(candidates, self._goal)
        kept = {member.trial.id for member in self._front}
        for candidate in candidates:
            if candidate.trial.id not in kept:
                self._drop(candidate.trial.id)

    def _drop(self, trial_id: int) -> None:
        (self._folder / f"{trial_id}.pt").unlink(missing_ok=True)
