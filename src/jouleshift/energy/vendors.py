"""Importing the vendors' libraries without their noise.

AMD's `amdsmi` prints to the terminal when its driver is absent, and whatever looks for GPUs imports it.
"""

from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from types import ModuleType


def import_quietly(name: str) -> ModuleType:
    """The module, with everything its import prints dropped. Raises ImportError as a plain import does."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return import_module(name)
