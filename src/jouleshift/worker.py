"""A worker process: evaluates the trials it is sent (see `hpo.seat` for the dialogue).

It ends when its input closes, in the middle of a trial too, so that no orphan goes on writing into a run that
another process has taken over. It also ends with a trial that raises, because what that leaves of libraries
and devices is unknown. Whatever the libraries print goes to standard error, which is the run's log.
"""

import json
import os
import queue
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from jouleshift.errors import BadInput, told
from jouleshift.records import to_json, trial_from_json


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _prefer_to_be_killed()
    messages = _read_ahead(os.fdopen(os.dup(0), "rb"))
    setup = next(messages)["setup"]
    try:
        serve(setup, messages, answers)
    except BadInput as error:
        _send(answers, {"bad_input": str(error)})


def serve(setup: dict[str, Any], messages: Iterator[dict[str, Any]], answers: IO[str]) -> None:
    """Load everything once, then answer each trial with its epochs, what a person should know, its result."""
    from jouleshift.config import StudyConfig
    from jouleshift.energy.quiet import telling
    from jouleshift.evaluate import Evaluator

    telling(lambda text: _send(answers, {"note": text}))
    evaluator = Evaluator(
        StudyConfig(**setup["study"]), Path(setup["checkpoints"]), split=setup.get("split", "val")
    )
    _send(answers, {"ready": evaluator.facts, "foreknown": evaluator.foreknown})
    for message in messages:
        trial = trial_from_json(message["trial"])
        evaluate = evaluator if message.get("measure", True) else evaluator.train_only
        with _last_words(answers):
            result = evaluate(trial, on_epoch=lambda epoch: _send(answers, {"epoch": to_json(epoch)}))
        _send(answers, {"result": None if result is None else to_json(result)})


@contextmanager
def _last_words(answers: IO[str]) -> Iterator[None]:
    """Say what a trial dies of: the traceback to the log, its last line to whoever waits."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        traceback.print_exc()
        _send(answers, {"crashed": told(error)})
        raise SystemExit(1) from error


def _send(answers: IO[str], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _read_ahead(stdin: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Messages as they come, read by a thread that ends the process when the input closes.

    The stream must be the thread's own: at its end Python locks `sys.stdin`, and aborts where a thread reads.
    """
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in stdin:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def _prefer_to_be_killed() -> None:
    """Where Linux runs out of memory, let it take this process and not the one that keeps the journal."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        try:
            score.write_text("800")
        except OSError:
            return


if __name__ == "__main__":
    main()
