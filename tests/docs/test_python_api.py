"""docs/python-api.md is what its script makes of the docstrings of today."""

import re
import runpy

import jouleshift
from tests.docs.pages import ROOT


def test_the_page_is_up_to_date():
    """Make it anew with `python docs/python_api.py`."""
    script = runpy.run_path(str(ROOT / "docs" / "python_api.py"))
    assert script["page"]() == (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")


def test_every_public_name_has_a_docstring_and_a_place():
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    for name in jouleshift.__all__:
        assert f"\n## {name}\n" in text
        assert getattr(jouleshift, name).__doc__


def test_types_are_said_as_people_say_them():
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    types = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.M))
    assert types["objectives"] == types["constraint"] == "list of str"
    assert types["space"] == "mapping"
    assert types["image_size"] == "int ≥ 4, ≤ 1024 or None"
    assert types["fidelity"] == "str"
    assert types["energy"] == "`auto` or `modelled` or `deployed` or `simulated`"
