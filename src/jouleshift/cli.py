"""The command line: thin commands over `api`, imports as late as possible.

Exit codes: 0 done, 2 bad input or a search without any network (one line on stderr), 130 interrupted (what is
finished is kept), 1 a bug of ours (the traceback goes into a log whose path is printed).
"""

import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App, CycloptsError, UnusedCliTokensError

from jouleshift import __version__
from jouleshift.commands import deployment, results
from jouleshift.commands.front import show_run
from jouleshift.commands.output import stdout
from jouleshift.commands.settings import OfLayers, Settings
from jouleshift.errors import BadInput, Bug, one_line

if TYPE_CHECKING:
    from jouleshift.records import Run

app = App(
    name="jouleshift",
    help="Find the Pareto front of deep shift networks between accuracy and energy.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)

DEMO: dict[str, Any] = {
    "data": "digits",
    "model": "tiny",
    "trials": 100,
    "min_budget": 1,
    "max_budget": 9,
    "out": "runs/demo",
}


@app.command
def search(
    data: str | None = None,
    *,
    config: Path | None = None,
    fresh: bool = False,
    track: list[str] | None = None,
    layers: OfLayers = (),
    settings: Settings = None,
) -> None:
    """Search the front of shift networks for DATA; the same command again continues.

    Parameters
    ----------
    data
        digits, cifar10, caltech101, a folder of class folders (or train/ val/ test/), or Parquet files
    config
        YAML file with settings; flags override it
    fresh
        start anew; an existing run directory is kept aside as NAME.1
    track
        also write for mlflow or tensorboard (pip install 'jouleshift[mlflow]', 'jouleshift[tensorboard]');
        repeat the flag for both
    """
    given = {} if settings is None else settings.given()
    given |= {"layers": layers} if layers else {}
    _search(data, config=config, fresh=fresh, track=track or (), **given)


@app.command
def demo(
    *, out: Path = Path(DEMO["out"]), trials: int = DEMO["trials"], seed: int = 0, fresh: bool = False
) -> None:
    """The main job on embedded data: a small network on scikit-learn's digits, about a minute on two cores.

    Parameters
    ----------
    out
        run directory
    trials
        trials in all
    seed
        seed of data split, proposals and training
    fresh
        start anew; an existing run directory is kept aside as NAME.1
    """
    _search(**{**DEMO, "out": out, "trials": trials, "seed": seed}, fresh=fresh)


@app.command
def status(run: Path, *, watch: bool = False) -> None:
    """What of a run is done, what failed, the front so far, and whether a process still writes it.

    Parameters
    ----------
    run
        run directory
    watch
        show it while a search writes it, until that ends
    """
    from datetime import UTC, datetime

    from jouleshift import store

    if watch:
        from jouleshift.watching import watch as watch_run

        watch_run(run, stdout())
    if not store.is_beginning(run):
        show_run(store.read_run(run), stdout())
    written = store.written_in_words(run, datetime.now(UTC))
    stdout().print(written, markup=False, highlight=False, soft_wrap=True)


@app.command
def doctor() -> None:
    """Sensors, devices, libraries and versions: what works here and what does not."""
    from jouleshift.doctor import diagnose

    stdout().print(diagnose())


for _command in (
    results.verify, results.report, results.compare, results.paper,
    deployment.export, deployment.measure, deployment.convert,
):  # fmt: skip
    app.command(_command)


def _search(
    data: str | None, *, config: Path | None = None, fresh: bool, track: Sequence[str] = (), **settings: Any
) -> None:
    from jouleshift.api import search as run_search
    from jouleshift.progress import SearchDisplay
    from jouleshift.tracking import tracked

    console = stdout()
    with SearchDisplay(console) as display, tracked(track, display) as watcher:
        result = run_search(data, config=config, fresh=fresh, watcher=watcher, **settings)
    show_run(result.run, console)
    if result.ended_early is not None:
        console.print(f"The search ended early: {result.ended_early}.", soft_wrap=True, highlight=False)
    console.print(f"report: {result.report}", markup=False, highlight=False, soft_wrap=True)
    _refuse_without_network(result.run)


def _refuse_without_network(run: "Run") -> None:
    """A search that brought no network at all has failed, whatever comes next in a script."""
    from jouleshift.records import Failure

    results = [record.result for record in run.trials if record.result is not None]
    failures = [result for result in results if isinstance(result, Failure)]
    if failures and len(failures) == len(results):
        raise BadInput(f"{run.path}: no trial has succeeded, the last one failed with {failures[-1]}")


def run() -> int:
    """Run a command and turn what went wrong into the documented exit code."""
    try:
        app(exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        unexpected = ", ".join(map(repr, error.unused_tokens or ()))
        print(f"jouleshift: unexpected {unexpected}; repeat a flag for several values", file=sys.stderr)
        return 2
    except (BadInput, CycloptsError) as error:
        print(f"jouleshift: {one_line(str(error))}", file=sys.stderr)
        return 2
    except Bug as error:
        print(f"jouleshift: {one_line(str(error))}", file=sys.stderr)
        return 1
    except Exception as error:  # the outermost frame: a bug is logged and reported
        if _is_interruption(error):
            raise KeyboardInterrupt from error
        print(f"jouleshift: {Bug(_log_traceback())}", file=sys.stderr)
        return 1
    return 0


def _is_interruption(error: BaseException) -> bool:
    """Whether an exception stands for an interruption, as the ImportError of a module that was being loaded
    in C (NumPy's, Matplotlib's) when the signal came."""
    cause = error.__cause__
    return cause is not None and (isinstance(cause, KeyboardInterrupt) or _is_interruption(cause))


def _log_traceback() -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix="jouleshift-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        traceback.print_exc(file=log)
    return Path(log.name)
