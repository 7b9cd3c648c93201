"""Where trials run, by the value of `workers`: a number, a scheduler's address, or a cluster's file.

| workers | executor |
| --- | --- |
| 1, 2, … | `local`: processes of this machine |
| tcp://host:8786 | `cluster`: the workers of a Dask scheduler that runs already |
| cluster.yaml | `cluster`, on jobs that it submits to a queueing system (`jobqueue`) |
"""

from jouleshift.errors import BadInput
from jouleshift.hpo.executor import OnEpoch, OnNote, Work, WorkerPool
from jouleshift.hpo.local import LocalWorkers


def make_workers(
    workers: int | str,
    work: Work,
    on_epoch: OnEpoch = lambda trial, epoch: None,
    on_note: OnNote = lambda note: None,
) -> WorkerPool:
    """The executor of that name, not yet entered."""
    if isinstance(workers, int):
        return LocalWorkers(work, workers, on_epoch, on_note=on_note)
    try:
        from jouleshift.hpo.cluster import ClusterWorkers
    except ImportError as error:
        raise BadInput(f"workers {workers}: {error}; pip install 'jouleshift[cluster]'") from None
    return ClusterWorkers(workers, work, on_epoch, on_note)
