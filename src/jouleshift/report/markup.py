"""HTML that is safe by construction, in a few lines.

Much of what a report shows comes from outside: class names, paths, messages of crashed trials. `element`
escapes every child and attribute that is not itself `Markup`, so a forgotten escape is impossible rather than
unlikely. Data for scripts goes through `json_script`, where a string can neither end its element nor open a
comment.
"""

import json
from collections.abc import Iterable
from html import escape
from typing import Any

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML already and must not be escaped again."""

    __slots__ = ()


def element(
    name: str, /, *children: str | Iterable[str] | None, **attributes: str | int | bool | None
) -> Markup:
    """An HTML element. Children are text, markup, iterables of either, or None (left out).

    `class_` and `for_` lose their underscore, other underscores become hyphens; True is an attribute without
    a value, False and None leave it out.

    >>> element("p", "a < b", element("b", "!"), class_="note")
    '<p class="note">a &lt; b<b>!</b></p>'
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    inner = join(*children)
    return Markup(f"<{name}{shown}>" if name in _VOID else f"<{name}{shown}>{inner}</{name}>")


def join(*children: str | Iterable[str] | None) -> Markup:
    """Children one after the other, without an element around them."""
    return Markup("".join(map(_child, children)))


def _child(child: str | Iterable[str] | None) -> str:
    if child is None:
        return ""
    if isinstance(child, str):
        return child if isinstance(child, Markup) else escape(child, quote=False)
    return "".join(map(_child, child))


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def plain(text: str) -> str:
    """Text for a figure of plotly.js, which reads some tags in its texts, as nothing but text."""
    return escape(text, quote=False)


def json_script(data: Any) -> str:
    """Data as JSON that may stand in a `<script>` element: <, >, & and line separators are escaped.

    Raises ValueError for NaN and infinities, which JSON does not know.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
