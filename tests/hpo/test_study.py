import pytest

from jouleshift.errors import BadInput
from jouleshift.hpo.study import run_study
from jouleshift.journal import Asked, Finished
from jouleshift.records import Failure
from jouleshift.store import Journal
from tests.toys import Counting, Serial, evaluate


def without_time(journal: Journal):
    return [event if isinstance(event, Asked) else (event.trial_id, event.result) for event in journal.events]


def straight(directory, trials: int):
    with Journal(directory) as journal:
        run_study(Counting(), Serial(evaluate), journal, trials)
        return without_time(journal)


class Stop(BaseException):
    """An interruption no code of ours can catch by accident."""


def test_a_study_records_question_and_answer_of_every_trial(tmp_path):
    events = straight(tmp_path, 12)
    assert len(events) == 24
    assert [e.trial.id for e in events[::2]] == list(range(1, 13))
    assert sum(isinstance(e[1], Failure) for e in events[1::2]) >= 1


def test_stopped_after_any_event_and_continued_equals_the_straight_run(tmp_path, monkeypatch):
    expected = straight(tmp_path / "straight", 12)
    append = Journal.append
    for stop_after in range(24):
        written = 0

        def stopping(self, event, stop_after=stop_after):
            nonlocal written
            if written == stop_after:
                raise Stop
            written += 1
            append(self, event)

        monkeypatch.setattr(Journal, "append", stopping)
        with pytest.raises(Stop), Journal(tmp_path / str(stop_after)) as journal:
            run_study(Counting(), Serial(evaluate), journal, 12)
        monkeypatch.setattr(Journal, "append", append)
        evaluated: list[int] = []

        def recording(trial, evaluated=evaluated):
            evaluated.append(trial.id)
            return evaluate(trial)

        with Journal(tmp_path / str(stop_after)) as journal:
            before = {e.trial_id for e in journal.events if isinstance(e, Finished)}
            run_study(Counting(), Serial(recording), journal, 12)
            assert without_time(journal) == expected
        assert not before & set(evaluated)
        assert len(evaluated) == 12 - len(before)


def test_more_trials_continue_and_fewer_change_nothing(tmp_path):
    straight(tmp_path / "a", 5)
    assert straight(tmp_path / "a", 12) == straight(tmp_path / "b", 12)
    assert straight(tmp_path / "a", 3) == straight(tmp_path / "b", 12)


def test_an_exhausted_space_ends_the_study(tmp_path):
    class Finite(Counting):
        def _propose(self):
            return super()._propose() if self._next < 3 else None

    with Journal(tmp_path) as journal:
        run_study(Finite(), Serial(evaluate), journal, 10)
        assert len(journal.records) == 4


def test_a_scheduler_that_proposes_something_else_is_refused(tmp_path):
    straight(tmp_path, 5)

    class Other(Counting):
        def _propose(self):
            self._next += 1
            return super()._propose()

    with pytest.raises(BadInput, match="does not repeat recorded trial 2"), Journal(tmp_path) as journal:
        run_study(Other(), Serial(evaluate), journal, 6)
