"""Child processes of the tests (workers, the command line) import the same sources as the tests.

Threads that wait sleep instead of spinning, which on a busy machine is worth a factor of ten, and the
processes that run the tests (pytest-xdist's; `-n 0` for none) share the cores instead of each asking for all.
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _PROCESSES)))
SOURCES = Path(__file__).parent.parent / "src"
os.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
