"""What one inference does: a network is run once on one image, and its work is written down.

Two observers watch the run. Hooks on the layers that have weights (convolutions, linear layers, shift layers,
batch norms) record each as a whole, whatever it does inside, so the simulation of a shift layer is never
mistaken for its work. A dispatch mode sees every tensor operation in between, also those that are no module:
residual additions, functional activations and pooling, matrix products of attention. Each tensor is followed
to the layer that made it, which gives the flow of data that `work.resolve` needs.

A batch norm behind a convolution or linear layer is folded into it, as every deployment does. In a float
layer it vanishes into weights and bias. In a shift layer it cannot enter the weights without leaving the grid
of powers of two: it becomes one multiplier and one bias per channel, applied when the sum is requantised
(`LayerWork.scaled`). A batch norm elsewhere, and any other norm, costs multiplications and additions.

What is not seen: work that depends on the image (the path taken for this example is the one counted) and
operations outside PyTorch's dispatcher. Operations that are seen and have no price are named in
`Workload.uncounted`.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from jouleshift.config import ShiftConfig
from jouleshift.energy.operations import Call, is_free, norm_work, operation_work
from jouleshift.energy.work import INPUT, LayerWork, Source, Workload, nominal_span, resolve
from jouleshift.nn.layers import ShiftConvTranspose2d, ShiftLayer

__all__ = ["LayerWork", "Workload", "trace"]

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_TRANSPOSED_SHIFT = (ShiftConvTranspose2d,)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def trace(model: nn.Module, example: Tensor, used_span: bool = False) -> Workload:
    """Run `model` once on the first image of `example` and record its work.

    `example` has shape (N, …), on the model's device; only `example[:1]` is used. The run is in evaluation
    mode and without gradients, on a copy, so parameters, buffers and the model's mode stay as they are. The
    result depends on the network's structure and number formats, not on the values of its weights; unless
    `used_span` asks for the exponents that a trained network's channels really span, which narrows its sums.
    """
    model = copy.deepcopy(model).eval()
    recorder = _Recorder(used_span)
    recorder.watch(model)
    image = example[:1].detach()
    with torch.no_grad(), _without_fused_attention(), recorder:
        recorder.mark(image, (INPUT,))
        model(image)
    return Workload(resolve(recorder.layers), tuple(sorted(recorder.uncounted)))


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Let attention run as the operations it is made of, so that they can be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Recorder(TorchDispatchMode):
    """Collects `LayerWork` in order of execution, and who made which tensor."""

    def __init__(self, used_span: bool) -> None:
        super().__init__()
        self._used_span = used_span
        self.layers: list[LayerWork] = []
        self.uncounted: set[str] = set()
        self._makers: dict[int, tuple[int, ...]] = {}
        self._kept: list[Tensor] = []  # a tensor that lives keeps its id to itself
        self._path: list[str] = []
        self._inside = 0

    def watch(self, model: nn.Module) -> None:
        for name, module in model.named_modules():
            whole = _is_whole(module)
            module.register_forward_pre_hook(self._entering(name, whole))
            module.register_forward_hook(self._leaving(name, whole), with_kwargs=True)

    def mark(self, tensor: Tensor, makers: tuple[int, ...]) -> None:
        self._kept.append(tensor)
        self._makers[id(tensor)] = makers

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self._inside == 0:
            self._observe(Call(func, args, kwargs or {}, out))
        return out

    def _entering(self, name: str, whole: bool) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._path.append(name)
            self._inside += whole

        return hook

    def _leaving(self, name: str, whole: bool) -> Any:
        def hook(module: nn.Module, args: Any, named: Any, output: Any) -> None:
            self._path.pop()
            self._inside -= whole
            if whole and self._inside == 0:
                self._record_module(name, module, next(_tensors((*args, *named.values()))), output)

        return hook

    def _source(self, tensor: Tensor) -> Source:
        return Source(self._makers.get(id(tensor), ()), tensor.numel())

    def _append(self, layer: LayerWork, output: Tensor) -> None:
        self.layers.append(layer)
        self.mark(output, (len(self.layers) - 1,))

    def _record_module(self, name: str, module: nn.Module, x: Tensor, output: Tensor) -> None:
        source = self._source(x)
        if not isinstance(module, _BATCH_NORMS):
            work = _weighted_work(name, module, source, x, output)
            if self._used_span and work.is_shift:
                work = replace(work, exponent_span=_used_span(module))
            self._append(work, output)
        elif self._fold(source, x):
            self.mark(output, source.producers)
        else:
            self._append(norm_work(name, source, output.numel(), module.num_features), output)

    def _fold(self, source: Source, x: Tensor) -> bool:
        """Fold a batch norm into the one layer whose sums it reads; False where it follows something else."""
        if len(source.producers) != 1 or source.producers[0] == INPUT:
            return False
        index = source.producers[0]
        before = self.layers[index]
        if before.kind not in ("conv", "linear") or before.output_elements != x.numel() or before.scaled:
            return False
        self.layers[index] = replace(before, scaled=True)
        return True

    def _observe(self, call: Call) -> None:
        """Price one tensor operation outside the layers that are recorded as a whole."""
        operands = list(_tensors(call.args))
        read = [t for t in operands if id(t) in self._makers]
        if not read or call.result is None:
            return
        label = f"{self._path[-1] if self._path else ''}.{call.name.lstrip('_')}".strip(".")
        sources = tuple(self._source(t) for t in read)
        constants = [t for t in operands if id(t) not in self._makers]
        layer = operation_work(call, label, sources, constants)
        if layer is not None:
            self._append(layer, call.result)
            return
        if not is_free(call):
            self.uncounted.add(call.name)
        makers = tuple(sorted({p for source in sources for p in source.producers}))
        for tensor in _tensors([call.out]):
            self.mark(tensor, makers)


def _is_shift(module: nn.Module) -> bool:
    return hasattr(module, "shift_config") and hasattr(module, "weight_shape")


def _is_whole(module: nn.Module) -> bool:
    return _is_shift(module) or isinstance(module, (*_CONVS, *_TRANSPOSED, *_BATCH_NORMS, nn.Linear))


def _weighted_work(name: str, module: nn.Module, source: Source, x: Tensor, output: Tensor) -> LayerWork:
    """The work of a convolution or linear layer, shifted or not."""
    shape = tuple(module.weight_shape if _is_shift(module) else module.weight.shape)  # type: ignore[arg-type]
    bias = getattr(module, "bias", None)
    transposed = isinstance(module, (*_TRANSPOSED, *_TRANSPOSED_SHIFT))
    macs = (x.numel() if transposed else output.numel()) * prod(shape[1:])
    layer = LayerWork(
        name=name,
        kind="conv" if len(shape) > 2 else "linear",
        arithmetic="float",
        sources=(source,),
        output_elements=output.numel(),
        own_precision=True,
        macs=macs,
        weights=prod(shape),
        bias=0 if bias is None else bias.numel(),
        channels=output.shape[1] if len(shape) > 2 else output.shape[-1],
        fan_in=max(1, -(-macs // output.numel())),
    )
    if not _is_shift(module):
        return layer
    config = cast(ShiftConfig, module.shift_config)
    return replace(
        layer,
        arithmetic="shift",
        activation_bits=config.act_integer_bits + config.act_fraction_bits,
        weight_bits=config.weight_bits,
        exponent_span=nominal_span(config.kind, config.weight_bits),
    )


def _used_span(module: nn.Module) -> int:
    """Largest less smallest exponent of the weights that are not zero, in the channel where that is most."""
    layer = cast(ShiftLayer, module)
    signs, exponents = layer.integer_weight()
    largest, zero, beyond = layer.latent.channels.largest, signs == 0, 1000
    highest = largest(exponents.int().masked_fill(zero, -beyond))
    lowest = -largest(-exponents.int().masked_fill(zero, beyond))
    return max(0, int((highest - lowest).max()))


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among an operation's arguments or results, lists of tensors included."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)
