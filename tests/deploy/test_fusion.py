"""A graph may be exact and still run as floats: what the runtimes make of it is looked at, too."""

from collections import Counter

import onnx
import onnxruntime
import openvino
import pytest
from torch import nn

from jouleshift.deploy import nodes as p
from jouleshift.deploy.lower import lower
from jouleshift.deploy.onnx import to_onnx
from jouleshift.deploy.program import IntegerProgram
from jouleshift.models.registry import create
from tests.deploy import networks


@pytest.fixture(scope="module")
def residual() -> IntegerProgram:
    return lower(networks.shifted(create("resnet20", 10)), networks.images(16, size=32))


def test_onnx_runtime_makes_one_integer_kernel_of_a_layer_and_of_a_sum(residual, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    model = to_onnx(residual).SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    kernels = Counter(node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node)
    layers = residual.all(p.ShiftLayer)
    assert kernels["QLinearConv"] == len([layer for layer in layers if layer.geometry])
    assert kernels["QLinearAdd"] == len(residual.all(p.Add)) == 9
    assert kernels["Conv"] == kernels["Gemm"] == 0


@pytest.mark.skipif(
    "INT8" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="OpenVINO has no int8 kernels for this processor",
)
def test_openvino_makes_one_int8_kernel_of_a_layer(residual):
    core = openvino.Core()
    model = core.read_model(to_onnx(residual, "openvino").SerializeToString())
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [
        tuple(node.get_rt_info()[key].astype(str) for key in ("layerType", "runtimePrecision"))
        for node in compiled.get_runtime_model().get_ops()
    ]
    assert (
        Counter(kinds)["Convolution", "u8"] == len([kind for kind, _ in kinds if kind == "Convolution"]) == 19
    )


@pytest.mark.parametrize("form", ["onnxruntime", "openvino"])
def test_a_relu6_takes_no_clip_of_its_own(form):
    chain = networks.Chain()
    chain.layers[2], chain.layers[5] = nn.ReLU6(), nn.ReLU6()
    graph = to_onnx(lower(networks.shifted(chain), networks.images(16)), form).graph
    clips = [node.input[0] for node in graph.node if node.op_type == "Clip"]
    assert clips and all(name.startswith("head/") for name in clips)
