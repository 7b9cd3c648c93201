"""Everything derived from the journal, written beside it: trials.csv, front.csv, front.png, report.html,
verified.csv where the front was verified, and in tables/ the numbers behind each figure (`numbers`).

Each file is written whole under another name and then renamed, so a reader or a crash never meets half a
file. All of them may be deleted; the next report makes them again.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from jouleshift.analysis.digest import Digest, Point, digest
from jouleshift.errors import BadInput
from jouleshift.records import CarbonIntensity, Run
from jouleshift.report.figures import front_png
from jouleshift.report.html import light_page, page
from jouleshift.report.insight import Insight, insight
from jouleshift.report.numbers import NAMES, sheets
from jouleshift.report.sheet import FOLDER
from jouleshift.report.tables import Row, columns, hyperparameters, row, to_csv
from jouleshift.report.verified import verified_csv

Form = Literal["full", "light", "live"]
"""`light` has no script and few kilobytes; `live`, for a run that goes on, loads itself anew."""


def write_report(
    runs: Sequence[Run], intensity: CarbonIntensity, out: Path | None = None, form: Form = "full"
) -> Path:
    """Write the report of one run, or of several together, and return the path of its page.

    It goes into the run's own directory, or for several runs into a new one beside the first, unless `out`
    names a directory. Raises BadInput where nothing can be written there, and where the runs' energies come
    from different sources.

    A `live` report goes without slow analyses and the picture.
    """
    view = digest(runs)
    live = form == "live"
    found = None if live else insight(view)
    target = out or _target(runs)
    names = " + ".join(view.names)
    said = (str(runs[0].config[key]) for key in ("data", "model") if key in runs[0].config)
    what = ", ".join(Path(name).name or name for name in said)
    title = f"{names}: {what}" if what else names
    if form == "light":
        text = light_page(view, intensity, title, found)
    else:
        text = page(view, intensity, title, found, live)
    files = {
        "trials.csv": trials_csv(view, view.points, intensity).encode(errors="replace"),
        "front.csv": trials_csv(view, view.front, intensity).encode(errors="replace"),
        "report.html": text.encode(errors="replace"),
    }
    tables = sheets(view, found or Insight(), intensity)
    files |= {sheet.file: sheet.csv().encode(errors="replace") for sheet in tables}
    if not live:
        files["front.png"] = front_png(view, title, found.attainment if found else None)
    if view.verification is not None:
        files["verified.csv"] = verified_csv(view, intensity).encode(errors="replace")
    write_files(target, files)
    _remove_others(target, {sheet.name for sheet in tables})
    return target / "report.html"


def _remove_others(target: Path, written: set[str]) -> None:
    """Remove tables of an earlier report that this one does not have; other files stay."""
    for name in NAMES:
        if name not in written:
            with suppress(OSError):
                (target / FOLDER / f"{name}.csv").unlink(missing_ok=True)


def _target(runs: Sequence[Run]) -> Path:
    """The run's own directory; for several one beside the first, whose name no other set of runs has."""
    first = runs[0].path
    if len(runs) == 1:
        return first
    others = sorted(os.path.relpath(run.path, first.parent) for run in runs[1:])
    which = hashlib.blake2b("\0".join(others).encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return first.parent / f"{first.name}-and-{len(others)}-more-{which}"


def trials_csv(view: Digest, points: Sequence[Point], intensity: CarbonIntensity) -> str:
    """These trials as CSV; a column `run` comes first where there are several runs."""
    names = hyperparameters([p.record for p in view.points])
    table: list[Row] = [row(p.record, names, intensity, view.goal) for p in points]
    if len(view.runs) == 1:
        return to_csv(table, columns(names))
    labelled = [{"run": view.names[p.run], **line} for p, line in zip(points, table, strict=True)]
    return to_csv(labelled, ("run", *columns(names)))


def write_files(directory: Path, contents: dict[str, bytes]) -> None:
    """Write files into a directory, each whole or not at all; BadInput where that fails.

    Names may have a folder in front. What is missing of directory and folder is made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                part.write_bytes(content)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot write the report into {directory}: {error.strerror or error}; "
            "free some space or name another directory with --out"
        ) from None
