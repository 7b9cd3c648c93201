"""What a runtime's quantiser multiplies by, so that it can do a layer's multiplication itself.

A layer ends with sum · multiplier, rounded and saturated to a byte. OpenVINO's QuantizeLinear of scale s does
all three at once, and fuses with the convolution before it. It does not divide by s: its arithmetic is
clamp(x, 0, 255 s) · (255 / (255 s)), in float32 throughout. So it computes what a layer says, bit for bit,
where

    float32(255 / float32(255 · s)) = multiplier

About one float32 number in six has no such s, but one of its neighbours has. `attainable` takes that, before
the multiplier becomes part of the program: every executor multiplies by it.
"""

import numpy as np

from jouleshift.deploy.nodes import Float32Array

_BYTE = np.float32(255)
_NEARBY = (0, -1, 1)
"""In units in the last place."""


def scale_for(multiplier: Float32Array) -> Float32Array:
    """The scale with which unsigned bytes are multiplied by `multiplier` > 0; NaN where there is none."""
    scale = (_BYTE / multiplier) / _BYTE
    return np.where(_BYTE / (_BYTE * scale) == multiplier, scale, np.float32(np.nan))


def attainable(multiplier: Float32Array) -> Float32Array:
    """`multiplier` (n,), positive and normal, or of each where it has no scale a neighbour that has one."""
    nearby = np.stack([(multiplier.view(np.int32) + step).view(np.float32) for step in _NEARBY])
    found = ~np.isnan(scale_for(nearby))
    return nearby[found.argmax(0), np.arange(multiplier.size)]
