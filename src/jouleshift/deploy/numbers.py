"""The numbers of a shift layer: integers for its weights, a multiplier and a bias for each channel.

For output channel c of a shift layer, with weights ±2^(t_c − d) (t_c the top of the channel's grid, d a
weight's distance below it, D_c the largest distance in the channel), inputs q · 2^−f, and everything that
follows the sum in one factor s_c and offset o_c,

    y_c = s_c · Σ ± 2^(t_c − d) q 2^−f + o_c
        = s_c · u_c · Σ ± (q << (D_c − d)) + o_c,      u_c = 2^(t_c − D_c − f)

so the multiplier is |s_c| · u_c · 2^(f_out) in float32, or a neighbour of that (`quantiser`), the bias
o_c · 2^(f_out) / multiplier, rounded, and signs flip where s_c < 0. The bias is off by at most half a unit of
the sum.

No sum overflows: the largest and smallest partial sum, over all orders and all images, follow from the
weights and the input's limits, and choose accumulators of 32 or 64 bits.
"""

import numpy as np

from jouleshift.deploy import bounds
from jouleshift.deploy import nodes as p
from jouleshift.deploy.bounds import IntegerArray
from jouleshift.deploy.fold import FloatArray
from jouleshift.deploy.quantiser import attainable
from jouleshift.deploy.refusals import WHOLE, refusal
from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftLayer
from jouleshift.quant.fixed_point import FixedPoint

_FLOAT32_INTEGERS = 1 << 24
_LARGEST_BIAS = 1 << 30
_LARGEST_SPAN = 40


def shift_weights(name: str, layer: ShiftLayer) -> tuple[p.ShiftWeights, p.Int64Array]:
    """The layer's weights, and the exponent of each output channel's top. Raises `BadInput` where weights are
    no numbers."""
    try:
        signs, exponents = (tensor.numpy() for tensor in layer.integer_weight())
        top = layer.channel_offsets().numpy()
    except ValueError as error:
        raise refusal(name, str(error), WHOLE) from None
    distances = np.where(signs == 0, 0, top.astype(np.int16) - exponents)
    furthest = distances.reshape(len(signs), -1).max(1)
    config = layer.shift_config
    weights = p.ShiftWeights(
        config.kind, config.weight_bits, signs, distances.astype(np.int8), furthest.astype(np.int8)
    )
    return weights, top.reshape(-1).astype(np.int64)


def partial_sums(layer: str, weights: p.ShiftWeights, fmt: FixedPoint) -> tuple[IntegerArray, IntegerArray]:
    """`bounds.partial_sums` of a layer. Raises `BadInput` where its weights alone are too wide."""
    if weights.span > _LARGEST_SPAN:
        raise _too_wide(layer)
    return bounds.partial_sums(weights.integers, fmt)


def accumulator_bits(layer: str, smallest: int, largest: int) -> int:
    """32 or 64: what holds every sum between the two. Raises `BadInput` where nothing does."""
    reach = max(-smallest, largest + 1)
    if reach >= 1 << 62:
        raise _too_wide(layer)
    return 32 if reach <= 1 << 31 else 64


def _too_wide(layer: str) -> BadInput:
    return refusal(layer, "its sums may exceed 63 bits", "use fewer bits for activations or weights")


def multiplier_and_bias(
    scale: FloatArray, offset: FloatArray, bound: FloatArray
) -> tuple[p.Float32Array, p.Int64Array]:
    """float32 multiplier of the sum, and the bias in units of the sum; `bound` is the largest sum of weights.

    A channel whose batch norm has turned it off (γ ≈ 0) is its offset. Its multiplier is as small as leaves
    the bias within 2^30, or within what is large beside the channel's own sums.
    """
    least = np.maximum(np.abs(offset) / np.maximum(_LARGEST_BIAS, 64 * bound), 2.0**-60)
    multiplier = attainable(np.maximum(scale, least).astype(np.float32))
    return multiplier, np.rint(offset / multiplier.astype(np.float64)).astype(np.int64)


def logits_format(scale: FloatArray, offset: FloatArray, bound: FloatArray) -> FixedPoint | None:
    """The format of logits that loses nothing: where every channel's unit is a power of two that fits; or
    None, float32."""
    mantissas, exponents = np.frexp(scale)
    fraction_bits = int(max(0, -(exponents - 1).min()))
    largest = np.ldexp(bound * scale + np.abs(offset), fraction_bits).max()
    exact = bool((mantissas == 0.5).all()) and largest < _FLOAT32_INTEGERS and fraction_bits < 32
    return FixedPoint(32 - fraction_bits, fraction_bits, True) if exact else None
