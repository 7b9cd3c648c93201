"""The integer program as a PyTorch module, exact and vectorised, for those who stay in PyTorch.

PyTorch convolves floats, so integers are carried as whole numbers in the narrowest type that is exact for
them: float32 up to 2^24, float64 up to 2^53, else int64 (slow: windows are gathered and multiplied as
matrices). The bounds that the program carries decide, before anything runs. Off the CPU float32 convolutions
may use shorter formats (TF32), so there float64 takes their place.

    module = ProgramModule(program)
    module(images)                      # logits (N, classes), float32; the same bits as the oracle's
    write_exported(program, path)       # torch.export, any batch size
"""

import pickle
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import reduce, singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift.deploy import nodes as p
from jouleshift.deploy.archive import checked
from jouleshift.deploy.program import IntegerProgram
from jouleshift.errors import BadInput
from jouleshift.quant.fixed_point import FixedPoint

_UNREADABLE = (
    OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
    zipfile.BadZipFile, pickle.UnpicklingError,
)  # fmt: skip
"""What PyTorch raises at a file that is none of its own."""
_EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}


class ProgramModule(nn.Module):
    """Images (N, C, H, W) to logits (N, classes), both float32, by the program's arithmetic."""

    def __init__(self, program: IntegerProgram) -> None:
        super().__init__()
        self._program = program
        self._steps = nn.ModuleList(_STEPS.get(type(node), _Step)(node, program) for node in program.nodes)

    def forward(self, images: Tensor) -> Tensor:
        program = self._program
        values = {program.input.name: images.to(torch.float32, memory_format=torch.channels_last)}
        last_use = program.last_use
        for index, (node, step) in enumerate(zip(program.nodes, self._steps, strict=True)):
            values[node.output.name] = step(*(values[name] for name in node.sources))
            for name in {*node.sources} - {program.output_name}:
                if last_use[name] == index:
                    del values[name]
        fmt = program.output.format
        result = values[program.output_name].to(torch.float32)
        return result if fmt is None else result * fmt.step


def write_exported(program: IntegerProgram, path: Path) -> None:
    """The module by torch.export (.pt2): a graph of plain operators, the batch free."""
    example = torch.zeros(2, *program.input.shape)
    batch = {0: torch.export.Dim("N", min=1)}
    exported = torch.export.export(ProgramModule(program).eval(), (example,), dynamic_shapes=(batch,))
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this machine
    try:
        with warnings.catch_warnings():
            # said of weights that lie by channel, as training leaves them; ours are on the CPU
            warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)
            torch.export.save(exported, path)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None


def read_exported(path: Path) -> Callable[[Tensor], Tensor]:
    """The module in a .pt2 file that `export` wrote. `BadInput` where there is none, or more than that."""
    try:
        return torch.export.load(checked(path)).module()
    except FileNotFoundError:
        raise BadInput(f"no model at {path}") from None
    except _UNREADABLE as error:
        raise BadInput(f"{path} is not a model by torch.export: {error!s:.200}") from None


def _carrier(fmt: FixedPoint | None) -> torch.dtype:
    """The type that carries a value of this format."""
    return torch.float32 if fmt is None else _exact_for(max(map(abs, p.limits(fmt))))


def _exact_for(bound: float) -> torch.dtype:
    """The narrowest type that is exact for whole numbers up to a bound."""
    return next((dtype for dtype, most in _EXACT.items() if bound <= most), torch.int64)


class _Step(nn.Module):
    """One node: takes its sources, makes its output."""

    def __init__(self, node: p.Node, program: IntegerProgram) -> None:
        super().__init__()
        self.node = node
        self.sources = [program.values[name] for name in node.sources]

    def forward(self, *values: Tensor) -> Tensor:
        return _evaluate(self.node, self.sources, *values)


class _ShiftStep(_Step):
    """A shift layer, its weights kept in the narrowest integer type."""

    weight: Tensor
    bias: Tensor
    multiplier: Tensor

    def __init__(self, node: p.ShiftLayer, program: IntegerProgram) -> None:
        super().__init__(node, program)
        integers = node.weights.integers
        narrowest = np.min_scalar_type(-1 - int(np.abs(integers).max()))
        self.register_buffer("weight", torch.from_numpy(integers.astype(narrowest)))
        self.register_buffer("bias", torch.from_numpy(node.bias))
        self.register_buffer("multiplier", torch.from_numpy(node.multiplier))
        self.dtype = _exact_for(max(-node.smallest, node.largest))

    def forward(self, *values: Tensor) -> Tensor:
        (source,) = values
        node = self.node
        assert isinstance(node, p.ShiftLayer)
        dtype = self.dtype
        if dtype == torch.float32 and source.device.type != "cpu":
            dtype = torch.float64
        sums = _weighted(source.to(dtype), self.weight.to(dtype), self.bias.to(dtype), node.geometry)
        scaled = sums.to(torch.float32) * _per_channel(self.multiplier, node.geometry)
        if node.output.format is not None:
            scaled = torch.round(scaled).to(_carrier(node.output.format))
        return _clamped(scaled, node.lowest, node.highest)


class _FloatStep(_Step):
    """An unconverted layer."""

    weight: Tensor
    bias: Tensor

    def __init__(self, node: p.FloatLayer, program: IntegerProgram) -> None:
        super().__init__(node, program)
        self.register_buffer("weight", torch.from_numpy(node.weight))
        self.register_buffer("bias", torch.from_numpy(node.bias))

    def forward(self, *values: Tensor) -> Tensor:
        node = self.node
        assert isinstance(node, p.FloatLayer)
        (source,) = values
        result = _weighted(source, self.weight, self.bias, node.geometry)
        return _clamped(result, node.lowest, node.highest)


_STEPS: dict[type[p.Node], Callable[..., _Step]] = {p.ShiftLayer: _ShiftStep, p.FloatLayer: _FloatStep}


def _per_channel(values: Tensor, geometry: p.Geometry | None) -> Tensor:
    return values if geometry is None else values.reshape(-1, 1, 1)


def _clamped(values: Tensor, lowest: p.Number | None, highest: p.Number | None) -> Tensor:
    return values if lowest is None and highest is None else values.clamp(lowest, highest)


def _padded(values: Tensor, window: p.Geometry, fill: float = 0) -> Tensor:
    top, left, bottom, right = window.padding
    return F.pad(values, (left, right, top, bottom), value=fill) if any(window.padding) else values


def _weighted(values: Tensor, weight: Tensor, bias: Tensor, window: p.Geometry | None) -> Tensor:
    """A convolution or linear layer in the type of its arguments."""
    if window is None:
        return F.linear(values, weight, bias) if values.is_floating_point() else values @ weight.T + bias
    values = _padded(values, window)
    if values.is_floating_point():
        return F.conv2d(values, weight, bias, window.stride, 0, window.dilation, window.groups)
    taps = _windows(values, window).unflatten(1, (window.groups, -1))
    sums = torch.einsum("ngihwkl,goikl->ngohw", taps, weight.unflatten(0, (window.groups, -1)))
    return sums.flatten(1, 2) + bias.reshape(-1, 1, 1)


def _windows(values: Tensor, window: p.Geometry) -> Tensor:
    """(N, C, out_h, out_w, kh, kw) of padded images."""
    for axis, (taps, stride, dilation) in enumerate(
        zip(window.kernel, window.stride, window.dilation, strict=True)
    ):
        values = values.unfold(2 + axis, dilation * (taps - 1) + 1, stride)
    return values[..., :: window.dilation[0], :: window.dilation[1]]


def _scaled_sum(terms: Sequence[tuple[Tensor, int, FixedPoint]], value: p.Value) -> Tensor:
    """round(Σ q · 2^left) of tensors, how far left each is shifted, and their formats."""
    finest = min(0, *(left for _, left, _ in terms))
    shifts = [left - finest for _, left, _ in terms]
    bound = sum(max(map(abs, p.limits(fmt))) << s for (_, _, fmt), s in zip(terms, shifts, strict=True))
    dtype = _exact_for(bound)
    exact = reduce(
        torch.add,
        (tensor.to(dtype) * (1 << shift) for (tensor, _, _), shift in zip(terms, shifts, strict=True)),
    )
    if dtype.is_floating_point:
        exact = torch.round(exact * 2.0**finest)
    elif finest:
        exact = (exact + ((1 << (-finest - 1)) - 1) + ((exact >> -finest) & 1)) >> -finest
    return exact.clamp(*p.limits(value.fixed)).to(_carrier(value.format))


@singledispatch
def _evaluate(node: p.Node, sources: list[p.Value], *values: Tensor) -> Tensor:
    raise TypeError(f"no PyTorch form of {type(node).__name__}")


@_evaluate.register
def _(node: p.Quantise, sources: list[p.Value], *values: Tensor) -> Tensor:
    fmt = node.output.fixed
    rounded = torch.round(values[0] * (1 / fmt.step)).to(_carrier(fmt))
    return rounded.clamp(*p.limits(fmt))


@_evaluate.register
def _(node: p.Requantise, sources: list[p.Value], *values: Tensor) -> Tensor:
    fmt = sources[0].fixed
    return _scaled_sum([(values[0], node.output.fixed.fraction_bits - fmt.fraction_bits, fmt)], node.output)


@_evaluate.register
def _(node: p.Add, sources: list[p.Value], *values: Tensor) -> Tensor:
    if node.output.format is None:
        return _clamped(values[0] + values[1], node.lowest, node.highest)
    fraction_bits = node.output.format.fraction_bits
    terms = [
        (tensor, fraction_bits - value.fixed.fraction_bits, value.fixed)
        for tensor, value in zip(values, sources, strict=True)
    ]
    return _scaled_sum(terms, node.output).clamp(node.lowest, node.highest)


@_evaluate.register
def _(node: p.Clamp, sources: list[p.Value], *values: Tensor) -> Tensor:
    return _clamped(values[0], node.lowest, node.highest)


@_evaluate.register
def _(node: p.Concat, sources: list[p.Value], *values: Tensor) -> Tensor:
    return torch.cat(values, dim=1)


@_evaluate.register
def _(node: p.MaxPool, sources: list[p.Value], *values: Tensor) -> Tensor:
    window = node.geometry
    padded = _padded(values[0], window, -torch.inf)
    return F.max_pool2d(padded, window.kernel, window.stride, 0, window.dilation)


@_evaluate.register
def _(node: p.AveragePool, sources: list[p.Value], *values: Tensor) -> Tensor:
    (source,) = sources
    window, dtype = node.geometry, torch.float32
    if source.format is not None:
        dtype = _exact_for(max(map(abs, p.limits(source.format))) * int(np.prod(window.kernel)))
    sums = _windows(_padded(values[0].to(dtype), window), window).sum((-2, -1))
    scaled = sums.to(torch.float32) * node.multiplier
    fmt = node.output.format
    return scaled if fmt is None else torch.round(scaled).to(_carrier(fmt)).clamp(*p.limits(fmt))


@_evaluate.register
def _(node: p.Subsample, sources: list[p.Value], *values: Tensor) -> Tensor:
    return values[0][:, :, :: node.step[0], :: node.step[1]]


@_evaluate.register
def _(node: p.Pad, sources: list[p.Value], *values: Tensor) -> Tensor:
    return F.pad(values[0], [n for pair in reversed(node.amounts) for n in pair])


@_evaluate.register
def _(node: p.Flatten, sources: list[p.Value], *values: Tensor) -> Tensor:
    return values[0].flatten(1)


def executor(run: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    """A module as a function of NumPy arrays."""

    def execute(images: Any) -> Any:
        with torch.inference_mode():
            return run(torch.from_numpy(np.ascontiguousarray(images, np.float32))).numpy()

    return execute
