"""Acquisitions by name: each is a function in a module of its own."""

from importlib import import_module

from jouleshift.errors import BadInput, nearest
from jouleshift.hpo.acquisition.situation import Acquisition

_ACQUISITIONS = {
    "ehvi": "jouleshift.hpo.acquisition.ehvi:ehvi",
    "parego": "jouleshift.hpo.acquisition.parego:parego",
}


def find_acquisition(name: str) -> Acquisition:
    """The acquisition `name`, or one from elsewhere as "package.module:function". Raises BadInput."""
    path = name if ":" in name else _ACQUISITIONS.get(name)
    if path is None:
        raise BadInput(f"unknown acquisition {name!r}{nearest(name, _ACQUISITIONS)}")
    module, _, attribute = path.partition(":")
    try:
        found: Acquisition = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"acquisition {name!r} cannot be loaded: {error}") from None
    return found
