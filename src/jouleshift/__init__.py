"""jouleshift: Pareto fronts of deep shift neural networks between accuracy and energy.

Importing this package does no work: every public name is loaded when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "BadInput": "errors",
    "ShiftConfig": "config",
    "StudyConfig": "config",
    "TrainConfig": "config",
    "convert": "conversion",
    "export": "deploy.artefact",
    "lower": "deploy.lower",
    "make_scheduler": "hpo",
    "measure": "energy.meter",
    "open_run": "opened",
    "search": "api",
}

__all__ = [
    "BadInput",
    "ShiftConfig",
    "StudyConfig",
    "TrainConfig",
    "convert",
    "export",
    "lower",
    "make_scheduler",
    "measure",
    "open_run",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'jouleshift' has no attribute {name!r}")
    return getattr(import_module(f"jouleshift.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
