"""Files that people write, YAML and CSV, read in one place.

Nothing in them is executed, and no key of a mapping and no column of a table may stand twice: the libraries
would take the last one and say nothing. Whatever is wrong is `BadInput` that names the file, and the line
where one is known.
"""

import csv
import io
from pathlib import Path
from typing import Any

import yaml

from jouleshift.errors import BadInput


class _Loader(yaml.SafeLoader):
    """Safe, and strict about keys; they are looked at before `<<` merges other mappings in."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add((key.tag, key.value))
        return node


def parse_yaml(text: str, where: str) -> Any:
    """What a YAML text says; `where` names it in the `BadInput` that a wrong one raises."""
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise BadInput(f"{where}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    except (ValueError, RecursionError) as error:  # a date such as 2026-13-01; brackets without end
        raise BadInput(f"{where}: not valid YAML: {error}") from None


def load_yaml(path: Path) -> Any:
    """What a YAML file says."""
    return parse_yaml(_text(path), str(path))


def load_mapping(path: Path) -> dict[str, Any]:
    """A YAML file with a mapping from names at its top; an empty file is an empty one."""
    data = load_yaml(path)
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise BadInput(f"{path}: expected a mapping of settings at the top")
    return data


def load_rows(path: Path) -> list[dict[str, str | None]]:
    """The rows of a CSV file by its first line's columns; a short row has None for the rest."""
    try:
        table = csv.DictReader(io.StringIO(_text(path), newline=""))
        columns = list(table.fieldnames or ())
        rows = list(table)
    except csv.Error:
        raise BadInput(f"{path} is not a CSV file") from None
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise BadInput(f"{path} line 1: column {twice[0]!r} stands twice")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not a text file") from None
