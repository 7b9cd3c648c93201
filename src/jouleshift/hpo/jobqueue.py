"""A cluster described by a YAML file: jobs of a queueing system.

    system: slurm          # slurm, pbs, lsf, sge, oar, htcondor, moab; local runs the job scripts here
    jobs: 8                # kept at this number: a job that ends is submitted again
    cores: 4
    memory: 16GB
    walltime: "04:00:00"
    queue: gpu

`system` names a class of dask-jobqueue, everything but `jobs` is passed to it. A job is one worker with all
its cores, that is one trial at a time, unless `processes` says otherwise. Dask's scheduler runs in the
process of the search and ends with it, as the jobs do.
"""

import inspect
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask_jobqueue
from dask_jobqueue.core import Job, JobQueueCluster
from dask_jobqueue.local import LocalCluster

from jouleshift.errors import BadInput, nearest
from jouleshift.handwritten import load_mapping

SYSTEMS: dict[str, type[JobQueueCluster]] = {
    "slurm": dask_jobqueue.SLURMCluster,
    "pbs": dask_jobqueue.PBSCluster,
    "lsf": dask_jobqueue.LSFCluster,
    "sge": dask_jobqueue.SGECluster,
    "oar": dask_jobqueue.OARCluster,
    "htcondor": dask_jobqueue.HTCondorCluster,
    "moab": dask_jobqueue.MoabCluster,
    "local": LocalCluster,
}
_NOT_FOR_USERS = {"self", "scheduler", "kwargs", "base_class_kwargs", "job_kwargs", "job_cls", "n_workers"}


def read_cluster(path: Path) -> tuple[type[JobQueueCluster], int, dict[str, Any]]:
    """The class, the number of jobs and the class's options. Raises BadInput in one line."""
    options = load_mapping(path)
    system = str(options.pop("system", "")).lower()
    if system not in SYSTEMS:
        raise BadInput(f"{path}: system {system!r}{nearest(system, SYSTEMS)}")
    jobs = options.pop("jobs", 1)
    if not isinstance(jobs, int) or jobs < 1:
        raise BadInput(f"{path}: jobs {jobs!r}: expected a whole number from 1 on")
    valid = _options_of(SYSTEMS[system]) | {"jobs"}
    for name in options:
        if name not in valid:
            raise BadInput(f"{path}: unknown setting {name!r}{nearest(name, valid)}")
    return SYSTEMS[system], jobs, {"processes": 1, **options}


@contextmanager
def submitted(path: Path, folder: Path) -> Iterator[JobQueueCluster]:
    """The cluster of a file, its jobs submitted; they write their output into `folder`."""
    kind, jobs, options = read_cluster(path)
    command = str(getattr(_job_of(kind), "submit_command", "") or "").split()
    if command and shutil.which(command[0]) is None:
        raise BadInput(f"{path}: no {command[0]} on this machine; run the search where jobs are submitted")
    try:
        cluster = kind(**{"log_directory": str(folder / "jobs"), "death_timeout": 60, **options})
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise BadInput(f"{path}: {error}") from None
    with cluster:
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
        yield cluster


def _options_of(kind: type[JobQueueCluster]) -> set[str]:
    names: set[str] = set()
    for place in (_job_of(kind), Job, JobQueueCluster):
        names |= set(inspect.signature(place).parameters)
    return names - _NOT_FOR_USERS


def _job_of(kind: type[JobQueueCluster]) -> type[Job]:
    job: type[Job] = vars(kind)["job_cls"]
    return job
