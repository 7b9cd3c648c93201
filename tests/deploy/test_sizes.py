"""What an exported network weighs: the bound on weights, and what lies beside them."""

import pytest
from benchmarks.deploy.sizes import program_of, sizes

from jouleshift.deploy import program as p

SLOW = [(network, bits) for network in ("mobilenetv2", "googlenet") for bits in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("network", "bits"),
    [("resnet20", 4), *(pytest.param(*each, marks=pytest.mark.slow) for each in [("resnet20", 2), *SLOW])],
)
def test_weights_take_their_bits_and_the_rest_is_small(network, bits):
    """Weights: weight_bits / 32 of float32, exactly. Beside them 8 bytes a channel in C, bias and multiplier,
    in a safetensors file one more a channel and the description of each node, in an ONNX file up to 24 a
    channel and the operators of each layer."""
    program = program_of(network, bits)
    found = dict(sizes(program))
    weights = program.n_weights * bits / 8
    layers = program.all(p.ShiftLayer)
    channels = sum(len(layer.bias) for layer in layers)
    assert program.weight_bytes <= weights + len(layers)
    assert found["C, all tables"] <= weights + len(layers) + 8 * channels
    assert found["safetensors, whole file"] <= weights + len(layers) + 9 * channels + 1000 * len(
        program.nodes
    )
    operators = 9000 * len(layers)
    assert found["ONNX, whole file"] <= weights + len(layers) * bits + 24 * channels + operators
