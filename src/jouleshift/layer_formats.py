"""Mixed precision: single layers whose number format is not that of all the others.

    layers: {first: 8, last: float, "layer3.*": {weight_bits: 3, kind: Q}}

The first and the last layer of a network feel coarse numbers most and cost least, so they are often kept at
8 bits or in float. A key names layers: `first` and `last` of those that can be converted, in the order of
registration, or a pattern of names, with * and ? as in file names. Where several match a layer, the one that
stands first counts. A value is

- a number: so many weight bits, all else as in the other layers;
- `float`: the layer stays as it is;
- a mapping of fields of `ShiftConfig`; what it leaves out is as in the other layers.

A layer named here is converted (or not) whatever the shift depth says. Depth and mode are of the whole
network and cannot be set for one layer.

On the command line each entry is a flag of its own, `--layers first=8 --layers "layer3.*={kind: Q}"`; what
stands behind the = is read as YAML. Nothing here needs torch: which name a layer has, its caller says.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from jouleshift.errors import BadInput, nearest
from jouleshift.handwritten import parse_yaml
from jouleshift.number_format import ShiftConfig

LayerFormat = int | str | Mapping[str, Any] | ShiftConfig
LayerFormats = Mapping[str, LayerFormat]
"""Formats of single layers by a pattern of names, "first" or "last"."""

FLOAT = "float"
ENDS = ("first", "last")
FIELDS = ("kind", "weight_bits", "act_integer_bits", "act_fraction_bits", "rounding")
"""What of a `ShiftConfig` one layer can have for itself."""


def formats_of(stated: Any) -> dict[str, Any]:
    """Formats as plain values (numbers, "float", mappings of fields), from a mapping or the texts of flags.

    A `ShiftConfig` counts with all its fields but depth and mode. Raises `BadInput` for what cannot be the
    format of a layer; whether there are such layers, `by_layer` tells.
    """
    if not isinstance(stated, Mapping):
        stated = _from_flags(stated)
    return {_pattern(name): _format(name, value) for name, value in stated.items()}


def _from_flags(texts: Any) -> dict[str, Any]:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise BadInput(f"layers {texts!r}: expected a mapping such as {{first: 8, last: float}}")
    formats: dict[str, Any] = {}
    for text in texts:
        name, separator, value = str(text).partition("=")
        if not (separator and name.strip() and value.strip()):
            raise BadInput(f"layers {text!r}: expected NAME=FORMAT, such as first=8 or last=float")
        if name.strip() in formats:
            raise BadInput(f"layers: {name.strip()!r} stands twice")
        formats[name.strip()] = parse_yaml(value, f"layers.{name.strip()}")
    return formats


def _pattern(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise BadInput(f"layers: {name!r} is no name of layers; write it in quotes")
    return name


def _format(name: str, value: Any) -> Any:
    if isinstance(value, ShiftConfig):
        return value.model_dump(include=set(FIELDS))
    if value == FLOAT:
        return FLOAT
    fields = {"weight_bits": value} if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(fields, Mapping):
        raise BadInput(
            f"layers.{name} {value!r}: expected a number of weight bits, float, or fields of ShiftConfig "
            "such as {weight_bits: 3, kind: Q}"
        )
    for field in fields:
        if field in ("depth", "mode"):
            raise BadInput(f"layers.{name}: {field} is of the whole network, not of one layer")
        if field not in FIELDS:
            raise BadInput(f"layers.{name}: unknown setting {field!r}{nearest(str(field), FIELDS)}")
    try:
        checked = ShiftConfig(**fields)
    except BadInput as error:
        raise BadInput(f"layers.{name}: {error}") from None
    return value if isinstance(value, int) else {field: getattr(checked, field) for field in fields}


def same_formats(one: LayerFormats, other: LayerFormats) -> bool:
    """Whether two are the same, their order included: of several patterns the first one counts."""
    return list(one.items()) == list(other.items())


def deciding(layers: LayerFormats, names: Sequence[str]) -> dict[str, str]:
    """Which key of `layers` decides over a layer, by its name; layers that none names are left out.

    `names` are the layers that can be converted, in order. Raises `BadInput` for a key that matches none.
    """
    decided: dict[str, str] = {}
    ends = {"first": names[:1], "last": names[-1:]}
    for pattern in layers:
        matches = ends.get(pattern, [name for name in names if fnmatchcase(name, pattern)])
        if not matches:
            raise BadInput(
                f"layers: {pattern!r} matches no convertible layer{_nearest_layer(pattern, names)}"
            )
        for name in matches:
            decided.setdefault(name, pattern)
    return {name: decided[name] for name in names if name in decided}


def _nearest_layer(pattern: str, names: Sequence[str]) -> str:
    """The one name that is most like a pattern, or begins most like it where it ends in a wildcard: large
    networks have too many layers to list them."""
    if not names:
        return ""
    plain = pattern.strip("*?.")
    length = len(plain) if pattern.endswith(("*", "?")) else None

    def likeness(name: str) -> float:
        return difflib.SequenceMatcher(None, plain, name[:length]).ratio()

    return f" (nearest: {max((*names, *ENDS), key=likeness)!r}; `jouleshift convert MODEL` lists all)"


def by_layer(layers: LayerFormats, names: Sequence[str]) -> dict[str, Any]:
    """The own format of each layer that has one, by its name. Raises `BadInput` as `deciding` does."""
    return {name: layers[key] for name, key in deciding(layers, names).items()}


def applied(stated: Any, others: ShiftConfig) -> ShiftConfig | None:
    """The format of a layer with an own one, in a network of the format `others`; None is float."""
    if stated == FLOAT:
        return None
    fields = {"weight_bits": stated} if isinstance(stated, int) else stated
    return ShiftConfig(**{**others.model_dump(), **dict(fields)})


def weight_bits_of(stated: Any, others: int) -> int:
    """The weight bits of a converted layer: its own format may state them; None is no own format."""
    if isinstance(stated, Mapping):
        return int(stated.get("weight_bits", others))
    return others if stated is None else int(stated)


def with_bits(layers: LayerFormats, change: Callable[[int], int]) -> dict[str, Any]:
    """The same formats with other weight bits, where they state any."""
    return {name: _with_bits(stated, change) for name, stated in layers.items()}


def _with_bits(stated: Any, change: Callable[[int], int]) -> Any:
    if isinstance(stated, int):
        return change(stated)
    if isinstance(stated, Mapping) and "weight_bits" in stated:
        return {**stated, "weight_bits": change(stated["weight_bits"])}
    return stated
