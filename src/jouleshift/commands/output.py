"""Where commands print: the terminal as wide as it is; into a pipe or a file lines as long as a table needs.

A table that is too wide for a terminal folds its cells, so nothing is lost; what another program reads must
not be folded, so there no width is assumed unless COLUMNS states one.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_UNBOUNDED = 10_000


def stdout() -> "Console":
    """The console on standard output."""
    from rich.console import Console

    console = Console()
    bounded = console.is_terminal or "COLUMNS" in os.environ
    return console if bounded else Console(width=_UNBOUNDED)


def show(console: "Console", table: "Table", lines: Iterable[str]) -> None:
    """A table, and below it lines that only the terminal itself wraps, so that they can be copied whole."""
    console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
