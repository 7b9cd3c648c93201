"""An ONNX graph, node by node. Constants of one element are shared, and so is what is added twice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from jouleshift.deploy import nodes as p

OPSET = 19
_IR_VERSION = 9

Name = str
"""Of a tensor."""
Float = type[np.float32] | type[np.float64]


class Graph:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        self._nodes: dict[Name, onnx.NodeProto] = {}
        self._constants: dict[Name, onnx.TensorProto] = {}

    def constant(self, name: Name, values: NDArray[Any]) -> Name:
        """An initializer; what is there already under that name stays."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def scalar(self, value: float, dtype: Any = np.float32) -> Name:
        """A constant without dimensions."""
        array = np.asarray(value, dtype)
        return self.constant(f"{array.dtype}({array})", array.reshape(()))

    def integers(self, *values: int) -> Name:
        """A constant vector of int64: axes, sizes, steps."""
        return self.constant(f"int64{values}", np.asarray(values, np.int64))

    def add(self, operation: str, inputs: Sequence[Name], output: Name, **attributes: Any) -> Name:
        """A node with one output, whose name is also the node's. The same output again is the same node."""
        if output not in self._nodes:
            self._nodes[output] = helper.make_node(operation, inputs, [output], output, **attributes)
        return output

    def channelwise(self, name: Name, scales: NDArray[np.float32]) -> Name:
        """Integers (out, …) times a scale of each output channel: a float32 tensor."""
        inputs = [name, self.constant(f"{name}/scale", scales)]
        return self.add("DequantizeLinear", inputs, f"{name}/dequantised", axis=0)

    def cast(self, source: Name, dtype: Any, output: Name) -> Name:
        """A tensor in another type."""
        return self.add("Cast", [source], output, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def clip(
        self, source: Name, lowest: float | None, highest: float | None, output: Name, dtype: Any = np.float32
    ) -> Name:
        """A tensor of that type within limits; the source itself where there are none."""
        if lowest is None and highest is None:
            return source
        if lowest == 0 and highest is None:
            return self.add("Relu", [source], output)
        bounds = ["" if bound is None else self.scalar(bound, dtype) for bound in (lowest, highest)]
        return self.add("Clip", [source, *bounds], output)

    def model(
        self, images: tuple[Name, p.Shape], logits: tuple[Name, p.Shape], metadata: Mapping[str, str]
    ) -> onnx.ModelProto:
        """The checked model, without constants that no node reads; the batch is free."""
        first, last = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
            for name, shape in (images, logits)
        )
        nodes = list(self._nodes.values())
        read = {name for node in nodes for name in node.input}
        constants = [constant for name, constant in self._constants.items() if name in read]
        graph = helper.make_graph(nodes, "jouleshift", [first], [last], constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="jouleshift")
        model.ir_version = _IR_VERSION
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model
