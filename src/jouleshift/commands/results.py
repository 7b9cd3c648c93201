"""What to do with runs: verify, report, compare, and set the paper's numbers beside ours."""

from pathlib import Path

from jouleshift.commands.output import stdout
from jouleshift.commands.settings import Elsewhere, OfLayers, OfTheStudies, PaperSettings, Place
from jouleshift.errors import BadInput


def verify(run: Path, *, seeds: int = 2, workers: int | str | None = None) -> None:
    """Train a run's front again with fresh seeds and judge it on the test split; the same command continues.

    Parameters
    ----------
    run
        run directory
    seeds
        fresh seeds for each configuration of the front and for the default one
    workers
        trainings at a time, a Dask scheduler's address or a cluster's YAML file; by default as in the search
    """
    from jouleshift import store
    from jouleshift.analysis.verification import verification_of
    from jouleshift.progress import VerificationDisplay
    from jouleshift.report.sentences import verified_headline
    from jouleshift.report.verified import verified_table
    from jouleshift.verify import verify as run_verification

    console = stdout()
    with VerificationDisplay(console) as display:
        page = run_verification(run, seeds=seeds, workers=workers, watcher=display)
    if (found := verification_of([store.read_run(run)])) is not None:
        console.print(verified_table(found))
        console.print(verified_headline(found), markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def report(
    runs: list[Path],
    /,
    *,
    out: Path | None = None,
    also: list[str] | None = None,
    light: bool = False,
    elsewhere: Elsewhere = None,
) -> None:
    """Write report.html, front.png, trials.csv, front.csv and tables/ of one or several runs.

    Emissions are for the first run's place unless another is given. With a CSV as --intensity it also says
    when a search as long as the first run would have emitted least.

    Parameters
    ----------
    runs
        run directories; several of different seeds are shown together
    out
        folder for the files; by default the run's own, or FIRST-and-N-more beside the first of several
    also
        format of another tool to write into each run: parquet, deepcave, smac3 or optuna; repeat the
        flag for several
    light
        write a page without scripts, some tens of kilobytes: for a repository or a mail
    """
    from jouleshift.api import report as write

    print(write(runs, out=out, also=also or (), light=light, **Place.given(elsewhere)))
    if elsewhere is not None and isinstance(elsewhere.intensity, str):
        from jouleshift import store
        from jouleshift.cost import greenest_start

        print(greenest_start(store.read_run(runs[0]), Path(elsewhere.intensity)))


def compare(first: Path, second: Path, /, *, out: Path | None = None, elsewhere: Elsewhere = None) -> None:
    """Fronts and hypervolumes of two runs side by side: a table, compare.csv and compare.png.

    Which settings differ is told. Emissions are for the first run's place unless another is given.

    Parameters
    ----------
    first
        run directory
    second
        run directory of the same classes, whose energies come from the same source and profile
    out
        folder for the files; by default FIRST-vs-SECOND beside the first run
    """
    from jouleshift import store
    from jouleshift.energy.carbon import place
    from jouleshift.report.comparison import comparison_table, side_by_side, write_comparison

    runs = [store.read_run(path) for path in (first, second)]
    sides = side_by_side(runs)
    names = [run.path.name for run in runs]
    target = out or runs[0].path.parent / "-vs-".join(names)
    write_comparison(sides, place(runs[0].config, **Place.given(elsewhere)), target)
    stdout().print(comparison_table(sides))
    print(target / "compare.png")


def paper(
    experiment: str | None = None,
    *,
    scale: float = 1.0,
    seeds: int = 3,
    cifar10: str = "cifar10",
    caltech101: str = "caltech101",
    under: list[str] | None = None,
    layers: OfLayers = (),
    settings: OfTheStudies = None,
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
    under
        look at the fronts' networks under another energy too: a hardware profile, simulated or deployed;
        repeat the flag for several
    """
    from jouleshift.paper.command import list_experiments, run_experiments

    if seeds < 1:
        raise BadInput(f"seeds {seeds}: at least one is needed")
    settings = settings or PaperSettings()
    own, out = settings.given(), settings.out
    own.pop("out", None)
    if experiment is None:
        stdout().print(list_experiments(out, seeds))
        return
    own |= {"layers": layers} if layers else {}
    own |= {"cifar10": cifar10, "caltech101": caltech101}
    run_experiments(stdout(), experiment, scale=scale, seeds=seeds, out=out, energies=under or (), own=own)
