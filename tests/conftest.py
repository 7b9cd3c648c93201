"""Child processes of the tests (workers, the command line) import the same sources as the tests."""

import os
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "src"
os.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
