"""Everything a search leaves open, decided before anything starts, and what cannot be, refused.

A worker takes seconds to start, and with `--fresh` an old run is moved away: whatever can be known to be
wrong without a worker is said here. What is decided here is what config.yaml records, so paths are made
absolute: the same command from another folder then means the same run.
"""

import os
from pathlib import Path
from typing import Any

from jouleshift import store
from jouleshift.config import StudyConfig, absolute_profile
from jouleshift.errors import BadInput
from jouleshift.foreknowledge import refuse_unknowable
from jouleshift.priors import PAPER, read_priors

BUILT_IN_DATA = ("digits", "cifar10", "caltech101")


def resolve(config: StudyConfig) -> StudyConfig:
    """The configuration with everything that was left open decided and paths made absolute.

    Raises `BadInput` for what would otherwise be noticed only when a worker has started (an unknown
    scheduler, acquisition or hyperparameter, a prior that cannot be read) or the search has ended (an unknown
    region).
    """
    from jouleshift.energy.carbon import place
    from jouleshift.space import narrowed

    place(config.model_dump())
    narrowed(config.space)
    decided = {**_paths(config), "energy": _automatic_source() if config.energy == "auto" else config.energy}
    if decided["energy"] == "simulated":
        from jouleshift.energy.codecarbon import country_of

        country_of(config.region)
    refuse_unknowable(StudyConfig.layered(config.given(), decided))
    if config.measure_on and (isinstance(config.workers, int) or decided["energy"] == "modelled"):
        raise BadInput(
            f"measure_on {config.measure_on}: needs the workers of a Dask cluster, and --energy deployed or "
            "simulated (modelled energy is computed, not measured)"
        )
    decided["threads"] = threads_of(config.workers, config.threads)
    resolved = StudyConfig.layered(config.given(), decided)
    _refuse_unsearchable(resolved)
    return resolved


def threads_of(workers: int | str, threads: int | None = None) -> int | None:
    """Threads of each worker: those stated, or an equal share of this machine's cores; None leaves them to
    the machines of a cluster."""
    if threads is not None or not isinstance(workers, int):
        return threads
    return max(1, (os.cpu_count() or 1) // workers)


def _paths(config: StudyConfig) -> dict[str, Any]:
    """The files and folders that a configuration names, as absolute paths, and the run directory."""
    paths: dict[str, Any] = {"profile": absolute_profile(config.profile)}
    name = config.data
    if config.data not in BUILT_IN_DATA:
        path = Path(config.data).expanduser()
        paths["data"], name = str(path.resolve()), path.resolve().stem
    if config.prior is not None and config.prior != PAPER:
        paths["prior"] = str(Path(config.prior).expanduser().resolve())
    if isinstance(config.intensity, str):
        paths["intensity"] = str(Path(config.intensity).expanduser().resolve())
    paths["out"] = config.out or Path("runs", f"{name}-{config.model.replace(':', '.')}")
    return paths


def _refuse_unsearchable(study: StudyConfig) -> None:
    """Raise `BadInput` where the scheduler is unknown or takes other settings, and for a price list or prior
    that cannot be read. A run that has begun keeps its priors itself, whatever became of their file."""
    from jouleshift.energy.hardware import load_profile
    from jouleshift.hpo.registry import refuse_untaken
    from jouleshift.space import TABLE_1

    load_profile(study.profile)
    refuse_untaken(study.scheduler, study.acquisition, study.prior is not None)
    assert study.out is not None
    if study.prior is not None and not (study.out / store.PRIORS).is_file():
        read_priors(study.prior, TABLE_1)


def _automatic_source() -> str:
    """Deployed where a sensor answers, else modelled."""
    from jouleshift.energy.sensors import probe

    return "deployed" if any(sensor.works for sensor in probe()) else "modelled"
