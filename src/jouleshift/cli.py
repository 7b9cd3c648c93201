"""The command line: thin commands over `api`, imports as late as possible.

Exit codes: 0 done, 2 bad input (one line on stderr), 130 interrupted (what is finished is kept), 1 a bug of
ours (the traceback goes into a log whose path is printed).
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from jouleshift import __version__
from jouleshift.config import ShiftConfig, StudyConfig
from jouleshift.errors import BadInput, Bug

if TYPE_CHECKING:
    from rich.console import Console

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
    "trials": 40,
    "min_budget": 1,
    "max_budget": 9,
    "out": "runs/demo",
}


class SearchSettings(StudyConfig):
    """`StudyConfig` as flags; the data is the command's own argument."""

    data: Annotated[str, Parameter(parse=False)] = "digits"


Settings = Annotated[SearchSettings | None, Parameter(name="*")]
ShiftSettings = Annotated[ShiftConfig | None, Parameter(name="*")]


@app.command
def search(
    data: str | None = None,
    *,
    config: Path | None = None,
    fresh: bool = False,
    track: list[str] | None = None,
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
        also write for mlflow or tensorboard (pip install 'jouleshift[mlflow]', 'jouleshift[tensorboard]')
    """
    given = {} if settings is None else settings.given()
    _search(data, config=config, fresh=fresh, track=track or (), **given)


@app.command
def demo(
    *, out: Path = Path(DEMO["out"]), trials: int = DEMO["trials"], seed: int = 0, fresh: bool = False
) -> None:
    """The main job on embedded data: a small network on scikit-learn's digits, about 90 s on two cores.

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
def status(run: Path) -> None:
    """What of a run is done, what failed, and the front so far.

    Parameters
    ----------
    run
        run directory
    """
    from rich.console import Console

    from jouleshift import store

    read = store.read_run(run)
    _show(read, read.config.get("region", "world"), Console())


@app.command
def verify(run: Path, *, seeds: int = 2, workers: int | None = None) -> None:
    """Train a run's front again with fresh seeds and judge it on the test split; the same command continues.

    Parameters
    ----------
    run
        run directory
    seeds
        fresh seeds for each configuration of the front and for the default one
    workers
        trainings at a time; by default as in the search
    """
    from rich.console import Console

    from jouleshift import store
    from jouleshift.analysis.verification import verification_of
    from jouleshift.progress import SearchDisplay
    from jouleshift.report.verified import verified_table
    from jouleshift.verify import verify as run_verification

    console = Console()
    with SearchDisplay(console) as display:
        page = run_verification(run, seeds=seeds, workers=workers, watcher=display)
    read = store.read_run(run)
    if (found := verification_of([read])) is not None:
        console.print(verified_table(found))
    _show(read, read.config["region"], console)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


@app.command
def report(
    runs: list[Path],
    /,
    *,
    region: str | None = None,
    out: Path | None = None,
    also: list[str] | None = None,
    series: Path | None = None,
) -> None:
    """Write report.html, front.png, trials.csv and front.csv of one or several runs.

    Parameters
    ----------
    runs
        run directories; several of different seeds are shown together
    region
        where the energy is drawn: an ISO country code, US-CA, 'world', or grams per kWh such as 120g
    out
        folder for the files; by default the first run's
    also
        formats of other tools to write into each run: parquet, deepcave, smac3 or optuna
    series
        CSV of carbon intensities (time, g_per_kwh): says when a search as long as the first run would have
        emitted least
    """
    from jouleshift.api import report as write

    print(write(runs, region=region, out=out, also=also or ()))
    if series is not None:
        from jouleshift import store
        from jouleshift.cost import greenest_start

        print(greenest_start(store.read_run(runs[0]), series))


@app.command
def compare(first: Path, second: Path, /, *, out: Path | None = None, region: str | None = None) -> None:
    """Fronts and hypervolumes of two runs side by side: a table, compare.csv and compare.png.

    Parameters
    ----------
    first
        run directory
    second
        run directory whose energies come from the same source
    out
        folder for the files; by default FIRST-vs-SECOND beside the first run
    region
        where the energy is drawn, for emissions; by default the first run's
    """
    from rich.console import Console

    from jouleshift import store
    from jouleshift.energy.carbon import intensity
    from jouleshift.report.comparison import comparison_table, side_by_side, write_comparison

    runs = [store.read_run(path) for path in (first, second)]
    sides = side_by_side(runs)
    target = out or first.parent / f"{first.name}-vs-{second.name}"
    write_comparison(sides, intensity(region or runs[0].config.get("region", "world")), target)
    Console().print(comparison_table(sides))
    print(target / "compare.png")


@app.command
def paper(
    experiment: str | None = None,
    *,
    scale: float = 1.0,
    seeds: int = 3,
    cifar10: str = "cifar10",
    caltech101: str = "caltech101",
    settings: Settings = None,
) -> None:
    """A figure or table of the paper with our numbers beside its own; without a name, the list of them.

    Parameters
    ----------
    experiment
        figure-1a … figure-1f, figure-2 … figure-5, table-1 … table-7, figure-1 for its six panels, or all
    scale
        1 is the full study; less takes fewer epochs, images and trials, never below three rungs
    seeds
        searches of each study, seeds counted from 0
    cifar10
        where CIFAR-10 is, if not to be downloaded: for instance "folder/cifar10-*.parquet"
    caltech101
        where Caltech101 is
    """
    from rich.console import Console

    from jouleshift.paper.command import list_experiments, run_experiments

    own = {} if settings is None else settings.given()
    out = Path(own.pop("out", "runs/paper"))
    if experiment is None:
        Console().print(list_experiments(out, seeds))
        return
    own |= {"cifar10": cifar10, "caltech101": caltech101}
    run_experiments(Console(), experiment, scale=scale, seeds=seeds, out=out, own=own)


@app.command
def export(
    run: Path,
    *,
    pick: str = "knee",
    format: str | None = None,
    out: Path | None = None,
    region: str | None = None,
) -> None:
    """Write a point of a run's front as integers to ship: ONNX, C, torch.export or safetensors, and a card.

    Parameters
    ----------
    run
        run directory
    pick
        knee, max-accuracy, min-energy, a bound such as "accuracy>=0.95", or a trial's number
    format
        onnx, c, torch or safetensors; the suffix of --out says it too
    out
        file (model.onnx, model.c, model.pt2, model.safetensors) or folder; by default RUN/export/trial-N
    region
        where the energy is drawn, for the card; by default the run's
    """
    from rich.console import Console

    from jouleshift.exporting import export_run
    from jouleshift.shown import exported_in_words

    exported = export_run(run, pick, form=format, out=out, region=region)
    console = Console()
    for line in exported_in_words(exported):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command
def measure(
    model: str,
    *,
    runtime: str = "auto",
    batch: int = 64,
    threads: int | None = None,
    power_w: float | None = None,
    windows: int = 5,
    region: str = "world",
) -> None:
    """Energy and latency of an exported model, or of a network by name, on this machine.

    Parameters
    ----------
    model
        model.onnx, model.pt2 or model.safetensors, as export wrote it; or the name of a network
    runtime
        onnxruntime, openvino or torch; auto takes the fastest that is installed
    batch
        images at a time
    threads
        CPU threads; by default one a core
    power_w
        watts of this machine at work, where no sensor tells; energy is then time × power, an estimate
    windows
        windows of the energy measurement
    region
        where the energy is drawn: an ISO country code, US-CA, 'world', or grams per kWh such as 120g
    """
    from rich.console import Console

    from jouleshift.deploy.measured import Conditions
    from jouleshift.energy.carbon import intensity
    from jouleshift.measuring import measure_model
    from jouleshift.shown import measured_table

    where = intensity(region)
    conditions = Conditions(runtime, batch, threads or os.cpu_count() or 1, power_w, windows)
    Console().print(measured_table(measure_model(model, conditions), where))


@app.command
def convert(model: str, *, classes: int = 10, channels: int = 3, settings: ShiftSettings = None) -> None:
    """Convert a network to shift layers and list what was converted, what not, and why.

    Parameters
    ----------
    model
        name of a network, or package.module:function that builds one
    classes
        number of classes
    channels
        channels of the images
    """
    from rich.console import Console

    from jouleshift.conversion import convert as convert_network
    from jouleshift.conversion import plan
    from jouleshift.models import create
    from jouleshift.shown import conversion_table

    network, config = create(model, classes, channels), settings or ShiftConfig()
    Console().print(conversion_table(model, network, plan(network, config), convert_network(network, config)))


@app.command
def doctor() -> None:
    """Sensors, devices, libraries and versions: what works here and what does not."""
    from rich.console import Console

    from jouleshift.doctor import diagnose

    Console().print(diagnose())


def _search(
    data: str | None, *, config: Path | None = None, fresh: bool, track: Sequence[str] = (), **settings: Any
) -> None:
    from rich.console import Console

    from jouleshift.api import search as run_search
    from jouleshift.progress import SearchDisplay
    from jouleshift.tracking import tracked

    console = Console()
    with SearchDisplay(console) as display, tracked(track, display) as watcher:
        result = run_search(data, config=config, fresh=fresh, watcher=watcher, **settings)
    _show(result.run, result.run.config["region"], console)
    if len(result.run.trials) < result.run.config["trials"]:
        console.print("The search ended early: the space holds no further configuration.")
    console.print(f"report: {result.report}", markup=False, highlight=False, soft_wrap=True)


def _show(run: "Run", region: str, console: "Console") -> None:
    """State, front against the default, and the result in a sentence."""
    from jouleshift.analysis.digest import digest
    from jouleshift.energy.carbon import intensity
    from jouleshift.report.sentences import headline, state_in_words
    from jouleshift.report.tables import front_table

    view = digest([run])
    console.print(front_table(run.path.name, view.comparison, intensity(region), console.width))
    for sentence in (state_in_words(view), headline(view)):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def run() -> int:
    """Run a command and turn what went wrong into the documented exit code."""
    try:
        app(exit_on_error=False, print_error=False, result_action="return_value")
    except (BadInput, CycloptsError) as error:
        print(f"jouleshift: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Bug as error:
        print(f"jouleshift: {error}", file=sys.stderr)
        return 1
    except Exception:  # noqa: BLE001 - the outermost frame: a bug is logged and reported
        print(f"jouleshift: {Bug(_log_traceback())}", file=sys.stderr)
        return 1
    return 0


def _log_traceback() -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix="jouleshift-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        traceback.print_exc(file=log)
    return Path(log.name)
