"""The numbers behind a figure, once: all of them as a CSV file beside the page, and some as a table under the
figure for whoever hears the page instead of seeing it.

A sheet's columns carry their unit in their name, as everywhere (`energy_j`, `duration_s`). Its table for
people says the same with prefixes that fit: joules of one sheet share a unit, so that parts can be compared
with their sum, and errors and shares are percentages. A figure may have a hundred thousand numbers; a table
shows some rows, evenly from first to last.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jouleshift.analysis.thinning import evenly
from jouleshift.report.markup import Markup, element
from jouleshift.report.tables import Cell
from jouleshift.report.units import Unit, significant, unit_for

FOLDER = "tables"
"""Where the files lie, from the page."""

_PERCENT = ("error", "accuracy", "share")
_BASES = {"j": "J", "g": "g", "s": "s"}


@dataclass(frozen=True)
class Sheet:
    """Rows of cells under named columns; None where there is no value."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    @property
    def file(self) -> str:
        """The path of its file, relative to the page."""
        return f"{FOLDER}/{self.name}.csv"

    def csv(self) -> str:
        """All of it as CSV; numbers in the shortest form that reads back to the same value."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue()

    def only(self, *columns: str) -> "Sheet":
        """The same with these columns alone."""
        places = [self.columns.index(column) for column in columns]
        return replace(self, columns=columns, rows=[tuple(row[i] for i in places) for row in self.rows])

    def thinned(self, most: int, by: str | None = None) -> "Sheet":
        """At most so many rows, evenly from first to last; with `by`, of each value of that column."""
        place = None if by is None else self.columns.index(by)
        groups: dict[Cell, list[tuple[Cell, ...]]] = {}
        for row in self.rows:
            groups.setdefault(None if place is None else row[place], []).append(row)
        return replace(self, rows=[row for rows in groups.values() for row in evenly(rows, most)])


def table(sheet: Sheet, caption: str) -> Markup:
    """All rows as a table for people."""
    units = _units(sheet)
    header = [
        element("th", _heading(name, units.get(name)), scope="col", class_=_kind(sheet, i))
        for i, name in enumerate(sheet.columns)
    ]
    body = []
    for row in sheet.rows:
        shown = [_show(value, name, units) for value, name in zip(row, sheet.columns, strict=True)]
        first = element("th", shown[0], scope="row", class_=_kind(sheet, 0))
        rest = [element("td", text, class_=_kind(sheet, i)) for i, text in enumerate(shown) if i > 0]
        body.append(element("tr", first, rest))
    head = element("thead", element("tr", header))
    return element("table", element("caption", element("span", caption)), head, element("tbody", body))


def below(sheet: Sheet, shown: Sheet | None = None, caption: str = "", file: str | None = None) -> Markup:
    """What stands below a figure: a table that opens, of `shown`, and a link to the file of all of it."""
    shown = shown or sheet
    left_out = "" if len(shown.rows) >= len(sheet.rows) else " There are more in the file."
    said = f"{caption}{left_out}".strip() or "The numbers of the figure."
    return element(
        "div",
        element("details", element("summary", "The numbers as a table"), scrolling(table(shown, said))),
        link(file or sheet.file),
    )


def link(*files: str, what: str = "The same as CSV: ") -> Markup:
    """A line that names files beside the page."""
    named = [element("a", file, href=file) for file in files]
    return element("p", what, [Markup(f"{', ' if i else ''}{a}") for i, a in enumerate(named)],
                   ".", class_="beside")  # fmt: skip


def scrolling(content: Markup) -> Markup:
    """A wide table that scrolls in itself, also by keys."""
    return element("div", content, class_="scroll", tabindex=0)


def _kind(sheet: Sheet, place: int) -> str | None:
    return "text" if any(isinstance(row[place], str) for row in sheet.rows) else None


def _units(sheet: Sheet) -> dict[str, Unit]:
    """The unit of each column whose name ends in one; columns of the same quantity share it."""
    found: dict[str, Unit] = {}
    for ending, base in _BASES.items():
        places = [i for i, name in enumerate(sheet.columns) if name.endswith(f"_{ending}")]
        values = [row[i] for row in sheet.rows for i in places]
        unit = unit_for([v for v in values if isinstance(v, int | float)], base)
        found |= {sheet.columns[i]: unit for i in places}
    return found


def _is_percent(name: str) -> bool:
    return any(word in name for word in _PERCENT) and not name.startswith("weight_on_")


def _heading(name: str, unit: Unit | None) -> str:
    plain = name.removeprefix("share_of_").replace("_", " ")
    if unit is not None:
        return f"{plain[:-2]}/{unit.name}"
    return f"{plain}/%" if _is_percent(name) else plain


def _show(value: Cell, name: str, units: dict[str, Unit]) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if name in units:
        return units[name].show(value, 4)
    if _is_percent(name):
        return f"{100 * value:.1f}"
    return str(value) if isinstance(value, int) else significant(value)
