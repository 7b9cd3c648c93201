"""Sums of layers and windows in an ONNX graph, each in the fastest form that is exact: one convolution of
whole numbers, two whose results one addition puts together (`exact`), or as many as `onnx_wide` needs.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jouleshift.deploy import nodes as p
from jouleshift.deploy.exact import BYTE_SPAN, LARGEST_WHOLE, Part, parts
from jouleshift.deploy.onnx_carriers import Carriers, fits_byte
from jouleshift.deploy.onnx_graph import Graph, Name
from jouleshift.deploy.onnx_weights import Weights
from jouleshift.deploy.onnx_wide import Cut, WideSums, cut, part_name
from jouleshift.errors import BadInput


class Sums:
    """Writes sums, for a runtime that can be wide or not."""

    def __init__(self, graph: Graph, carriers: Carriers, can_be_wide: bool) -> None:
        self._graph = graph
        self._carriers = carriers
        self._weights = Weights(graph)
        self._can_be_wide = can_be_wide

    def of_layer(self, node: p.ShiftLayer, source: p.Value) -> Name:
        """float32(bias + Σ weight · q). Raises `BadInput` where the runtime cannot."""
        split = parts(node, source.fixed, in_bytes=fits_byte(source) and not self._carriers.as_bytes)
        if split and self._carriers.dtype(source) == np.float32:
            return self._narrow(node, source, split)
        if self._can_be_wide:
            weight = self._weights.whole(node.output.name, node.weights)
            return self._wide(node, source, cut(node.weights.integers, source.fixed), weight, node.bias)
        bits, span = source.fixed.integer_bits + source.fixed.fraction_bits, node.weights.span
        what = f"{node.layer}: sums of {bits}-bit activations and weights up to 2^{span}"
        raise BadInput(f"{what} {exceed(LARGEST_WHOLE)}")

    def of_bytes(self, node: p.ShiftLayer, source: p.Value) -> Name | None:
        """bias + Σ weight · q of bytes by weights of a byte, which is one integer convolution; None where it
        takes more."""
        split = parts(node, source.fixed, in_bytes=True) if fits_byte(source) else []
        if len(split) != 1 or not _in_bytes(source, split[0]):
            return None
        return self._part(node, source, split[0], part_name(node.output.name, 0))

    def of_windows(self, node: p.AveragePool, source: p.Value, most: float) -> Name:
        """The sum of each window in float32; `most` is the largest magnitude of one of integers."""
        name, graph, geometry = node.output.name, self._graph, node.geometry
        ones = np.ones((source.shape[0], 1, *geometry.kernel), np.int64)
        depthwise = replace(geometry, groups=source.shape[0])
        weight = graph.constant(f"{name}/ones", ones.astype(np.float32))
        if most > LARGEST_WHOLE:
            node, nothing = replace(node, geometry=depthwise), np.zeros(len(ones), np.int64)
            return self._wide(node, source, cut(ones, source.fixed), weight, nothing)
        whole, total = self._carriers.whole(source), f"{name}/sum"
        if geometry.kernel == source.shape[1:] and not any(geometry.padding):
            graph.add("ReduceSum", [whole, graph.integers(2, 3)], total)
        else:
            self.weighted([whole, weight], depthwise, total)
        if node.output.format is None:
            return total
        return graph.clip(total, -most, most, f"{name}/bounded")

    def weighted(self, inputs: list[Name], geometry: p.Geometry | None, output: Name) -> Name:
        """A convolution or a linear layer of tensors (images, weights[, bias])."""
        if geometry is None:
            return self._graph.add("Gemm", inputs, output, transB=1)
        return self._graph.add("Conv", inputs, output, **window(geometry))

    def _wide(
        self, node: p.ShiftLayer | p.AveragePool, source: p.Value, plan: Cut, weight: Name, bias: p.Int64Array
    ) -> Name:
        name = node.output.name

        def summed(digit: Name, start: int, end: int | None, output: Name) -> Name:
            group = self._weights.between(weight, start, end, f"{part_name(name, start)}/weight")
            return self.weighted([digit, group], node.geometry, output)

        whole, dtype = self._carriers.whole(source), self._carriers.dtype(source)
        bias = per_channel(bias, node.geometry)
        return WideSums(self._graph).add(name, whole, dtype, plan, bias, summed)

    def _narrow(self, node: p.ShiftLayer, source: p.Value, split: list[Part]) -> Name:
        name, graph = node.output.name, self._graph
        terms = [self._part(node, source, part, part_name(name, part.exponent)) for part in split]
        total = terms[0] if len(terms) == 1 else graph.add("Add", terms, f"{name}/total")
        lowest = max(node.smallest, 0) if node.lowest == 0 else node.smallest
        return graph.clip(total, lowest, node.largest, f"{name}/bounded")

    def _part(self, node: p.ShiftLayer, source: p.Value, part: Part, name: Name) -> Name:
        graph = self._graph
        whole = self._weights.whole(node.output.name, node.weights)
        weight = self._weights.between(whole, part.exponent, part.end, f"{name}/weight")
        if _in_bytes(source, part):
            inputs = [self._weights.in_bytes(weight), graph.scalar(1), graph.scalar(0, np.int8)]
            weight = graph.add("DequantizeLinear", inputs, f"{weight}/whole")
        products = self.weighted([self._carriers.whole(source), weight], node.geometry, f"{name}/products")
        bias = graph.constant(f"{name}/bias", per_channel(part.bias, node.geometry).astype(np.float32))
        total = graph.add("Add", [products, bias], name)
        if part.exponent == 0:
            return total
        return graph.add("Mul", [total, graph.scalar(2.0**part.exponent)], f"{name}/shifted")


def _in_bytes(source: p.Value, part: Part) -> bool:
    return fits_byte(source) and bool(np.abs(part.integers).max() <= 1 << BYTE_SPAN)


def exceed(most: int) -> str:
    """What is wrong with larger whole numbers, and the remedy."""
    other = "with ONNX Runtime, PyTorch or C" if most == LARGEST_WHOLE else "with PyTorch or C"
    return (
        f"exceed what this runtime computes exactly (2^{most.bit_length() - 1}); use fewer bits for "
        f"activations or weights, or run it {other}"
    )


def window(geometry: p.Geometry) -> dict[str, Any]:
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": geometry.padding,
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }


def per_channel(values: NDArray[Any], geometry: p.Geometry | None) -> NDArray[Any]:
    return values.reshape((1, -1) if geometry is None else (1, -1, 1, 1))
