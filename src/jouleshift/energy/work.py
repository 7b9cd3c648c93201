"""The work of one inference of one image, layer by layer, as numbers a cost model can price.

A network's energy is decided by three things: how many operations of which width it does, how many bits its
weights have, and how many bits of activations move between its layers. `LayerWork` holds these counts for one
layer, `Workload` for the network. Nothing here depends on the values of the weights, so the energy of a
configuration is known before it is trained.

Precision. A convolution or linear layer has a precision of its own: an unconverted one computes in float32,
a shift layer on integers of act_integer_bits + act_fraction_bits. Everything between (ReLU, pooling, residual
addition) has none and computes in the format of what it reads. A tensor is stored in the widest format that
any layer reading it needs, because its writer converts it once and knows its readers.

Accumulators. A shift layer adds x · ±2^k with k from a span of exponents. Kept exact, as the deployed integer
program does, the sum needs the activation's bits, plus the span, plus ceil(log2(fan_in)). The span is that of
the number format (DeepShift, Elhoushi et al. 2021): 2^(b−1) − 1 for Q with b weight bits, 2^(b−1) − 2 for PS,
whose spare code is the zero; but at most 24. A weight further below the largest of its channel is lost in a
sum of float32, whose significand has 24 bits, so training cannot have used it. (Formats of 6 to 8 bits
nominally span 31 to 127; ResNet20 starts with weights that span 10 to 21.) `workload.trace` can count the
span that trained weights really use instead.

Traffic. Each weight is read once an inference. Each tensor is written once and read once by each layer that
reads it. Activation functions and norms work on the stream into the next reader and cause no traffic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

Kind = Literal["conv", "linear", "matmul", "norm", "activation", "pool", "add", "scale"]
Arithmetic = Literal["shift", "integer", "float"]

INPUT = -1
"""The producer of the network's input, where a producer is the index of a layer."""

WEIGHTED: frozenset[Kind] = frozenset({"conv", "linear", "matmul"})
STREAMED: frozenset[Kind] = frozenset({"norm", "activation"})
FLOAT_BITS = 32
SIGNIFICAND_BITS = 24
"""Of a float32."""
WORD_BITS = 32
"""Width of biases and of the multipliers that fold a batch norm."""


Format = tuple[int, bool]
"""Of a tensor: bits an element, and whether it is float."""
_FLOAT: Format = (FLOAT_BITS, True)


@dataclass(frozen=True)
class Source:
    """A tensor a layer reads: who made it (several after a concatenation) and how many elements are read."""

    producers: tuple[int, ...]
    elements: int


@dataclass(frozen=True)
class LayerWork:
    """What one layer does for one image.

    `macs` are multiply-accumulates (shift-accumulates in a shift layer), padding included; `adds` and
    `multiplies` are further operations. `weights` and `bias` count values: a weight has `weight_bits` bits, a
    bias 32. `fan_in` is the number of products in one sum. `scaled` says
    that a batch norm is folded in: into the weights of a float layer, into a multiplier and a bias per
    channel of an integer one. `own_precision` is False where the layer computes in the format it reads.
    `activation_bits` is the width it computes with, `stored_bits` that of its output, `read_bits` the bits it
    reads in all. `live_bits` is what the activation memory holds while it runs.
    """

    name: str
    kind: Kind
    arithmetic: Arithmetic
    sources: tuple[Source, ...]
    output_elements: int
    own_precision: bool
    activation_bits: int = FLOAT_BITS
    macs: int = 0
    adds: int = 0
    multiplies: int = 0
    weights: int = 0
    weight_bits: int = FLOAT_BITS
    bias: int = 0
    channels: int = 0
    fan_in: int = 1
    exponent_span: int = 0
    scaled: bool = False
    stored_bits: int = FLOAT_BITS
    stored_float: bool = True
    read_bits: int = 0
    live_bits: int = 0

    def changed(self, **changes: Any) -> "LayerWork":
        """`dataclasses.replace` in a third of its time: a search describes thousands of networks."""
        layer = object.__new__(LayerWork)
        vars(layer).update(vars(self), **changes)
        return layer

    @property
    def is_shift(self) -> bool:
        return self.arithmetic == "shift"

    @property
    def input_elements(self) -> int:
        return sum(source.elements for source in self.sources)

    @property
    def streamed(self) -> bool:
        """Whether it works on the fly, without traffic of its own."""
        return self.kind in STREAMED

    @property
    def written_bits(self) -> int:
        return 0 if self.streamed else self.output_elements * self.stored_bits

    @property
    def accumulator_bits(self) -> int:
        """Width that keeps the layer's sums exact."""
        if self.arithmetic == "float":
            return FLOAT_BITS
        product = self.exponent_span if self.is_shift else self.weight_bits if self.macs else 0
        return self.activation_bits + product + (self.fan_in - 1).bit_length()

    @property
    def constant_words(self) -> int:
        """Biases and folded multipliers, in words of 32 bits: a folded norm always leaves a bias."""
        bias = max(self.bias, self.channels if self.scaled else 0)
        multipliers = self.channels if self.scaled and self.arithmetic != "float" else 0
        return bias + multipliers

    @property
    def held_bits(self) -> int:
        """Bits of weights, biases and multipliers: what is stored, and read once an inference."""
        return self.weights * self.weight_bits + self.constant_words * WORD_BITS


@dataclass(frozen=True)
class Workload:
    """The layers of a network in order of execution.

    `uncounted` names operations that were seen and not priced, so that nothing is left out in silence.
    """

    layers: tuple[LayerWork, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def held_bits(self) -> int:
        return sum(layer.held_bits for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Size of the weights as stored, in bytes: shift layers packed at weight_bits, the rest float32."""
        return -(-self.held_bits // 8)

    @cached_property
    def live_bits(self) -> int:
        """The most bits of activations held at a time."""
        return max((layer.live_bits for layer in self.layers), default=0)

    def as_float(self) -> "Workload":
        """The same network in float32 throughout: the baseline of an unconverted network."""
        return self._uniform("float", FLOAT_BITS)

    def as_integer(self, bits: int = 8) -> "Workload":
        """The same network with weights and activations of `bits` bits and integer multiplications."""
        return self._uniform("integer", bits)

    def _uniform(self, arithmetic: Arithmetic, bits: int) -> "Workload":
        layers = [
            layer.changed(arithmetic=arithmetic, activation_bits=bits, weight_bits=bits, exponent_span=0)
            if layer.kind in WEIGHTED
            else layer
            for layer in self.layers
        ]
        return replace(self, layers=resolve(layers))


def nominal_span(kind: Literal["Q", "PS"], weight_bits: int) -> int:
    """Largest less smallest exponent of a shift weight of `weight_bits` bits, 2 or more, that sums must keep.

    >>> nominal_span("Q", 5), nominal_span("PS", 5), nominal_span("Q", 8)
    (15, 14, 24)
    """
    return min(2 ** (weight_bits - 1) - (1 if kind == "Q" else 2), SIGNIFICAND_BITS)


def resolve(layers: Sequence[LayerWork]) -> tuple[LayerWork, ...]:
    """Settle formats, traffic and live memory from each layer's own precision and the flow of data."""
    stored = _stored_formats(layers)
    return _with_traffic(_with_formats(layers, stored), stored[INPUT][0])


def _widest(formats: Iterable[Format]) -> Format:
    """The format (bits, is float) that serves all of `formats`."""
    bits, floats = zip(*formats, strict=True)
    return max(bits), any(floats)


def _own(layer: LayerWork) -> Format:
    return layer.activation_bits, layer.arithmetic == "float"


def _stored_formats(layers: Sequence[LayerWork]) -> dict[int, Format]:
    """The format of each output and of the input: the widest that its readers need, backwards from the last.

    What has no precision of its own passes its readers' need on to what it reads. A sum of several tensors
    does not: it takes them as they come and converts the result, so needs do not climb a chain of shortcuts.
    """
    delivered = _delivered_formats(layers)
    needs: dict[int, list[Format]] = {index: [] for index in range(INPUT, len(layers))}
    stored: dict[int, Format] = {}
    for index in reversed(range(len(layers))):
        layer = layers[index]
        stored[index] = _widest(needs[index] or [delivered[index]])
        if layer.own_precision or len(layer.sources) == 1:
            need = _own(layer) if layer.own_precision else stored[index]
            for producer in _producers(layer):
                needs[producer].append(need)
    stored[INPUT] = _widest(needs[INPUT] or [_FLOAT])
    return stored


def _with_formats(layers: Sequence[LayerWork], stored: Mapping[int, Format]) -> list[LayerWork]:
    """Let what has no precision of its own compute in the widest format that it reads."""
    formatted = []
    for index, layer in enumerate(layers):
        stored_bits, stored_float = stored[index]
        bits, arithmetic = layer.activation_bits, layer.arithmetic
        if not layer.own_precision:
            bits, floating = _widest([stored[p] for p in _producers(layer)] or [_FLOAT])
            arithmetic = "float" if floating else "integer"
        formatted.append(
            layer.changed(
                stored_bits=stored_bits,
                stored_float=stored_float,
                activation_bits=bits,
                arithmetic=arithmetic,
            )
        )
    return formatted


def _delivered_formats(layers: Sequence[LayerWork]) -> list[Format]:
    """The format each layer has without a reader: its own, or that of what it reads."""
    delivered: list[Format] = []
    for layer in layers:
        sources = [delivered[producer] for producer in _producers(layer) if producer != INPUT]
        delivered.append(_own(layer) if layer.own_precision else _widest(sources or [_FLOAT]))
    return delivered


def _producers(layer: LayerWork) -> list[int]:
    """The layers, or the input, that made what `layer` reads."""
    return [producer for source in layer.sources for producer in source.producers]


def _with_traffic(layers: Sequence[LayerWork], input_bits: int) -> tuple[LayerWork, ...]:
    """Count what each layer reads from memory, seen through streamed layers, and what must be held."""
    stored = [_stored_producers(layers, index) for index in range(len(layers))]
    last_use = {index: index for index in range(len(layers))}
    reads = []
    for index, layer in enumerate(layers):
        read = 0
        for source in layer.sources:
            origins = {o for p in source.producers for o in ([INPUT] if p == INPUT else stored[p])}
            widths = [input_bits if o == INPUT else layers[o].stored_bits for o in origins]
            read += source.elements * max(widths, default=input_bits)
            last_use.update(dict.fromkeys(origins, index))
        reads.append(0 if layer.streamed else read)
    input_size = max(
        (s.elements for layer in layers for s in layer.sources if INPUT in s.producers), default=0
    )
    sizes = {index: layer.written_bits for index, layer in enumerate(layers)} | {
        INPUT: input_size * input_bits
    }
    change = [0] * (len(layers) + 1)
    for origin, size in sizes.items():
        change[max(origin, 0)] += size
        change[last_use.get(origin, INPUT) + 1] -= size
    live = accumulate(change)
    return tuple(
        layer.changed(read_bits=read_bits, live_bits=live_bits)
        for layer, read_bits, live_bits in zip(layers, reads, live, strict=False)
    )


def _stored_producers(layers: Sequence[LayerWork], index: int) -> set[int]:
    """The layers in memory whose tensors a reader of layer `index` fetches."""
    if not layers[index].streamed:
        return {index}
    found: set[int] = set()
    for source in layers[index].sources:
        for producer in source.producers:
            found |= {INPUT} if producer == INPUT else _stored_producers(layers, producer)
    return found
