"""Which layers become shift layers, and why the others do not.

Conversion works on any network made of `nn.Conv1d`, `nn.Conv2d`, `nn.ConvTranspose2d` and `nn.Linear` layers:

    convert(model, ShiftConfig(weight_bits=4))                    # all of them
    convert(model, ShiftConfig(weight_bits=4, depth=3))           # the last three
    convert(model, config, count_from="input")                    # depth counts from the first layer
    convert(model, config, layers={"first": "float",              # stays float
                                   "last": 8,                     # more weight bits
                                   "layer3.*": {"kind": "Q"}})    # by name, * and ? (see `layer_formats`)
    plan(model, config)                                           # what would be done with each layer, why

Layers are counted in the order of registration, as in DeepShift. In default mode every convertible layer
counts, so ResNet20's 20 are its 19 convolutions and its linear layer. In reference mode only convolutions
count and every linear layer is converted beside them (with depth 0 nothing is): what DeepShift's code does;
it knows no other kind of layer than `nn.Conv2d` and `nn.Linear`.

Left as they are: subclasses whose forward pass does something else, layers whose weight is shared with
another layer, recomputed by a hook (weight norm) or read past the layer (attention, see
`nn.weight_readers`), and every other kind.
"""

import copy
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from jouleshift.config import NumericMode, ShiftConfig
from jouleshift.errors import BadInput
from jouleshift.layer_formats import LayerFormats, applied, by_layer, deciding, formats_of
from jouleshift.nn.layers import ShiftConv1d, ShiftConv2d, ShiftConvTranspose2d, ShiftLayer, ShiftLinear
from jouleshift.nn.nonnegative import nonnegative_inputs
from jouleshift.nn.tracing import forwards_as
from jouleshift.nn.weight_readers import weights_read
from jouleshift.quant.packing import packed_size
from jouleshift.words import count

CountFrom = Literal["output", "input"]

_SHIFT_LAYERS: dict[type[nn.Module], type[ShiftLayer]] = {
    nn.Conv1d: ShiftConv1d,
    nn.Conv2d: ShiftConv2d,
    nn.ConvTranspose2d: ShiftConvTranspose2d,
    nn.Linear: ShiftLinear,
}
_DEEPSHIFT_LAYERS = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class LayerPlan:
    """What happens to one layer with a weight, and why. `config` is its format, None where it stays float."""

    name: str
    layer_type: str
    config: ShiftConfig | None
    reason: str
    unsigned_input: bool = False
    """Its input is never negative, so that its format has no sign bit (default mode only)."""

    @property
    def converted(self) -> bool:
        return self.config is not None

    @property
    def format(self) -> str:
        """In words: "Q, 4 bits, reads unsigned 3+5", activations in integer and fraction bits."""
        if self.config is None:
            return "float32"
        sign = "unsigned" if self.unsigned_input else "signed"
        bits = f"{self.config.act_integer_bits}+{self.config.act_fraction_bits}"
        return f"{self.config.kind}, {self.config.weight_bits} bits, reads {sign} {bits}"


def plan(
    model: nn.Module,
    config: ShiftConfig,
    *,
    layers: LayerFormats | None = None,
    count_from: CountFrom = "output",
) -> tuple[LayerPlan, ...]:
    """What `convert` would do with each layer that has a weight matrix, in the order of registration.

    `layers` are formats of single layers: "first", "last" or a pattern of names with * and ?, each with a
    number of weight bits, "float", or fields of `ShiftConfig`. They beat depth, in either direction. Of
    several patterns that match a layer, the first one counts.

    Raises `BadInput` where `config.depth` is above the number of layers that can be converted, or an entry of
    `layers` matches none of them or is no format.
    """
    candidates = _candidates(model, config)
    plans = _with_own_formats(_by_depth(candidates, config, count_from), _names(candidates), config, layers)
    ours = {layer.name for layer in plans if layer.config and layer.config.mode == "default"}
    unsigned = ours & nonnegative_inputs(model) if ours else ours
    return tuple(replace(layer, unsigned_input=layer.name in unsigned) for layer in plans)


def _candidates(model: nn.Module, config: ShiftConfig) -> list[tuple[LayerPlan, nn.Module]]:
    """Every layer with a weight; `config` is None and the reason given where it cannot be converted."""
    owners = Counter(id(parameter) for module in model.modules() for parameter in module._parameters.values())
    read = weights_read(model, tuple(_SHIFT_LAYERS))
    candidates = []
    for name, layer in _weighted_layers(model):
        refusal = _refusal(layer, owners, read, config.mode)
        planned = LayerPlan(name, type(layer).__name__, None if refusal else config, refusal)
        candidates.append((planned, layer))
    return candidates


def _weighted_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module of a convertible kind or with a parameter of its own of two or more dimensions, once."""
    for name, module in model.named_modules():
        own = module.parameters(recurse=False)
        if isinstance(module, tuple(_SHIFT_LAYERS)) or any(parameter.dim() > 1 for parameter in own):
            yield name, module


def _kind(layer: nn.Module) -> type[nn.Module] | None:
    """The kind of layer that it is or derives from, of those that have a shift layer."""
    return next((kind for kind in type(layer).__mro__ if kind in _SHIFT_LAYERS), None)


def _refusal(layer: nn.Module, owners: Counter[int], read: Collection[int], mode: NumericMode) -> str:
    """Why a layer cannot be converted, or ""."""
    kind = _kind(layer)
    if kind is None:
        return "no shift layer for this type"
    if mode == "reference" and kind not in _DEEPSHIFT_LAYERS:
        return "DeepShift converts Conv2d and Linear only"
    if not isinstance(layer._parameters.get("weight"), nn.Parameter):
        return "its weight is recomputed by a hook"
    if isinstance(layer, NonDynamicallyQuantizableLinear):
        return "attention reads its weight itself"
    if type(layer) is not kind and not forwards_as(layer, kind):
        return "has a forward pass of its own"
    if owners[id(layer.weight)] > 1:
        return "its weight is shared with another layer"
    return "its weight is read past the layer" if id(layer.weight) in read else ""


def _by_depth(
    candidates: list[tuple[LayerPlan, nn.Module]], config: ShiftConfig, count_from: CountFrom
) -> tuple[LayerPlan, ...]:
    maximum = sum(layer.converted for layer, _ in candidates)
    if config.depth is not None and config.depth > maximum:
        raise BadInput(
            f"depth {config.depth}: the network has {count(maximum, 'convertible layer')}; "
            f"give 0 … {maximum} or None"
        )
    step = 1 if count_from == "input" else -1
    position = 0
    plans = []
    for layer, module in candidates[::step]:
        if layer.converted:
            counts = config.mode == "default" or not isinstance(module, nn.Linear)
            position += counts
            taken, reason = _reached(config.depth, position if counts else None, count_from)
            layer = replace(layer, config=config if taken else None, reason=reason)
        plans.append(layer)
    return tuple(plans[::step])


def _reached(depth: int | None, position: int | None, count_from: CountFrom) -> tuple[bool, str]:
    """Whether depth takes the layer at a position, counted from 1; None is not counted."""
    if depth == 0:
        return False, "depth is 0"
    if position is None:
        return True, "every linear layer is converted"
    where = f"layer {position} from the {count_from}"
    return (True, where) if depth is None or position <= depth else (False, f"{where}, depth is {depth}")


def _with_own_formats(
    plans: tuple[LayerPlan, ...], convertible: list[str], config: ShiftConfig, layers: LayerFormats | None
) -> tuple[LayerPlan, ...]:
    formats = formats_of(layers or {})
    keys = deciding(formats, convertible)
    return tuple(
        replace(
            layer, config=applied(formats[keys[layer.name]], config), reason=f"layers: {keys[layer.name]}"
        )
        if layer.name in keys
        else layer
        for layer in plans
    )


def _names(candidates: list[tuple[LayerPlan, nn.Module]]) -> list[str]:
    return [layer.name for layer, _ in candidates if layer.converted]


def own_formats(model: nn.Module, layers: LayerFormats, mode: NumericMode = "default") -> dict[str, Any]:
    """The format of each layer that `layers` gives one of its own, by its name. Raises `BadInput` as `plan`
    does."""
    return by_layer(formats_of(layers), _names(_candidates(model, ShiftConfig(mode=mode))))


def convertible_layers(model: nn.Module, mode: NumericMode = "default") -> int:
    """The largest depth: how many layers `convert` can convert."""
    return sum(layer.converted for layer, _ in _candidates(model, ShiftConfig(mode=mode)))


def depths(model: nn.Module, mode: NumericMode = "default") -> dict[str, int]:
    """For each convertible layer the smallest depth, counted from the output, that converts it."""
    needed: dict[str, int] = {}
    position = 0
    for layer, module in reversed(_candidates(model, ShiftConfig(mode=mode))):
        if layer.converted:
            counts = mode == "default" or not isinstance(module, nn.Linear)
            position += counts
            needed[layer.name] = position if counts else 1
    return needed


def convert(
    model: nn.Module,
    config: ShiftConfig,
    *,
    layers: LayerFormats | None = None,
    count_from: CountFrom = "output",
) -> nn.Module:
    """A copy of the network with shift layers in place of those that `plan` names; the original is untouched.

    `layers` are formats of single layers, by "first", "last" or a pattern of names with * and ?: a number of
    weight bits, "float", or fields of `ShiftConfig`; what they leave out is as `config` says.

    Raises `BadInput` as `plan` does. Reference PS starts at random weights, drawn from torch's global
    generator.
    """
    plans = plan(model, config, layers=layers, count_from=count_from)
    model = copy.deepcopy(model)
    replaced: dict[nn.Module, nn.Module] = {}
    for planned in plans:
        if planned.config is not None:
            layer = model.get_submodule(planned.name)
            kind = _kind(layer)
            assert kind is not None, planned
            shift_layer = _SHIFT_LAYERS[kind]
            replaced[layer] = shift_layer.from_float(layer, planned.config, planned.unsigned_input)
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child in replaced:
                setattr(parent, name, replaced[child])
    return replaced.get(model, model)


def freeze(model: nn.Module) -> None:
    """Fix the weights of every shift layer, in place, at what they round to; the output stays the same.

    What else the network has (batch norm, biases, float layers) can still be trained or re-estimated.
    """
    for module in model.modules():
        if isinstance(module, ShiftLayer):
            module.freeze()


def weight_bytes(model: nn.Module) -> int:
    """Bytes of the weights as shipped: shift weights at weight_bits (a whole number of bytes a layer), those
    of other layers as float32. Parameters used by several layers count once.

    Vectors do not count: biases and batch norms, which deployment folds into two numbers a channel beside the
    weights (`IntegerProgram.constant_bytes`).
    """
    total = 0
    latent: set[int] = set()
    for module in model.modules():
        if isinstance(module, ShiftLayer):
            total += packed_size(module.weight_shape.numel(), module.shift_config.weight_bits)
            latent.update(id(tensor) for tensor in _tensors(module.latent))
    return total + sum(
        4 * tensor.numel()
        for tensor in _tensors(model)
        if id(tensor) not in latent and tensor.is_floating_point() and tensor.dim() > 1
    )


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
