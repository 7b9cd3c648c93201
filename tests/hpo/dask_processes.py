"""A Dask scheduler and workers, processes that can be killed; a worker leaves on SIGTERM as at its limit."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

_SCHEDULER = """
import asyncio
from distributed import Scheduler

async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(main())
"""
_WORKER = """
import asyncio, signal, sys
from distributed import Worker

async def main(address, folder, resource):
    resources = {resource: 1} if resource else None
    async with Worker(address, nthreads=1, resources=resources, local_directory=folder) as worker:
        leave = lambda: asyncio.ensure_future(worker.close_gracefully())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)
        print(worker.address, flush=True)
        await worker.finished()

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
"""


class DaskProcesses(contextlib.AbstractContextManager):
    """`scheduler` and `workers`, a process each; every one dies with the block."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.folder = folder
        self.scheduler, self.address = self._start(_SCHEDULER)
        self.workers = [self.add() for _ in range(workers)]

    def add(self, resource: str = "", **environment: str) -> subprocess.Popen:
        return self._start(_WORKER, self.address, str(self.folder), resource, **environment)[0]

    def _start(self, code: str, *arguments: str, **environment: str) -> tuple[subprocess.Popen, str]:
        with (self.folder / "dask.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **environment},
            )
        self.__dict__.setdefault("_all", []).append(process)
        return process, process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()
            process.wait()
            process.stdout.close()
