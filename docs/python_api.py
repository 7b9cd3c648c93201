"""Writes docs/python-api.md from the signatures and docstrings of the public names.

python docs/python_api.py
"""

import builtins
import collections.abc
import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import jouleshift
from jouleshift.opened import SearchResult
from jouleshift.records import EnergyReading, Evaluation, Failure, Trial, TrialRecord

PAGE = Path(__file__).with_name("python-api.md")

HEAD = """# Python API

Everything public is in `jouleshift`; nothing is loaded before it is used. This page is made from
docstrings by `python docs/python_api.py`.
"""


RETURNED = (SearchResult, Trial, TrialRecord, Evaluation, Failure, EnergyReading)
"""What searches and measurements give; nobody needs to make one."""


def page() -> str:
    """The whole page as Markdown."""
    names = sorted(jouleshift.__all__, key=lambda name: (name[0].isupper(), name.lower()))
    public = [entry(name, getattr(jouleshift, name)) for name in names]
    return "\n".join([HEAD, *public, "# What comes back\n", *map(record, RETURNED)])


def record(kind: type) -> str:
    """A class that is returned: its docstring, fields and properties."""
    own = [
        f"- `{field.name}: {_without_modules(inspect.formatannotation(field.type))}`"
        for field in dataclasses.fields(kind)
    ]
    found = [
        f"- `{name}`: {inspect.getdoc(value)}"
        for name, value in vars(kind).items()
        if isinstance(value, property) and value.__doc__ and not name.startswith("_")
    ]
    return f"## {kind.__name__}\n\n{text_of(kind)}\n\n" + "\n".join([*own, *found]) + "\n"


def entry(name: str, thing: Any) -> str:
    """A public name: how it is called, and its docstring, or for a configuration a table of its fields."""
    if inspect.isclass(thing) and issubclass(thing, BaseModel):
        return f"## {name}\n\n{text_of(thing)}\n\n{fields(thing)}\n"
    if inspect.isclass(thing):
        return f"## {name}\n\n{text_of(thing)}\n"
    return f"## {name}\n\n```text\n{name}{signature(thing)}\n```\n\n{text_of(thing)}\n"


def text_of(thing: Any) -> str:
    return re.sub(r"``?([^`]+)``?", r"`\1`", inspect.getdoc(thing) or "")


def signature(function: Any) -> str:
    """The signature on one line, or where that is long a line for each parameter, without module paths."""
    found = inspect.signature(function)
    if len(line := _without_modules(str(found))) < 90:
        return line
    lines = []
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        lines.append(_without_modules(str(parameter)))
    inner = "".join(f"    {each},\n" for each in lines)
    return f"(\n{inner}) -> {_without_modules(inspect.formatannotation(found.return_annotation))}"


def _without_modules(text: str) -> str:
    named = re.sub(r"<function ([\w.]+) at 0x\w+>", r"\1", text)
    return re.sub(r"'([A-Z]\w+)'", r"\1", re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", named))


def fields(config: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_kind(field)} | {_shown(field)} | {field.description or ''} |"
        for name, field in config.model_fields.items()
    ]
    return "\n".join(["| field | type | default | |", "| --- | --- | --- | --- |", *rows])


def _kind(field: FieldInfo) -> str:
    """A field's type as people say it, bounds beside the first: "int ≥ 1 or None"."""
    bounds = [
        f"{sign} {getattr(limit, key)}"
        for limit in field.metadata
        for key, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(limit, key, None) is not None
    ]
    first, *others = _names(field.annotation)
    return " or ".join([", ".join([f"{first} {bounds[0]}", *bounds[1:]]) if bounds else first, *others])


def _names(kind: Any) -> list[str]:
    """What a value may be."""
    parts = get_args(kind)
    match get_origin(kind):
        case None:
            return ["None" if kind is type(None) else kind.__name__]
        case typing.Literal:
            return [f"`{part}`" for part in parts]
        case builtins.tuple:
            return [f"list of {parts[0].__name__}"]
        case collections.abc.Mapping:
            return ["mapping"]
        case _:
            return [name for part in parts for name in _names(part)]


def _shown(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    return f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
