"""Which layers become shift layers, and why the others do not.

Conversion works on any network made of `nn.Conv2d` and `nn.Linear` layers. Layers are counted from the
output backwards in the order of registration, as in DeepShift: with `depth=3` the last three are converted.
In default mode convolutions and linear layers count alike, so ResNet20's 20 are its 19 convolutions and its
linear layer. In reference mode only convolutions count and every linear layer is converted beside them (with
depth 0 nothing is): what DeepShift's code does.

Left as they are: subclasses with a forward pass of their own, layers whose weight is shared with another
layer or recomputed by a hook (weight norm), and every other kind of layer.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from jouleshift.config import NumericMode, ShiftConfig
from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftConv2d, ShiftLayer, ShiftLinear
from jouleshift.quant.packing import packed_size

_SHIFT_LAYERS: dict[type[nn.Module], type[ShiftLayer]] = {nn.Conv2d: ShiftConv2d, nn.Linear: ShiftLinear}


@dataclass(frozen=True)
class LayerPlan:
    """What happens to one layer with a weight, and why."""

    name: str
    layer_type: str
    converted: bool
    reason: str


def plan(model: nn.Module, config: ShiftConfig) -> tuple[LayerPlan, ...]:
    """What `convert` would do with each layer that has a weight matrix, in the order of registration.

    Raises `BadInput` where `config.depth` is above the number of layers that can be converted.
    """
    layers = list(_weighted_layers(model))
    refusals = {name: _refusal(layer, model) for name, layer in layers}
    _check_depth(config, sum(not refusal for refusal in refusals.values()))
    plans = []
    position = 0
    for name, layer in reversed(layers):
        refusal = refusals[name]
        if refusal:
            plans.append(LayerPlan(name, type(layer).__name__, False, refusal))
            continue
        counts = config.mode == "default" or isinstance(layer, nn.Conv2d)
        position += counts
        converted, reason = _by_depth(config, position if counts else None)
        plans.append(LayerPlan(name, type(layer).__name__, converted, reason))
    return tuple(reversed(plans))


def _check_depth(config: ShiftConfig, maximum: int) -> None:
    if config.depth is not None and config.depth > maximum:
        raise BadInput(
            f"depth {config.depth}: the network has {maximum} convertible layers; give 0 … {maximum} or None"
        )


def _by_depth(config: ShiftConfig, position: int | None) -> tuple[bool, str]:
    """Whether a convertible layer is converted; `position` counts from the output, None is not counted."""
    if config.depth == 0:
        return False, "depth is 0"
    if position is None:
        return True, "every linear layer is converted"
    if config.depth is None or position <= config.depth:
        return True, f"layer {position} from the output"
    return False, f"layer {position} from the output, depth is {config.depth}"


def _weighted_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module of a convertible kind or with a parameter of its own of two or more dimensions, once."""
    for name, module in model.named_modules():
        own = module.parameters(recurse=False)
        if isinstance(module, tuple(_SHIFT_LAYERS)) or any(parameter.dim() > 1 for parameter in own):
            yield name, module


def _refusal(layer: nn.Module, model: nn.Module) -> str:
    """Why a layer cannot be converted, or ""."""
    if type(layer) not in _SHIFT_LAYERS:
        kinds = tuple(_SHIFT_LAYERS)
        return "has a forward pass of its own" if isinstance(layer, kinds) else "no shift layer for this type"
    if not isinstance(layer._parameters.get("weight"), nn.Parameter):
        return "its weight is recomputed by a hook"
    owners = Counter(id(parameter) for module in model.modules() for parameter in module._parameters.values())
    return "its weight is shared with another layer" if owners[id(layer.weight)] > 1 else ""


def convertible_layers(model: nn.Module, mode: NumericMode = "default") -> int:
    """The largest depth: how many layers `convert` can convert."""
    return sum(layer.converted for layer in plan(model, ShiftConfig(mode=mode)))


def convert(model: nn.Module, config: ShiftConfig) -> nn.Module:
    """A copy of the network with shift layers in place of those that `plan` names; the original is untouched.

    Raises `BadInput` as `plan` does. Reference PS starts at random weights, drawn from torch's global
    generator.
    """
    names = [layer.name for layer in plan(model, config) if layer.converted]
    model = copy.deepcopy(model)
    replaced: dict[nn.Module, nn.Module] = {}
    for name in names:
        layer = model.get_submodule(name)
        replaced[layer] = _SHIFT_LAYERS[type(layer)].from_float(layer, config)
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child in replaced:
                setattr(parent, name, replaced[child])
    return replaced.get(model, model)


def weight_bytes(model: nn.Module) -> int:
    """Bytes of the weights as stored: shift weights at weight_bits (a whole number of bytes a layer), all
    else, batch norm's statistics included, as float32. Parameters used by several layers count once.
    """
    total = 0
    latent: set[int] = set()
    for module in model.modules():
        if isinstance(module, ShiftLayer):
            total += packed_size(module.weight_shape.numel(), module.shift_config.weight_bits)
            latent.update(id(parameter) for parameter in module.latent.parameters())
    total += sum(4 * p.numel() for p in model.parameters() if id(p) not in latent)
    return total + sum(4 * buffer.numel() for buffer in model.buffers() if buffer.is_floating_point())
