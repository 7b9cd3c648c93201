"""The command `paper` on a terminal: the list of experiments, and one or several of them run and shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from jouleshift.energy.carbon import place
from jouleshift.paper.experiments import EXPERIMENTS, chosen
from jouleshift.paper.reproduce import progress_of, reproduce, show_on
from jouleshift.progress import SearchDisplay

if TYPE_CHECKING:
    from rich.table import Table


def list_experiments(out: Path, seeds: int) -> "Table":
    """Every figure and table, and how far its searches under `out` are."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "what it shows", f"in {out}"):
        table.add_column(heading, overflow="fold")
    for name, experiment in EXPERIMENTS.items():
        table.add_row(name, experiment.title, progress_of(experiment, out, seeds))
    return table


def run_experiments(
    console: Console,
    name: str,
    *,
    scale: float,
    seeds: int,
    out: Path,
    energies: Sequence[str],
    own: Mapping[str, Any],
) -> None:
    """Run what `name` needs, show it, and say where the files are."""
    experiments = chosen(name)
    where = place(own)
    with SearchDisplay(console) as display:
        results = reproduce(
            experiments,
            seeds=seeds,
            scale=scale,
            out=out,
            intensity=where,
            own=own,
            watcher=display,
            energies=energies,
        )
    for experiment, shown in results:
        show_on(console, experiment, shown)
    console.print(f"files: {out}/{experiments[0].name}.*", markup=False, highlight=False, soft_wrap=True)
