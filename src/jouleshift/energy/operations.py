"""What a tensor operation outside a layer costs: the price list behind `workload.trace`.

Prices are operations an output element, by the name an operation has in PyTorch's dispatcher. A comparison is
an addition in hardware, so ReLU and max pooling cost additions. Curved activations (sigmoid, GELU, softmax)
cost two multiplications and two additions, the polynomial of degree two that approximates them cheaply, and
run in float32 also between integer layers, as do norms that need statistics of their input. Copies, views,
padding and concatenation are free: a deployed program writes to the right place at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry

from jouleshift.energy.work import Kind, LayerWork, Source


@dataclass(frozen=True)
class Call:
    """One call that passed the dispatcher."""

    func: Any
    args: Any
    kwargs: Any
    out: Any

    @property
    def name(self) -> str:
        """The operation's name without its namespace and the mark of an in-place form."""
        return str(self.func._schema.name).removeprefix("aten::").rstrip("_")

    @property
    def result(self) -> Tensor | None:
        """The first tensor it returns."""
        first = self.out[0] if isinstance(self.out, (tuple, list)) and self.out else self.out
        return first if isinstance(first, Tensor) else None


@dataclass(frozen=True)
class _Price:
    """Operations an element, and whether they need float32 wherever they stand."""

    kind: Kind
    adds: int
    multiplies: int
    own_precision: bool = False


_COMPARISON = _Price("activation", adds=1, multiplies=0)
_CURVE = _Price("activation", adds=2, multiplies=2, own_precision=True)
_AFFINE = _Price("norm", adds=1, multiplies=1)
_STATISTICS = _Price("norm", adds=2, multiplies=2, own_precision=True)

_PRICES: dict[str, _Price] = {
    **dict.fromkeys(("relu", "hardtanh", "clamp", "clamp_min", "clamp_max"), _COMPARISON),
    **dict.fromkeys(("leaky_relu", "threshold", "maximum", "minimum"), _COMPARISON),
    **dict.fromkeys(("sigmoid", "tanh", "gelu", "silu", "hardswish", "hardsigmoid", "elu", "mish"), _CURVE),
    **dict.fromkeys(("softplus", "_softmax", "_log_softmax", "exp", "sqrt", "rsqrt", "pow"), _CURVE),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit_no_training"), _AFFINE),
    **dict.fromkeys(("native_layer_norm", "native_group_norm"), _STATISTICS),
    **dict.fromkeys(("add", "sub", "rsub"), _Price("add", adds=1, multiplies=0)),
    **dict.fromkeys(("mul", "div"), _Price("scale", adds=0, multiplies=1)),
}
_WINDOWED = frozenset({"max_pool2d_with_indices", "avg_pool2d", "max_pool3d_with_indices", "avg_pool3d"})
_REDUCED = frozenset(
    {"mean", "sum", "amax", "max", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "_adaptive_avg_pool3d"}
)
_AVERAGING = frozenset({"avg_pool2d", "avg_pool3d", "mean", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"})
_MOVED = frozenset(
    {"cat", "stack", "clone", "copy", "_to_copy", "contiguous", "constant_pad_nd", "index", "index_select"}
    | {"native_dropout", "dropout", "repeat", "roll", "flip", "zeros_like", "ones_like", "new_zeros", "fill"}
    | {"_unsafe_view", "as_strided", "lift_fresh", "gather", "channel_shuffle", "native_channel_shuffle"}
)


def is_free(call: Call) -> bool:
    """Whether the operation only moves data or looks at it differently."""
    return bool(call.func.is_view) or call.name in _MOVED


def operation_work(
    call: Call, label: str, sources: tuple[Source, ...], constants: Sequence[Tensor]
) -> LayerWork | None:
    """The work of an operation that costs something; None where it has no price.

    `constants` are its operands that do not come from the image: weights, and biases where they are vectors.
    """
    result = call.result
    if result is None:
        return None
    n = result.numel()
    weights = sum(t.numel() for t in constants if t.dim() > 1)
    bias = sum(t.numel() for t in constants if t.dim() == 1)
    macs = _product_macs(call)
    if macs is not None:
        return LayerWork(
            label, "matmul", "float", sources, n, own_precision=True,
            macs=macs, fan_in=max(1, macs // max(1, n)), weights=weights, bias=bias,
        )  # fmt: skip
    if call.name in _WINDOWED or call.name in _REDUCED:
        adds = n * prod(_window(call.args[1])) if call.name in _WINDOWED else sources[0].elements
        return LayerWork(
            label, "pool", "float", sources, n, own_precision=False,
            adds=adds, multiplies=n if call.name in _AVERAGING else 0,
        )  # fmt: skip
    return (
        _per_element(_PRICES[call.name], label, sources, n, weights, bias) if call.name in _PRICES else None
    )


def norm_work(label: str, source: Source, elements: int, channels: int) -> LayerWork:
    """A batch norm that nothing absorbs: a multiplier and a bias per channel, applied to each element."""
    return _per_element(_AFFINE, label, (source,), elements, weights=0, bias=2 * channels)


def _product_macs(call: Call) -> int | None:
    """Multiply-accumulates of a matrix product, convolution or attention; None for other operations."""
    if call.name.startswith("_scaled_dot_product"):
        query, key = call.args[:2]
        return 2 * query.numel() * key.shape[-2]
    counter = flop_registry.get(call.func.overloadpacket)
    return None if counter is None else int(counter(*call.args, **call.kwargs, out_val=call.out)) // 2


def _per_element(
    price: _Price, label: str, sources: tuple[Source, ...], elements: int, weights: int, bias: int
) -> LayerWork:
    return LayerWork(
        label, price.kind, "float", sources, elements, own_precision=price.own_precision,
        adds=price.adds * elements, multiplies=price.multiplies * elements, weights=weights, bias=bias,
    )  # fmt: skip


def _window(size: Any) -> tuple[int, ...]:
    """The window of a pooling operation, whose argument may say (3,) for 3 × 3."""
    sizes = tuple(size)
    return sizes * 2 if len(sizes) == 1 else sizes
