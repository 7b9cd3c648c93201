"""Searches followed by other tools: any number of watchers (`api.Watcher`) see what happens as it happens.

A tracker is a watcher that writes for a tool of its own. It is imported when it is asked for by name, so none
of the tools is needed unless used: `pip install 'jouleshift[mlflow]'`, `'jouleshift[tensorboard]'`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jouleshift.errors import BadInput, nearest

if TYPE_CHECKING:
    from jouleshift.api import Watcher
    from jouleshift.config import StudyConfig
    from jouleshift.hpo.study import Progress
    from jouleshift.records import Trial

_TRACKERS = {
    "mlflow": ("jouleshift.tracking.mlflow", "Mlflow"),
    "tensorboard": ("jouleshift.tracking.tensorboard", "Tensorboard"),
}


class Several:
    """Tells each of several watchers what it is told itself, in order."""

    def __init__(self, watchers: "Sequence[Watcher]") -> None:
        self._watchers = watchers

    def started(self, config: "StudyConfig", finished: int, notes: list[str]) -> None:
        for watcher in self._watchers:
            watcher.started(config, finished, notes)

    def note(self, text: str) -> None:
        for watcher in self._watchers:
            watcher.note(text)

    def epoch(self, trial: "Trial", epoch: Mapping[str, Any]) -> None:
        for watcher in self._watchers:
            watcher.epoch(trial, epoch)

    def progress(self, progress: "Progress") -> None:
        for watcher in self._watchers:
            watcher.progress(progress)


@contextmanager
def tracked(names: Sequence[str], *watchers: "Watcher") -> "Iterator[Watcher]":
    """These watchers and the named trackers as one watcher; the trackers are closed at the end.

    Raises BadInput for a tracker that is not known or not installed.
    """
    with ExitStack() as stack:
        made = [stack.enter_context(_make(name)) for name in names]
        yield Several([*watchers, *made])


def _make(name: str) -> Any:
    if name not in _TRACKERS:
        raise BadInput(f"unknown tracker {name!r}{nearest(name, _TRACKERS)}")
    module, attribute = _TRACKERS[name]
    try:
        return getattr(import_module(module), attribute)()
    except ImportError as error:
        raise BadInput(f"tracker {name!r}: {error}; pip install 'jouleshift[{name}]'") from None
