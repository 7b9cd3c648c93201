"""A run as Python users hold it: what `search` returns, or what a run directory has.

    run = jouleshift.open_run("runs/photos")
    run.front[0].trial.config

Nothing is computed before it is asked for; notebooks show both as a drawing and a table.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jouleshift import store
from jouleshift.records import CarbonIntensity, Run

if TYPE_CHECKING:
    from jouleshift.report.notebook import Front


@dataclass(frozen=True, repr=False)
class SearchResult:
    """A search: the run as read from its directory, its report, and why it ended early, if so. Notebooks show
    it with its front."""

    run: Run
    report: Path
    ended_early: str | None = None

    @property
    def front(self) -> "Front":
        """The non-dominated full-budget trials, from the lowest error to the lowest energy."""
        from jouleshift.report.notebook import Front

        return Front(self.run, self._where)

    @property
    def _where(self) -> CarbonIntensity:
        from jouleshift.energy.carbon import place

        return place(self.run.config)

    def __repr__(self) -> str:
        from jouleshift.report.notebook import run_text

        return run_text(self.run, self._where)

    def _repr_html_(self) -> str:
        from jouleshift.report.notebook import run_html

        return run_html(self.run, self._where)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def open_run(path: str | os.PathLike[str]) -> SearchResult:
    """A run directory that a search has left, finished or not. Raises `BadInput` where there is none.

    The report is the one that is there; `report` writes it anew.
    """
    place = Path(path)
    return SearchResult(store.read_run(place), place / "report.html")
