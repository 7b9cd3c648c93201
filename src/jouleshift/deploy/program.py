"""The integer program: what is left of a trained shift network when everything has become an integer.

A program is a list of nodes in order of execution. Each reads values and makes one. A value is a batch of
tensors, either float32 or integers q that stand for q · 2^−f (a fixed-point format, `quant.fixed_point`).

A shift layer computes, for each output channel c,

    sum_c = bias_c + Σ ± (q << shift)                        exact, in accumulator_bits
    out_c = clamp(round(float32(float32(sum_c) · multiplier_c)))

The shift of a weight is its distance to the smallest weight of the channel, so all shifts are ≥ 0 and nothing
is lost: no product is truncated. Everything that batch norm, scales and formats do to a channel is in one
float32 multiplier and one bias (Jacob et al., CVPR 2018, section 2.2, with exact sums). Rounding is half to
even, as IEEE arithmetic and integer runtimes have it. Where a batch norm's γ is negative the channel's signs
are flipped, so multipliers are positive.

This is a complete specification: an executor that follows it gets every integer right. `deploy.reference`
does so slowly with shifts and additions; ONNX Runtime, OpenVINO, PyTorch and C are checked against it.
"""

from dataclasses import dataclass, field

from jouleshift.deploy import reference
from jouleshift.deploy.nodes import Float32Array, FloatLayer, ShiftLayer, Steps
from jouleshift.quant.packing import packed_size

NEARLY = 0.02
"""Where a program has float layers: how far an executor's logits may be off, of the span of all logits, for
most images. Each sums floats in an order of its own."""


@dataclass(frozen=True)
class IntegerProgram(Steps):
    """A deployable network. `input` is float32: the image as the network was trained on it, normalised.

    `output` is the name of the last value: (classes,) logits, float32 or integers of a fixed-point format.
    """

    notes: tuple[str, ...] = field(default=())
    """What lowering decided that a person may want to know."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as stored: shift weights packed, those of unconverted layers as float32."""
        packed = sum(
            packed_size(layer.weights.signs.size, layer.weights.weight_bits) for layer in self.all(ShiftLayer)
        )
        return packed + sum(layer.weight.nbytes for layer in self.all(FloatLayer))

    @property
    def constant_bytes(self) -> int:
        """Bytes of what lies beside the weights. Each channel of a shift layer has a multiplier and a bias as
        wide as its sums, each of an unconverted layer a float32 bias."""
        return sum(
            len(layer.bias) * (4 + layer.accumulator_bits // 8) for layer in self.all(ShiftLayer)
        ) + sum(layer.bias.nbytes for layer in self.all(FloatLayer))

    @property
    def n_weights(self) -> int:
        return sum(layer.weights.signs.size for layer in self.all(ShiftLayer)) + sum(
            layer.weight.size for layer in self.all(FloatLayer)
        )

    @property
    def all_integer(self) -> bool:
        """Whether float32 appears only at the input: then every executor agrees on every bit."""
        return all(value.format is not None for value in list(self.values.values())[1:])

    def run(self, images: Float32Array) -> Float32Array:
        """Logits (N, classes), float32, of images (N, C, H, W), by the reference executor."""
        return reference.run(self, images)
