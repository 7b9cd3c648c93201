"""What is converted, in which order, and what is left with which reason."""

import copy

import pytest
import torch
from torch import nn

import jouleshift as js
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert, convertible_layers, freeze, plan, weight_bytes
from jouleshift.errors import BadInput
from jouleshift.models import create
from jouleshift.nn.layers import ShiftConv2d, ShiftLayer, ShiftLinear


def shift_names(model):
    return [name for name, module in model.named_modules() if isinstance(module, ShiftLayer)]


def weight_layers(model):
    return [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return create("resnet20", 10)


def test_resnet20_has_the_papers_twenty_layers(resnet):
    assert convertible_layers(resnet) == 20
    layers = list(convert(resnet, ShiftConfig()).modules())
    assert sum(isinstance(m, ShiftConv2d) for m in layers) == 19
    assert sum(isinstance(m, ShiftLinear) for m in layers) == 1


@pytest.mark.parametrize("depth", [0, 1, 2, 7, 20])
def test_depth_counts_from_the_output(resnet, depth):
    in_order = weight_layers(resnet)
    assert shift_names(convert(resnet, ShiftConfig(depth=depth))) == in_order[len(in_order) - depth :]


@pytest.mark.parametrize("depth", [0, 1, 5, 19, 20])
def test_reference_depth_counts_convolutions_and_takes_every_linear_layer(depth):
    model = nn.Sequential(nn.Linear(3, 3), *(nn.Conv2d(1, 1, 1) for _ in range(18)), nn.Linear(4, 4))
    names = shift_names(convert(model, ShiftConfig(depth=depth, mode="reference")))
    convolutions = [str(i) for i in range(1, 19)][max(0, 18 - depth) :] if depth else []
    assert names == (["0", *convolutions, "19"] if depth else [])


def test_a_depth_beyond_the_network_is_refused(resnet):
    with pytest.raises(BadInput, match=r"depth 21: the network has 20 convertible layers"):
        convert(resnet, ShiftConfig(depth=21))


def test_the_original_is_untouched_and_shares_nothing(resnet):
    before = copy.deepcopy(resnet.state_dict())
    converted = js.convert(resnet, ShiftConfig(kind="Q", mode="reference"))
    with torch.no_grad():
        for parameter in converted.parameters():
            parameter.add_(1.0)
    converted.train()(torch.randn(2, 3, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in resnet.state_dict().items())
    assert shift_names(resnet) == []


@pytest.mark.parametrize("depth", [1, 7, 20])
def test_depth_from_the_input(resnet, depth):
    converted = convert(resnet, ShiftConfig(depth=depth), count_from="input")
    assert shift_names(converted) == weight_layers(resnet)[:depth]


def test_single_layers_by_name(resnet):
    base = ShiftConfig(weight_bits=4)
    three, eight = ShiftConfig(kind="Q", weight_bits=3), base.model_copy(update={"weight_bits": 8})
    layers = {"first": "float", "last": 8, "layer3.0.*": three, "layer3.*": "float"}
    converted = convert(resnet, base, layers=layers)
    formats = {
        name: module.shift_config
        for name, module in converted.named_modules()
        if isinstance(module, ShiftLayer)
    }
    expected = {name: base for name in weight_layers(resnet) if name.startswith(("layer1", "layer2"))}
    expected |= {"layer3.0.conv1": three, "layer3.0.conv2": three, "linear": eight}
    assert formats == expected


def test_a_format_of_its_own_beats_depth(resnet):
    config = ShiftConfig(depth=1)
    converted = convert(resnet, config, layers={"conv1": config, "linear": "float"})
    assert shift_names(converted) == ["conv1"]


def test_a_name_that_matches_nothing_is_refused(resnet):
    with pytest.raises(BadInput, match=r"layers: 'liner' matches no convertible layer.*'linear'"):
        convert(resnet, ShiftConfig(), layers={"liner": "float"})


def test_inputs_after_a_relu_are_unsigned_in_default_mode_only(resnet):
    for mode, expected in (("default", 19), ("reference", 0)):
        layers = plan(resnet, ShiftConfig(mode=mode))
        assert [layer.name for layer in layers if not layer.unsigned_input][:1] == ["conv1"]
        assert sum(layer.unsigned_input for layer in layers) == expected
        converted = convert(resnet, ShiftConfig(mode=mode))
        signed = [m.input_format.signed for m in converted.modules() if isinstance(m, ShiftLayer)]
        assert signed.count(False) == expected


def test_other_convolutions_are_converted_in_default_mode_only():
    model = nn.ModuleList(
        [nn.Conv1d(1, 1, 1), nn.ConvTranspose2d(1, 1, 1), nn.Conv3d(1, 1, 1), nn.Bilinear(1, 1, 1)]
    )
    assert [layer.converted for layer in plan(model, ShiftConfig())] == [True, True, False, False]
    reasons = {layer.reason for layer in plan(model, ShiftConfig(mode="reference"))[:2]}
    assert reasons == {"DeepShift converts Conv2d and Linear only"}


@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("mode", ["default", "reference"])
@pytest.mark.parametrize("rounding", ["deterministic", "stochastic"])
@pytest.mark.parametrize("bits", [2, 5])
def test_freezing_keeps_the_output_and_stops_the_weights(kind, mode, rounding, bits):
    torch.manual_seed(0)
    config = ShiftConfig(kind=kind, mode=mode, weight_bits=bits, rounding=rounding)
    model = convert(create("tiny", 10), config).eval()
    images = torch.randn(4, 3, 8, 8)
    torch.manual_seed(0)
    before = model(images)
    torch.manual_seed(0)
    freeze(model)
    assert torch.equal(model(images), before)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    weights = [m.quantised_weight().clone() for m in model.modules() if isinstance(m, ShiftLayer)]
    scale = model.features[1].weight.clone()
    model(images).square().mean().backward()
    optimizer.step()
    after = [m.quantised_weight() for m in model.modules() if isinstance(m, ShiftLayer)]
    assert all(torch.equal(old, new) for old, new in zip(weights, after, strict=True))
    assert not torch.equal(model.features[1].weight, scale)


class OwnForward(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.tied = nn.Linear(4, 5, bias=False)
        self.tied.weight = self.embedding.weight
        self.own = OwnForward(4, 4)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.attention = nn.MultiheadAttention(4, 2)
        self.once = nn.Linear(4, 4)
        self.again = self.once


def test_what_is_left_and_why():
    layers = {layer.name: layer for layer in plan(Odd(), ShiftConfig())}
    assert layers["once"].converted
    reasons = {name: layer.reason for name, layer in layers.items() if not layer.converted}
    assert reasons["tied"] == "its weight is shared with another layer"
    assert reasons["own"] == "has a forward pass of its own"
    assert reasons["normed"] == "its weight is recomputed by a hook"
    assert reasons["attention.out_proj"] == "attention reads its weight itself"
    assert reasons["embedding"] == reasons["attention"] == "no shift layer for this type"


class SameForward(nn.Linear):
    """As timm's Linear: a forward pass of its own that does the same."""

    def forward(self, x):
        if torch.jit.is_scripting():
            return nn.functional.linear(x, self.weight.to(x.dtype), self.bias)
        return nn.functional.linear(x, self.weight, self.bias)


class OtherInTraining(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2 if self.training else super().forward(x)


def test_a_subclass_counts_as_its_base_where_it_does_the_same_in_training_and_evaluation():
    model = nn.Sequential(SameForward(4, 4), OtherInTraining(4, 4), nn.Linear(4, 4)).eval()
    assert [layer.converted for layer in plan(model, ShiftConfig())] == [True, False, True]
    assert not model.training
    converted = convert(model, ShiftConfig(weight_bits=8, act_integer_bits=8, act_fraction_bits=16))
    assert isinstance(converted[0], ShiftLinear)
    plain = nn.Sequential(nn.Linear(4, 4), *model[1:])
    plain.load_state_dict(model.state_dict())
    images = torch.randn(3, 4)
    same = convert(plain, ShiftConfig(weight_bits=8, act_integer_bits=8, act_fraction_bits=16))
    assert torch.equal(converted(images), same(images))


def test_a_layer_used_twice_stays_one_layer():
    converted = convert(Odd(), ShiftConfig())
    assert isinstance(converted.once, ShiftLinear)
    assert converted.again is converted.once


class OwnAttention(nn.Module):
    """Reads its projection's weight, in `inner` only after a decision that cannot be traced."""

    def __init__(self, inner=None):
        super().__init__()
        self.qkv, self.out, self.inner = nn.Linear(4, 4), nn.Linear(4, 4), inner

    def forward(self, x):
        if self.inner is None and x.sum() > 0:
            x = x + 1
        x = self.out(nn.functional.linear(x, self.qkv.weight, self.qkv.bias))
        return x if self.inner is None else self.inner(x)


@pytest.mark.parametrize("training", [True, False])
def test_layers_whose_weight_is_read_past_them_are_left(training):
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1)
    model = nn.Sequential(OwnAttention(OwnAttention()), encoder, nn.Linear(4, 2)).train(training)
    layers = {layer.name: layer for layer in plan(model, ShiftConfig())}
    read = {name for name, layer in layers.items() if layer.reason == "its weight is read past the layer"}
    assert read == {"0.qkv", "0.inner.qkv", "1.layers.0.linear1", "1.layers.0.linear2"}
    assert {name for name, layer in layers.items() if layer.converted} == {"0.out", "0.inner.out", "2"}
    assert convertible_layers(model) == 3
    with torch.no_grad():
        assert convert(model, ShiftConfig()).eval()(torch.randn(2, 3, 4)).shape == (2, 3, 2)


class Caching(nn.Module):
    """As LevIT's attention: keeps what it computed for the next call."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale, self.cache = nn.Linear(4, 4), nn.Parameter(torch.ones(())), {}

    def forward(self, x):
        self.cache["scale"] = self.scale * 2
        return self.layer(x) * self.cache["scale"]


def test_looking_at_a_network_leaves_no_symbols_in_it():
    model = Caching()
    assert convertible_layers(model) == 1
    assert convert(model, ShiftConfig())(torch.ones(1, 4)).shape == (1, 4)
    assert model.cache == {}


def test_a_network_that_is_one_layer():
    assert isinstance(convert(nn.Linear(3, 2), ShiftConfig()), ShiftLinear)


def test_weight_bytes_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(5, 1))
    assert weight_bytes(model) == 4 * (27 + 5), "no biases, no batch norm"
    for kind in ("Q", "PS"):
        converted = convert(model, ShiftConfig(kind=kind, weight_bits=3))
        assert weight_bytes(converted) == (27 * 3 + 7) // 8 + 2
        last = convert(model, ShiftConfig(kind=kind, weight_bits=3, depth=1))
        assert weight_bytes(last) == 2 + 4 * 27


@pytest.mark.parametrize("kind", ["Q", "PS"])
@pytest.mark.parametrize("mode", ["default", "reference"])
def test_saved_and_loaded_gives_the_same_output(resnet, kind, mode):
    config = ShiftConfig(kind=kind, weight_bits=4, mode=mode)
    trained = convert(resnet, config)
    optimizer = torch.optim.SGD(trained.parameters(), 0.1)
    trained(torch.randn(4, 3, 16, 16)).square().mean().backward()
    optimizer.step()
    loaded = convert(create("resnet20", 10), config)
    loaded.load_state_dict(trained.state_dict())
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(loaded.eval()(images), trained.eval()(images))
