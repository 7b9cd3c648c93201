"""What an exported network weighs: the bound on weights, and what lies beside them."""

import pytest
import torch
from benchmarks.deploy.sizes import program_of, sizes

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert, weight_bytes
from jouleshift.deploy import nodes as p
from jouleshift.deploy.lower import lower
from jouleshift.models import create

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


@pytest.mark.parametrize("depth", [1, 3, None])
def test_a_search_counts_the_bytes_that_ship(depth):
    formats = ShiftConfig(weight_bits=3, act_integer_bits=3, act_fraction_bits=5, depth=depth)
    network = convert(create("tiny", 10), formats).eval()
    assert lower(network, torch.rand(2, 3, 16, 16)).weight_bytes == weight_bytes(network)
