"""Child processes of the tests (workers, the command line) import the same sources as the tests.

Threads that wait sleep instead of spinning, which on a busy machine is worth a factor of ten.
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
SOURCES = Path(__file__).parent.parent / "src"
os.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
