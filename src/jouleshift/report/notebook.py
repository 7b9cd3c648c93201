"""A run and its front as a notebook shows them: a sentence, a drawing, a table, a few kilobytes.

Notebooks that are not trusted run no script, and their themes are not the system's, so there is none here and
no colour scheme: text inherits its colour, lines and shades are half transparent. `_repr_mimebundle_` gives
HTML for notebooks and plain text for consoles.
"""

import io

from jouleshift.analysis.digest import Digest, digest
from jouleshift.analysis.pareto import front
from jouleshift.records import CarbonIntensity, Run, TrialRecord
from jouleshift.report.markup import Markup, element
from jouleshift.report.sentences import energy_stamp, headline, state_in_words
from jouleshift.report.sketch import front_sketch
from jouleshift.report.tables import front_and_default, front_columns, front_table

CELL = "padding:.15rem .6rem;text-align:right;border-bottom:1px solid rgb(128 128 128/.3);background:none"
SMALL = "font-size:.85em;opacity:.75;margin:.3rem 0"


class Front(tuple[TrialRecord, ...]):
    """The non-dominated full-budget trials of a run, from the lowest error to the lowest energy.

    A tuple of `TrialRecord`; a notebook shows it as a drawing and a table with the default configuration.
    """

    run: Run
    where: CarbonIntensity

    def __new__(cls, run: Run, where: CarbonIntensity) -> "Front":
        made = super().__new__(cls, front(run))
        made.run, made.where = run, where
        return made

    def __reduce__(self) -> tuple[type["Front"], tuple[Run, CarbonIntensity]]:
        """Copies and pickles are made as the front was, from its run."""
        return Front, (self.run, self.where)

    def _repr_html_(self) -> str:
        view = digest([self.run])
        return _block(front_sketch(view), _table(view, self.where), _stamp(view))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": front_text(self.run, self.where), "text/html": self._repr_html_()}


def run_html(run: Run, where: CarbonIntensity) -> str:
    """A run: the result in a sentence, how far it is, and its front."""
    view = digest([run])
    heading = element("p", element("b", headline(view)), style="margin:.3rem 0;max-width:46rem")
    state = element("p", f"{run.path.name}: {state_in_words(view)}", style=SMALL)
    return _block(heading, state, front_sketch(view), _table(view, where), _stamp(view))


def run_text(run: Run, where: CarbonIntensity) -> str:
    """The same for a console, without the drawing."""
    view = digest([run])
    return "\n".join([front_text(run, where), state_in_words(view), headline(view)])


def front_text(run: Run, where: CarbonIntensity) -> str:
    """The front beside the default configuration as a text table, 100 characters wide."""
    from rich.console import Console

    text = io.StringIO()
    table = front_table(digest([run]), where, width=100)
    Console(file=text, width=100).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())


def _block(*parts: Markup | None) -> str:
    return str(element("div", *parts, style="color:inherit;line-height:1.45"))


def _stamp(view: Digest) -> Markup:
    return element("p", f"{energy_stamp(view)}.", style=SMALL)


def _table(view: Digest, where: CarbonIntensity) -> Markup | None:
    comparison = view.comparison
    shown = front_and_default(comparison)
    if not shown:
        return None
    columns = front_columns(shown, view, where)
    header = [element("th", name.replace("\n", " "), scope="col", style=CELL) for name, _ in columns]
    lines = [
        element("tr", [element("td", cells[index], style=CELL) for _, cells in columns])
        for index in range(len(shown))
    ]
    table = element(
        "table",
        element("caption", "★ dominates the default configuration", style=f"{SMALL};text-align:left"),
        element("thead", element("tr", header)),
        element("tbody", lines),
        style="border-collapse:collapse;font-variant-numeric:tabular-nums",
    )
    return element("div", table, style="overflow-x:auto")
