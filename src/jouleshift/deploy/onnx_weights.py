"""Shift weights as an ONNX file stores them, packed, and the constant expressions that unpack them.

ONNX has no powers of two. So the file holds the codes of `quant.packing`, `weight_bits` bits each and one
after another, and says in ordinary operators what they mean:

    bytes → bits → codes → ±2^−distance by a table → times the 2^furthest of the channel

Nothing in that depends on the images, so runtimes compute it once, when they load the file, and go on with
the tensor that comes out, as if it had been there.
"""

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.onnx_graph import Graph, Name
from jouleshift.deploy.storage import packed_codes
from jouleshift.quant.power_of_two import grid

_BITS = np.arange(8)


class Weights:
    """Writes weights into a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def whole(self, name: Name, weights: p.ShiftWeights) -> Name:
        """A layer's weights as whole numbers ±2^shift in float32."""
        graph, place, bits = self._graph, f"{name}/unpacked", weights.weight_bits
        codes = packed_codes(weights)
        padding = -len(codes) % bits  # to whole groups of 8 codes
        source = graph.constant(f"{name}/codes", np.pad(codes, (0, padding)).reshape(-1, 1))
        source = graph.cast(source, np.int32, f"{place}/0")
        steps = [
            ("Div", graph.constant("powers", (1 << _BITS).astype(np.int32))),
            ("Mod", graph.scalar(2, np.int32)),
            ("Reshape", graph.integers(-1, bits)),
            ("Mul", graph.constant(f"powers {bits}", (1 << _BITS[:bits]).astype(np.int32))),
        ]
        for index, (operation, constant) in enumerate(steps, start=1):
            source = graph.add(operation, [source, constant], f"{place}/{index}")
        source = graph.add("ReduceSum", [source, graph.integers(1)], f"{place}/5", keepdims=0)
        size = graph.integers(weights.signs.size)
        source = graph.add("Slice", [source, graph.integers(0), size], f"{place}/6")
        source = graph.add("Gather", [self._levels(weights), source], f"{place}/7")
        source = graph.add("Reshape", [source, graph.integers(*weights.signs.shape)], f"{place}/8")
        channels = (-1, *(1,) * (weights.signs.ndim - 1))
        furthest = np.ldexp(np.float32(1), weights.furthest.astype(np.int32)).reshape(channels)
        return graph.add("Mul", [source, graph.constant(f"{name}/furthest", furthest)], f"{name}/weight")

    def _levels(self, weights: p.ShiftWeights) -> Name:
        """What each code stands for, relative to the top of its channel."""
        levels, codes = grid(weights.kind, weights.weight_bits), np.arange(1 << weights.weight_bits)  # type: ignore[arg-type]
        values = np.ldexp(np.where(codes & 1, -1.0, 1.0), -(codes >> 1))
        table = np.where(codes >> 1 < levels.n_exponents, values, 0).astype(np.float32)
        return self._graph.constant(f"levels {weights.kind} {weights.weight_bits}", table)

    def between(self, whole: Name, start: int, end: int | None, output: Name) -> Name:
        """The weights whose shifts lie in start … end − 1, less `start`; zero for the others."""
        graph = self._graph
        if start == 0 and end is None:
            return whole
        magnitude, zero = graph.add("Abs", [whole], f"{whole}/magnitude"), graph.scalar(0)
        kept = whole
        if end is not None:
            below = graph.add("Less", [magnitude, graph.scalar(2.0**end)], f"{output}/below")
            kept = graph.add("Where", [below, kept, zero], f"{output}/kept below")
        if start > 0:
            above = graph.add("GreaterOrEqual", [magnitude, graph.scalar(2.0**start)], f"{output}/above")
            kept = graph.add("Where", [above, kept, zero], f"{output}/kept above")
            kept = graph.add("Mul", [kept, graph.scalar(2.0**-start)], output)
        return kept

    def in_bytes(self, weight: Name) -> Name:
        """Weights of at most ±64 in int8."""
        return self._graph.cast(weight, np.int8, f"{weight}/int8")
