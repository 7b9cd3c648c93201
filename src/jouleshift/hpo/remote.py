"""The part of a cluster search that runs on a Dask worker: a seat of its own for each search.

A Dask worker outlives the searches it works for, and may be asked for another trial by a search that was
killed and started again while the old trial still runs. So seats are kept by run, and belong to a session:
`release` ends those of earlier ones.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import get_worker

from jouleshift import __version__
from jouleshift.errors import BadInput
from jouleshift.hpo.executor import Work
from jouleshift.hpo.seat import Message, Seat


@dataclass(frozen=True)
class Session:
    """One invocation of a search: its work, its version, and a file that exists in the run directory only."""

    name: str
    work: Work
    proof: Path
    version: str = __version__


_seats: dict[Path, tuple[str, Seat]] = {}
_lock = threading.Lock()


def describe(session: Session) -> Message:
    """What this worker's process says first. Raises BadInput where it cannot take part."""
    return _seat(session).open()


def run(session: Session, message: Message) -> dict[str, Any]:
    """A trial's result as plain JSON, and how many seconds it took; epochs are events of the session."""
    worker, number = get_worker(), message["trial"]["id"]
    result, duration_s = _seat(session).run(
        message, lambda epoch: worker.log_event(session.name, (number, dict(epoch)))
    )
    return {"result": result, "duration_s": duration_s}


def release(log: Path, session: str = "") -> None:
    """End what this worker does for the run with that log, unless it is for `session`."""
    with _lock:
        if log in _seats and _seats[log][0] != session:
            _seats.pop(log)[1].close()


def _seat(session: Session) -> Seat:
    release(session.work.log, session.name)
    with _lock:
        if session.work.log not in _seats:
            _check(session)
            worker = get_worker()
            seat = Seat(
                _on_this_worker(session.work), on_note=lambda note: worker.log_event(session.name, note)
            )
            _seats[session.work.log] = session.name, seat
        return _seats[session.work.log][1]


def _check(session: Session) -> None:
    me = get_worker().address
    if session.version != __version__:
        raise BadInput(f"worker {me} has jouleshift {__version__}, this is {session.version}: install one")
    if not session.proof.exists():
        raise BadInput(
            f"worker {me} does not see {session.proof.parent}: put --out on a directory that all machines "
            "have under the same path"
        )


def _on_this_worker(work: Work) -> Work:
    """A trial takes as many threads as its Dask worker has, unless the study says how many."""
    study = dict(work.setup["study"])
    study["threads"] = study["threads"] or get_worker().state.nthreads
    return replace(work, setup={**work.setup, "study": study})
