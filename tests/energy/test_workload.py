"""What is counted, against counts made by hand."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.energy.work import Workload, nominal_span
from jouleshift.energy.workload import trace
from jouleshift.models.registry import create
from jouleshift.nn.layers import ShiftConvTranspose2d, ShiftLinear
from jouleshift.quant.power_of_two import grid
from tests.energy.energy_networks import FakeShiftConv2d, FakeShiftLinear, ResNet20, images

PS4 = ShiftConfig(kind="PS", weight_bits=4, act_integer_bits=3, act_fraction_bits=5)


def kinds(workload: Workload) -> list[str]:
    return [layer.kind for layer in workload.layers]


@pytest.mark.parametrize(
    ("conv", "macs", "fan_in"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), 8 * 16 * 16 * 27, 27),
        (nn.Conv2d(3, 8, 3, stride=2), 8 * 7 * 7 * 27, 27),
        (nn.Conv2d(3, 6, 5, dilation=2, bias=False), 6 * 8 * 8 * 75, 75),
        (nn.Conv2d(3, 6, 3, groups=3, padding=1), 6 * 16 * 16 * 9, 9),
        (nn.Conv2d(3, 4, 1), 4 * 16 * 16 * 3, 3),
        (nn.ConvTranspose2d(3, 4, 2, stride=2), 3 * 16 * 16 * 4 * 4, 3),
    ],
    ids=["padded", "strided", "dilated", "grouped", "1x1", "transposed"],
)
def test_convolutions_of_every_form(conv, macs, fan_in):
    (layer,) = trace(conv, images(16)).layers
    assert layer.macs == macs
    assert layer.fan_in == fan_in
    assert layer.weights == conv.weight.numel()
    assert layer.bias == (0 if conv.bias is None else conv.bias.numel())
    assert layer.input_elements == 3 * 16 * 16


def test_resnet20_has_its_known_size_and_work():
    """40.55 million multiply-accumulates and 268,336 weights (He et al. 2016 say 0.27 million)."""
    workload = trace(ResNet20(), images())
    assert workload.macs == 40_551_040
    assert sum(layer.weights for layer in workload.layers) == 268_336
    assert kinds(workload).count("conv") == 19
    assert kinds(workload).count("add") == 9
    assert workload.uncounted == ()


def test_a_shift_layer_is_one_layer_with_the_format_of_its_configuration():
    (layer,) = trace(FakeShiftConv2d(3, 8, 3, config=PS4), images(16)).layers
    assert layer.is_shift
    assert (layer.weight_bits, layer.activation_bits, layer.exponent_span) == (4, 8, 6)
    # 27 products: 8 bits + a span of 6 + 5 bits of carry (2^4 < 27 <= 2^5)
    assert layer.accumulator_bits == 8 + 6 + 5


def test_a_batch_norm_behind_a_layer_is_folded_into_it():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    conv, relu = trace(net, images(8)).layers
    assert conv.scaled
    assert conv.constant_words == 4  # a float layer absorbs the multiplier, the bias stays
    assert relu.sources[0].producers == (0,)


def test_a_batch_norm_behind_a_shift_layer_leaves_multiplier_and_bias():
    net = nn.Sequential(FakeShiftConv2d(3, 4, 3, bias=False, config=PS4), nn.BatchNorm2d(4))
    (conv,) = trace(net, images(8)).layers
    assert conv.constant_words == 8
    assert conv.held_bits == 4 * (4 * 3 * 9) + 32 * 8


def test_a_batch_norm_that_nothing_absorbs_costs_operations():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 1))
    norm, relu, _ = trace(net, images(8)).layers
    assert norm.kind == "norm"
    assert norm.multiplies == norm.adds == 3 * 8 * 8
    assert relu.kind == "activation"


def test_functional_operations_are_seen():
    class Net(nn.Module):
        def forward(self, x):
            y = F.relu(x) + x
            return F.avg_pool2d(F.max_pool2d(y, 2), 2).flatten(1)

    layers = trace(Net(), images(8)).layers
    assert [layer.kind for layer in layers] == ["activation", "add", "pool", "pool"]
    assert layers[2].adds == 3 * 4 * 4 * 4
    assert layers[3].adds == 3 * 2 * 2 * 4
    assert layers[3].multiplies == 3 * 2 * 2


def test_attention_is_counted_as_matrix_products():
    """Q, K, V and output projections, QKᵀ and the sum over V, for 5 tokens of 8 features."""

    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    workload = trace(Attend(), torch.rand(1, 5, 8))
    assert workload.macs == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    assert sum(layer.weights for layer in workload.layers) == 4 * 8 * 8


def test_an_unknown_operation_is_named():
    class Net(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real

    assert trace(Net(), images(4)).uncounted == ("_fft_r2c",)


def test_only_one_image_is_traced():
    net = nn.Conv2d(3, 4, 3)
    assert trace(net, images(8)) == trace(net, images(8)[:1])


def test_the_model_is_left_as_it_was():
    net = ResNet20(PS4).train()
    net.blocks[0].eval()
    before = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    trace(net, images())
    assert modes == [module.training for module in net.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_work_does_not_depend_on_the_weights():
    net = ResNet20(PS4)
    before = trace(net, images())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    assert trace(net, images()) == before


def test_a_tensor_is_stored_in_the_widest_format_of_its_readers():
    """float conv → shift conv → float linear: 8 bits between the first two, float32 before the last."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), FakeShiftConv2d(4, 4, 3, config=PS4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * 4 * 4, 2),
    )  # fmt: skip
    first, relu, shift, _, last = trace(net, images(8)).layers
    assert (first.arithmetic, first.stored_bits, first.stored_float) == ("float", 8, False)
    assert (relu.arithmetic, relu.activation_bits) == ("integer", 8)
    assert (shift.stored_bits, shift.stored_float) == (32, True)
    assert shift.read_bits == 8 * 4 * 6 * 6
    assert last.read_bits == 32 * 4 * 4 * 4
    assert last.stored_float


def test_traffic_counts_each_tensor_once_written_and_once_per_reader():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x = F.relu(self.a(x))
            return F.relu(self.b(x)) + x

    elements = 3 * 8 * 8
    layers = {layer.name: layer for layer in trace(Residual(), images(8)).layers}
    bits = elements * 32
    assert [layers[n].read_bits for n in ("a", "relu", "b", "add")] == [bits, 0, bits, 2 * bits]
    assert [layers[n].written_bits for n in ("a", "relu", "b", "add")] == [bits, 0, bits, bits]
    # while b runs: the tensor it reads, which add needs too, and the one it writes
    assert layers["b"].live_bits == 2 * bits
    assert layers["add"].live_bits == 3 * bits


def test_concatenation_is_followed_to_both_writers():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 5, 1), nn.Conv2d(7, 1, 1)

        def forward(self, x):
            return self.c(torch.cat([self.a(x), self.b(x)], 1))

    a, b, c = trace(Branches(), images(8)).layers
    assert c.sources[0].producers == (0, 1)
    assert c.live_bits == 32 * 8 * 8 * (2 + 5 + 1)
    assert (a.stored_bits, b.stored_bits) == (32, 32)


def test_baselines_keep_the_work_and_change_the_precision():
    workload = trace(ResNet20(PS4), images())
    assert all(layer.is_shift for layer in workload.layers if layer.macs)
    for baseline, arithmetic in ((workload.as_float(), "float"), (workload.as_integer(8), "integer")):
        assert baseline.macs == workload.macs
        assert {layer.arithmetic for layer in baseline.layers} == {arithmetic}
    assert trace(ResNet20(), images()).layers[0] == workload.as_float().layers[0]


def test_weight_bytes_pack_shift_weights():
    net = FakeShiftLinear(64, 10, config=PS4)
    assert trace(net, torch.rand(1, 64)).weight_bytes == (64 * 10 * 4 + 10 * 32) // 8


@pytest.mark.parametrize("depth", [0, 7, 20, None])
def test_real_shift_layers_count_like_the_stand_ins(depth):
    config = PS4.model_copy(update={"depth": depth})
    real = trace(convert(create("resnet20", 10), config), images())
    fake = trace(ResNet20(PS4, depth), images())
    assert [strip(layer) for layer in real.layers] == [strip(layer) for layer in fake.layers]
    assert real.weight_bytes == fake.weight_bytes


def strip(layer):
    """A layer without its name."""
    return replace(layer, name="")


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_the_nominal_span_is_that_of_the_grid_as_far_as_float32_can_see(kind, bits):
    assert nominal_span(kind, bits) == min(-grid(kind, bits).lowest, 24)


def test_a_weight_beyond_the_significand_is_lost_in_training():
    """The reason for 24: next to a weight of 1, one of 2^-25 changes no float32 sum."""
    assert torch.tensor(1.0) + torch.tensor(2.0**-25) == 1.0
    assert torch.tensor(1.0) + torch.tensor(2.0**-23) != 1.0


def test_the_used_span_is_that_of_the_widest_channel():
    """Channel 0 spans 2^0 … 2^-3, channel 1 only 2^-5: the offset between channels is no span."""
    layer = ShiftLinear.from_float(nn.Linear(4, 2), PS4.model_copy(update={"kind": "Q", "weight_bits": 5}))
    with torch.no_grad():
        layer.latent.weight.copy_(torch.tensor([[1.0, -0.5, 0.25, 0.125], [2**-5] * 4]))
    (nominal,) = trace(layer, torch.rand(1, 4)).layers
    (used,) = trace(layer, torch.rand(1, 4), used_span=True).layers
    assert nominal.exponent_span == 15
    assert used.exponent_span == 3
    assert used.accumulator_bits == 8 + 3 + 2


def test_a_transposed_shift_convolution_counts_like_a_float_one():
    """Each of 3 × 16 × 16 inputs meets 4 filters of 2 × 2; the channels are those of the output."""
    conv = nn.ConvTranspose2d(3, 4, 2, stride=2, bias=False)
    (layer,) = trace(ShiftConvTranspose2d.from_float(conv, PS4), images(16), used_span=True).layers
    (plain,) = trace(conv, images(16)).layers
    assert layer.is_shift
    assert (layer.macs, layer.fan_in, layer.weights) == (plain.macs, plain.fan_in, plain.weights)
    assert 0 <= layer.exponent_span <= 6


def test_what_the_last_layer_needs_does_not_climb_the_shortcuts():
    """With only the linear layer shifted, at 64 bits, the residual stream of float layers stays at 32."""
    wide = ShiftConfig(weight_bits=8, act_integer_bits=32, act_fraction_bits=32)
    layers = trace(ResNet20(wide, depth=1), images()).layers
    assert {layer.stored_bits for layer in layers if layer.kind == "conv"} == {32}
    *_, add, relu, pool, linear = layers
    assert [layer.stored_bits for layer in (add, relu, pool, linear)] == [64, 64, 64, 64]
    assert add.arithmetic == "float"
    assert not add.stored_float
    assert pool.arithmetic == "integer"


class ByKeyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(input=self.norm(input=self.conv(input=x)).mean((2, 3)))


def test_layers_called_by_keyword_are_counted():
    work = trace(ByKeyword(), images(8))
    assert work.macs == 6 * 6 * 3 * 4 * 9 + 4 * 2
    assert trace(convert(ByKeyword(), ShiftConfig()), images(8)).macs == work.macs
