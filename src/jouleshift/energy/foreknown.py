"""The modelled energy of a configuration before it is trained, and without its network.

The work of a network depends on its structure and its number formats only (`work.py`). So the *float*
network is traced once, where torch is, and described in plain numbers; giving its layers the format of a
configuration and pricing the result needs neither torch nor the network, and equals, to the last bit, what
tracing the converted network gives. A search that has this knows the energy of thousands of candidates
before it trains one.

The size of the weights is likewise known: converted layers are packed at their bits.

Of the hyperparameters of Table 1 only shift depth, shift type, weight bits and the sum of the activation's
bits count here, and each combination is priced once. A layer with a format of its own (`layer_formats`) takes
what that leaves open from the configuration, as `conversion` does.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from jouleshift.energy.hardware import LayerCost, layer_cost, with_memory
from jouleshift.energy.profile import Profile
from jouleshift.energy.work import Arithmetic, LayerWork, Source, Workload, nominal_span, resolve
from jouleshift.layer_formats import FLOAT, weight_bits_of
from jouleshift.records import Value

_NONE: Mapping[str, Any] = MappingProxyType({})

Kind = Literal["Q", "PS"]


def describe(workload: Workload) -> dict[str, Any]:
    """A workload as plain JSON."""
    return asdict(workload)


def restore(description: Mapping[str, Any]) -> Workload:
    """The inverse of `describe`, from JSON too."""
    layers = tuple(
        LayerWork(
            **{
                **layer,
                "sources": tuple(
                    Source(tuple(source["producers"]), source["elements"]) for source in layer["sources"]
                ),
            }
        )
        for layer in description["layers"]
    )
    return Workload(layers, tuple(description["uncounted"]))


class _Own(NamedTuple):
    """What of a layer's own number format decides its energy."""

    kind: Kind
    weight_bits: int
    activation_bits: int


def _own(stated: Any, config: Mapping[str, Value]) -> _Own | None:
    """A layer's own format, where a configuration gives what that leaves open; None is float."""
    if stated == FLOAT:
        return None
    fields = stated if isinstance(stated, Mapping) else {}
    integer = fields.get("act_integer_bits", config["activation_integer_bits"])
    fraction = fields.get("act_fraction_bits", config["activation_fraction_bits"])
    return _Own(
        "Q" if fields.get("kind", config["shift_type"]) == "Q" else "PS",
        weight_bits_of(stated, int(config["weight_bits"])),
        int(integer) + int(fraction),
    )


class _Formats(NamedTuple):
    """A layer by the formats in which it computes, reads and is stored."""

    place: int
    arithmetic: Arithmetic
    activation_bits: int
    stored_bits: int
    stored_float: bool
    read_bits: int


class ForeknownEnergy:
    """Joules of one inference by configuration: `energy(config)`.

    `workload` is of the float network; `depths` maps the name of a layer to the smallest shift depth that
    converts it, `layers` to the format of its own, if it has one (plain values as in `layer_formats`). What
    is computed is kept at each step: formats by depth and activation bits, the cost of a layer by its own
    formats, so that the next combination finds most of its parts done.
    """

    def __init__(
        self,
        workload: Workload,
        depths: Mapping[str, int],
        profile: Profile,
        layers: Mapping[str, Any] = _NONE,
    ) -> None:
        self._workload = workload
        self._depths = depths
        self._profile = profile
        self._own = layers
        self._joules = lru_cache(maxsize=None)(self._price)
        self._formats = lru_cache(maxsize=None)(self._formatted)
        self._cost = lru_cache(maxsize=None)(self._layer_cost)

    def __call__(self, config: Mapping[str, Value]) -> float:
        bits = int(config["activation_integer_bits"]) + int(config["activation_fraction_bits"])
        kind: Kind = "Q" if config["shift_type"] == "Q" else "PS"
        own = tuple(_own(stated, config) for stated in self._own.values()) if self._own else ()
        return self._joules(int(config["shift_depth"]), kind, int(config["weight_bits"]), bits, own)

    def _price(
        self, depth: int, kind: Kind, weight_bits: int, activation_bits: int, own: tuple[_Own | None, ...]
    ) -> float:
        own_bits = tuple(None if one is None else one.activation_bits for one in own)
        layers, live_bits = self._formats(depth, activation_bits, own_bits)
        usual = (weight_bits, nominal_span(kind, weight_bits))
        weights = {
            name: (one.weight_bits, nominal_span(one.kind, one.weight_bits))
            for name, one in zip(self._own, own, strict=True)
            if one is not None
        }
        names = (self._workload.layers[layer.place].name for layer in layers)
        costs = [
            self._cost(layer, weights.get(name, usual) if layer.arithmetic == "shift" else None)
            for layer, name in zip(layers, names, strict=True)
        ]
        return with_memory(costs, self._profile, live_bits, bool(self._workload.uncounted)).energy_j

    def _formatted(
        self, depth: int, activation_bits: int, own_bits: tuple[int | None, ...]
    ) -> tuple[list[_Formats], int]:
        """The network converted to a depth, and the activation memory it needs; weights decide neither."""
        bits: dict[str, int | None] = {
            name: activation_bits for name, reached in self._depths.items() if reached <= depth
        }
        bits |= dict(zip(self._own, own_bits, strict=True))
        layers = [
            layer.changed(arithmetic="shift", activation_bits=bits[layer.name])
            if bits.get(layer.name) is not None
            else layer
            for layer in self._workload.layers
        ]
        resolved = Workload(resolve(layers))
        formats = [
            _Formats(index, *(getattr(layer, name) for name in _Formats._fields[1:]))
            for index, layer in enumerate(resolved.layers)
        ]
        return formats, resolved.live_bits

    def _layer_cost(self, formats: _Formats, weight: tuple[int, int] | None) -> LayerCost:
        """Of a layer in its formats; weight bits and span of exponents where it is converted."""
        place, *values = formats
        layer = self._workload.layers[place].changed(**dict(zip(_Formats._fields[1:], values, strict=True)))
        if weight is not None:
            layer = layer.changed(weight_bits=weight[0], exponent_span=weight[1])
        return layer_cost(layer, self._profile)


class ForeknownSize:
    """Bytes of the weights as shipped, by configuration: `size(config)` (as `conversion.weight_bytes`).

    `weights` maps the name of a layer that can be converted to its number of weights, and "" to the bytes of
    all else; `depths` and `layers` as above.
    """

    def __init__(
        self, weights: Mapping[str, int], depths: Mapping[str, int], layers: Mapping[str, Any] = _NONE
    ) -> None:
        self._rest = weights[""]
        self._layers = [(count, depths[name], layers.get(name)) for name, count in weights.items() if name]
        self._bytes = lru_cache(maxsize=None)(self._sum)

    def __call__(self, config: Mapping[str, Value]) -> float:
        return self._bytes(int(config["shift_depth"]), int(config["weight_bits"]))

    def _sum(self, depth: int, weight_bits: int) -> float:
        total = self._rest
        for count, reached, own in self._layers:
            converted = reached <= depth if own is None else own != FLOAT
            total += -(-count * weight_bits_of(own, weight_bits) // 8) if converted else 4 * count
        return float(total)
