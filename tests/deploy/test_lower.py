"""Lowering: the program's integers are training's integers, sums cannot overflow, and what cannot be done
exactly is refused by name."""

import copy
import operator
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jouleshift import models
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.deploy import nodes as p
from jouleshift.deploy.artefact import export
from jouleshift.deploy.lower import lower, obstacle
from jouleshift.deploy.reference import execute
from jouleshift.errors import BadInput
from jouleshift.nn.layers import ShiftLayer
from tests.deploy.networks import EIGHT_BITS, Chain, Everything, PreActivation, images, shifted


def simulated(model: nn.Module, batch: Tensor) -> np.ndarray:
    with torch.no_grad():
        return model(batch).numpy()


def exact_norms(model: nn.Module) -> nn.Module:
    """Norms whose factors are powers of two and whose offsets multiples of a quarter: training's float32 then
    rounds nothing that the program does not round."""
    with torch.no_grad():
        for index, norm in enumerate(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            generator = torch.Generator().manual_seed(index)
            power = torch.randint(-2, 1, norm.weight.shape, generator=generator)
            sign = torch.where(torch.arange(len(power)) % 3 == 0, -1.0, 1.0)
            norm.running_var.fill_(1 - norm.eps)
            norm.running_mean.zero_()
            norm.weight.copy_(torch.ldexp(sign, power))
            norm.bias.copy_(torch.randint(-4, 4, norm.bias.shape, generator=generator) / 4)
        model.head.bias.copy_(torch.tensor([0.0, 0.5, -0.25, 1.0, 0.25]))
    return model.eval()


FORMATS = [
    ShiftConfig(kind=kind, weight_bits=bits, act_integer_bits=i, act_fraction_bits=f)
    for kind, bits, i, f in [
        ("PS", 2, 3, 5), ("PS", 4, 3, 5), ("PS", 5, 2, 2), ("Q", 2, 3, 5), ("Q", 4, 4, 8), ("Q", 3, 2, 1)
    ]
]  # fmt: skip


@pytest.mark.parametrize("config", FORMATS, ids=str)
def test_training_and_program_agree_on_every_bit(config):
    torch.manual_seed(0)
    model = exact_norms(convert(Chain(), config))
    batch = images(32)
    np.testing.assert_array_equal(lower(model, batch).run(batch.numpy()), simulated(model, batch))


def test_every_integer_between_layers_is_trainings():
    """Not only the logits: what each shift layer reads is what its simulation rounds."""
    torch.manual_seed(0)
    model, batch = exact_norms(convert(Chain(), EIGHT_BITS)), images(8)
    program = lower(model, batch)
    values = dict(execute(program, batch.numpy()))
    read = {node.layer: values[node.source] for node in program.all(p.ShiftLayer)}
    seen: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, ShiftLayer):
            module.register_forward_hook(
                lambda m, args, out, name=name: seen.update({name: m.quantise_input(args[0])})
            )
    simulated(model, batch)
    assert set(read) == set(seen) and len(read) == 4
    for name, integers in read.items():
        np.testing.assert_array_equal(integers, (seen[name] * 2**5).numpy(), err_msg=name)


def test_a_program_of_everything_is_close_to_the_network():
    """Residual sums are not rounded in training, so here the logits differ by a few steps of 2^−5."""
    model, batch = shifted(Everything()), images(64)
    program = lower(model, batch)
    logits, wanted = program.run(batch.numpy()), simulated(model, batch)
    assert program.all_integer
    assert np.abs(logits - wanted).max() < 0.35 * wanted.std()
    assert (logits.argmax(1) == wanted.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("config", FORMATS, ids=str)
def test_finer_activations_come_closer(config):
    model, batch = shifted(Everything(), config), images(16)
    wide = config.model_copy(update={"act_integer_bits": 6, "act_fraction_bits": 12})
    fine = shifted(Everything(), wide)
    coarse_error, fine_error = (
        np.abs(lower(m, batch).run(batch.numpy()) - simulated(m, batch)).max() for m in (model, fine)
    )
    assert fine_error < 1e-3 <= coarse_error


class _Clamped(nn.Module):
    def __init__(self, clamp) -> None:
        super().__init__()
        self.clamp = clamp

    def forward(self, x: Tensor) -> Tensor:
        return self.clamp(x)


CLAMPS = {
    "hardtanh": nn.Hardtanh(0, 2),
    "hardtanh of both signs": nn.Hardtanh(),
    "limits off the grid": nn.Hardtanh(-0.71, 1.37),
    "a limit between two steps": nn.Hardtanh(0, 1 + 3 / 64),
    "clamp": lambda x: torch.clamp(x, 0, 1.5),
    "method": lambda x: x.clamp(min=0.0, max=3),
    "above only": lambda x: x.clamp(max=0.9),
    "below only": lambda x: x.clamp_min(-0.3),
    "functional": lambda x: F.hardtanh(x, 0, 2.7),
}


@pytest.mark.parametrize("case", CLAMPS)
def test_clamps_are_trainings_on_every_bit(case):
    torch.manual_seed(0)
    chain = Chain()
    chain.layers[2], chain.layers[5] = _Clamped(CLAMPS[case]), _Clamped(CLAMPS[case])
    model, batch = exact_norms(convert(chain, EIGHT_BITS)), images(32)
    program = lower(model, batch)
    unsigned = [layer.unsigned_input for layer in model.modules() if isinstance(layer, ShiftLayer)]
    reads = [not program.values[node.source].fixed.signed for node in program.all(p.ShiftLayer)]
    assert unsigned == reads and not program.all(p.Clamp)
    np.testing.assert_array_equal(program.run(batch.numpy()), simulated(model, batch))


def clamped_chain(clamp, config=EIGHT_BITS):
    """Activations that reach beyond 6, clamped behind the first and the second layer."""
    torch.manual_seed(0)
    chain = Chain()
    chain.layers[2], chain.layers[5] = _Clamped(clamp), _Clamped(clamp)
    model = exact_norms(convert(chain, config))
    with torch.no_grad():
        model.layers[1].weight.mul_(8)
        model.layers[4].weight.mul_(4)
    return model


@pytest.mark.parametrize("limit", [6, 4, 7.9])
def test_a_limit_in_the_upper_half_of_a_byte_is_its_end(limit):
    """What layers read are 255ths of the limit, and no clip is needed."""
    model, batch = clamped_chain(nn.Hardtanh(0, limit)), images(8)
    program = lower(model, batch)
    values = dict(execute(program, batch.numpy()))
    first, second, third, _ = program.all(p.ShiftLayer)
    assert [(layer.lowest, layer.highest) for layer in (first, second)] == [(0, 255)] * 2
    for layer in model.modules():
        if isinstance(layer, ShiftLayer) and layer.unsigned_input:
            layer.quantise_input = lambda x: torch.round(x * (255 / limit)) * (limit / 255)
    with torch.no_grad():
        clamped = [model.layers[:3](batch), model.layers[:6](batch)]
    for node, wanted in zip((second, third), clamped, strict=True):
        read, exact = values[node.source], wanted.numpy() * (255 / limit)
        assert np.abs(read - exact).max() < 0.51 and (read == 255).any() and len(np.unique(read)) > 50
    assert np.abs(program.run(batch.numpy()) - simulated(model, batch)).max() < 0.05


NOT_STRETCHED = {
    "in the lower half": (nn.Hardtanh(0, 3.9), EIGHT_BITS),
    "at the end": (nn.Hardtanh(0, 8 - 1 / 32), EIGHT_BITS),
    "of both signs": (nn.Hardtanh(-2.5, 2.5), EIGHT_BITS),
    "no byte": (nn.ReLU6(), EIGHT_BITS.model_copy(update={"act_fraction_bits": 4})),
    "wider": (nn.ReLU6(), EIGHT_BITS.model_copy(update={"act_fraction_bits": 9})),
}


@pytest.mark.parametrize("case", NOT_STRETCHED)
def test_other_limits_are_trainings_on_every_bit(case):
    model, batch = clamped_chain(*NOT_STRETCHED[case]), images(32)
    np.testing.assert_array_equal(lower(model, batch).run(batch.numpy()), simulated(model, batch))


class _ReadBeside(nn.Module):
    """A ReLU6 between two layers, and one more who may read it, too."""

    def __init__(self, beside) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.last, self.beside = nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), beside

    def forward(self, x: Tensor) -> Tensor:
        return self.beside(self, F.relu6(self.first(x))).flatten(1)


BESIDE = {
    "no one": (lambda net, y: net.second(y), 255),
    "another layer": (lambda net, y: net.second(y) + net.last(y), 255),
    "a sum": (lambda net, y: net.last(net.second(y) + y), 192),
    "a pool": (lambda net, y: net.second(y)[:, :, ::2, ::2] + net.last(net.pool(y)), 192),
    "the caller": (lambda net, y: (net.second(y), y)[1], None),
}


@pytest.mark.parametrize("case", BESIDE)
def test_only_layers_read_what_is_stretched(case):
    beside, highest = BESIDE[case]
    model, batch = shifted(_ReadBeside(beside)), images(16)
    program = lower(model, batch)
    first = program.all(p.ShiftLayer)[0]
    assert highest is None or first.highest == highest
    wanted = simulated(model, batch)
    assert np.abs(program.run(batch.numpy()) - wanted).max() < 0.1 * wanted.std()


@pytest.mark.parametrize("highest", [0.3, 0.75])
def test_a_clamp_at_the_end_is_exact(highest):
    """Logits are not rounded in training, so their format must hold the limit."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4, bias=False), nn.Hardtanh(-highest, highest))
    model, batch = convert(network, EIGHT_BITS).eval(), images(32)
    program = lower(model, batch)
    np.testing.assert_allclose(program.run(batch.numpy()), simulated(model, batch), rtol=0, atol=1e-6)
    assert (program.output.format is None) == (highest == 0.3)


class _Sum(nn.Module):
    def __init__(self, out: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, out, 3, padding=1, bias=True)
        self.last = nn.Conv2d(out, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.conv(x))).flatten(1)


def test_bounds_are_reached_and_never_exceeded():
    model = shifted(_Sum())
    layer = lower(model, images(4)).all(p.ShiftLayer)[0]
    integers = layer.weights.integers.reshape(6, -1)
    lowest, highest = -128, 127
    worst_high = np.maximum(integers, 0).sum(1) * highest + np.minimum(integers, 0).sum(1) * lowest
    worst_low = np.maximum(integers, 0).sum(1) * lowest + np.minimum(integers, 0).sum(1) * highest
    assert layer.largest == (worst_high + np.maximum(layer.bias, 0)).max()
    assert layer.smallest == (worst_low + np.minimum(layer.bias, 0)).min()
    assert layer.accumulator_bits == 32


def test_wide_formats_get_wide_accumulators():
    model = shifted(_Sum(), ShiftConfig(kind="Q", weight_bits=5, act_integer_bits=16, act_fraction_bits=16))
    layers = lower(model, images(4)).all(p.ShiftLayer)
    assert {layer.accumulator_bits for layer in layers} == {64}
    assert all(max(-layer.smallest, layer.largest) > 1 << 24 for layer in layers)


def test_the_papers_default_format_is_as_fine_as_its_simulation():
    """16 + 16 bits: biases of far more than 31 bits are part of sums of 64."""
    default = ShiftConfig()
    for model in (shifted(Chain(), default), shifted(Everything(), default)):
        wanted = simulated(model, images(16))
        assert np.abs(lower(model, images(16)).run(images(16).numpy()) - wanted).max() < 1e-4


SKIPS = {
    "a sum": lambda: None,
    "a layer without ReLU": lambda: nn.Conv2d(8, 8, 1),
    "a pool": lambda: nn.MaxPool2d(3, 1, 1),
}


@pytest.mark.parametrize("skip", SKIPS)
def test_a_relu_takes_no_negatives_from_who_else_reads(skip):
    model, batch = shifted(PreActivation(SKIPS[skip]())), images(64)
    program = lower(model, batch)
    logits, wanted = program.run(batch.numpy()), simulated(model, batch)
    assert np.abs(logits - wanted).max() < 0.2 * wanted.std()
    assert (logits.argmax(1) == wanted.argmax(1)).mean() > 0.9


class _Order(nn.Module):
    """`between` makes the head's input of the first layer's result."""

    def __init__(self, between) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(192, 5)
        self.relu = nn.ReLU(inplace=True)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self, self.first(x)).flatten(1))


def _statement(write):
    def between(net: _Order, x: Tensor) -> Tensor:
        write(net, x)
        return x

    return between


IN_PLACE = {
    "module, read afterwards": lambda net, x: net.second(net.relu(x)) + x,
    "module, read before": lambda net, x: net.second(x) + net.relu(x),
    "module": _statement(lambda net, x: net.relu(x)),
    "function": _statement(lambda net, x: F.relu(x, inplace=True)),
    "function, by position": _statement(lambda net, x: F.hardtanh(x, 0, 0.2, True)),
    "clamp": _statement(lambda net, x: x.clamp_(min=0)),
    "sum": _statement(lambda net, x: x.add_(F.relu(net.second(x)))),
    "sum by operator": _statement(lambda net, x: operator.iadd(x, net.second(x))),
    "of the same value": lambda net, x: net.second(net.relu(F.dropout(x, training=False))) + x,
    "of a copy": lambda net, x: net.second(net.relu(x.clone())) + x,
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_after_a_call_in_place_all_read_its_result(case):
    model, batch = shifted(_Order(IN_PLACE[case])), images(64)
    logits, wanted = lower(model, batch).run(batch.numpy()), simulated(model, batch.clone())
    assert np.abs(logits - wanted).max() < 0.2 * wanted.std()


def test_operands_given_by_name_are_operands():
    def between(net: _Order, x: Tensor) -> Tensor:
        return torch.add(input=net.second(input=F.relu(input=x)), other=x)

    model, batch = shifted(_Order(between)), images(64)
    logits, wanted = lower(model, batch).run(batch.numpy()), simulated(model, batch)
    assert np.abs(logits - wanted).max() < 0.2 * wanted.std()


@pytest.mark.parametrize(
    "view", [lambda x: x[:, :, ::2, ::2], lambda x: x.flatten(1), lambda x: x.contiguous()]
)
def test_who_reads_another_view_of_what_is_written_in_place_is_refused(view):
    def write(net: _Order, x: Tensor) -> Tensor:
        net.relu(view(x))
        return net.second(x)

    message = r"relu \(ReLU\): it works in place, and first, read later.*without inplace"
    with pytest.raises(BadInput, match=message):
        lower(convert(_Order(write), EIGHT_BITS), images(2))
    assert re.search(message, obstacle(_Order(write), (3, 8, 8)))


def test_a_network_that_writes_into_its_images_is_given_a_copy():
    batch = images(4)
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1), nn.Flatten())
    lower(convert(network, EIGHT_BITS), batch)
    assert torch.equal(batch, images(4))


def test_a_relu_reads_16_and_16_bits_beside_a_sum():
    """33 bits hold both what the ReLU keeps and the negatives."""
    for skip in (None, nn.Conv2d(8, 8, 1)):
        model = shifted(PreActivation(skip), ShiftConfig())
        wanted = simulated(model, images(16))
        assert np.abs(lower(model, images(16)).run(images(16).numpy()) - wanted).max() < 1e-4


def test_what_relus_alone_read_keeps_no_sign():
    """The negatives of a pool before a ReLU are nobody's: a byte is enough."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Flatten())
    program = lower(shifted(network), images(4))
    assert {p.container_bits(node.output.fixed) for node in program.nodes[:-2]} == {8}


def test_readers_whom_no_format_suits_are_refused():
    wide = ShiftConfig(act_integer_bits=28, act_fraction_bits=2)
    fine = ShiftConfig(act_integer_bits=2, act_fraction_bits=28)
    model = shifted(PreActivation(nn.Conv2d(8, 8, 1)), wide, layers={"skip": fine})
    with pytest.raises(BadInput, match=r"stem.*no 53 bits.*fewer bits"):
        lower(model, images(4))


def test_used_span_counts_not_the_nominal():
    """A layer of 5-bit weights whose values lie within seven octaves fits int8."""
    model = shifted(_Sum(), ShiftConfig(kind="Q", weight_bits=5, act_integer_bits=3, act_fraction_bits=5))
    with torch.no_grad():
        weight = model.conv.latent.weight
        smallest = weight.abs().flatten(1).amax(1) / 64
        weight.copy_(torch.where(weight < 0, -1, 1) * torch.maximum(weight.abs(), smallest.view(-1, 1, 1, 1)))
    layer = lower(model, images(4)).all(p.ShiftLayer)[0]
    assert 5 <= layer.weights.span <= 6 and layer.fits_int8


def test_negative_factors_flip_signs():
    model = shifted(Chain())
    layer = lower(model, images(4)).all(p.ShiftLayer)[0]
    signs = model.layers[0].integer_weight().signs.numpy()
    np.testing.assert_array_equal(layer.weights.signs[::3], -signs[::3])
    np.testing.assert_array_equal(layer.weights.signs[1::3], signs[1::3])
    assert (layer.multiplier > 0).all()


@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_channels_that_are_switched_off_are_their_offset(kind):
    model, batch = shifted(Chain(), EIGHT_BITS.model_copy(update={"kind": kind})), images(8)
    with torch.no_grad():
        model.layers[1].weight[:4] = 0
        model.layers[1].bias[:4] = torch.tensor([0.0, 0.5, 3.0, -2.0])
    program = lower(model, batch)
    first = program.all(p.ShiftLayer)[0]
    made = dict(execute(program, batch.numpy()))[first.output.name]
    for channel, wanted in enumerate([0, 16, 96, 0]):
        assert (made[:, channel] == wanted).all()


def test_layers_kept_in_float_stay_float():
    model, batch = shifted(Everything(), layers={"stem.0": "float", "head": "float"}), images(16)
    program = lower(model, batch)
    assert {node.layer for node in program.all(p.FloatLayer)} >= {"stem.0", "head"}
    assert not program.all_integer
    np.testing.assert_allclose(program.run(batch.numpy()), simulated(model, batch), atol=0.3)


def test_shallow_depths_convert_the_end_only():
    model = shifted(Everything(), EIGHT_BITS.model_copy(update={"depth": 2}))
    program = lower(model, images(16))
    assert [node.layer for node in program.all(p.ShiftLayer)] == ["down.0", "head"]
    np.testing.assert_allclose(program.run(images(16).numpy()), simulated(model, images(16)), atol=0.15)


def test_mixed_precision_rounds_once_more_where_readers_differ():
    six = ShiftConfig(weight_bits=4, act_integer_bits=2, act_fraction_bits=4)
    model = shifted(Everything(), layers={"left.0": six})
    program = lower(model, images(16))
    assert len(program.all(p.Requantise)) == 1 and program.notes
    wanted = simulated(model, images(16))
    assert np.abs(program.run(images(16).numpy()) - wanted).max() < 0.5 * wanted.std()


def test_real_images_choose_the_format_of_sums():
    """With nothing to go by, the operand of a sum gets the sum's format less a bit for the sign."""
    model = shifted(Everything())
    with_images = next(v for n, v in lower(model, images(64)).values.items() if n == "left_0").fixed
    without = next(v for n, v in lower(model, torch.zeros(1, 3, 8, 8)).values.items() if n == "left_0").fixed
    assert without.fraction_bits == 4 and without.integer_bits + without.fraction_bits == 8
    assert with_images.integer_bits + with_images.fraction_bits == 8


def test_the_network_stays_as_it_is():
    model = shifted(Everything()).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lower(model, images(4))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_lowering_repeats_itself():
    model, batch = shifted(Everything()), images(16)
    first, second = lower(model, batch), lower(model, batch)
    for one, other in zip(first.all(p.ShiftLayer), second.all(p.ShiftLayer), strict=True):
        np.testing.assert_array_equal(one.bias, other.bias)
        np.testing.assert_array_equal(one.multiplier, other.multiplier)
    assert first.values == second.values


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "resnet20",
        "mobilenetv2",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("googlenet", "vgg11")),
    ],
)
def test_our_networks_become_integers(name):
    torch.manual_seed(0)
    model = convert(models.create(name, 5), EIGHT_BITS).train()
    with torch.no_grad():
        model(images(8, size=32))
    program = lower(model.eval(), images(2, size=32))
    assert program.all_integer
    assert all(layer.fits_int8 for layer in program.all(p.ShiftLayer))
    containers = {p.container_bits(v.fixed) for n, v in list(program.values.items())[1:-1]}
    assert containers == {8}, "8-bit activations need nothing wider anywhere"


class _Does(nn.Module):
    """A convolution and something that may not be deployable."""

    def __init__(self, what, **conv: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, **conv)
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        return self.what(self.conv(x))


class _Scaled(nn.Module):
    """Multiplies by a parameter, as squeeze-and-excitation and scales of layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _ChannelsLast(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


REFUSALS = [
    (lambda: _Does(torch.erf), "erf.*no rule.*deploy can do"),
    (lambda: _Does(nn.Hardswish()), r"what \(Hardswish\).*ReLU or ReLU6 before training"),
    (lambda: _Does(torch.sigmoid), "sigmoid.*without squeeze-and-excitation"),
    (lambda: _Does(lambda x: F.silu(x)), "silu.*ReLU or ReLU6 before training"),
    (lambda: _Does(nn.GroupNorm(2, 4)), r"what \(GroupNorm\).*BatchNorm2d before training"),
    (lambda: _Does(nn.Sequential(_Scaled())), r"mul in what\.0 \(_Scaled\).*without squeeze-and-excitation"),
    (lambda: _Does(_ChannelsLast(4)), r"permute in what \(_ChannelsLast\).*BatchNorm2d before training"),
    (lambda: _Does(nn.ConvTranspose2d(4, 4, 2)), r"what \(ShiftConvTranspose2d\).*enlarges"),
    (lambda: _Does(lambda x: x.view(x.size(0), 2, 16, 8)), r"view.*flatten whole images: x\.flatten"),
    (lambda: _Does(lambda x: x.chunk(2, 1)[0]), "chunk.*without splits"),
    (lambda: _Does(lambda x: x + 1), "operand 1.*constant.*bias"),
    (lambda: _Does(lambda x: F.avg_pool2d(x, (x.dim() - 2, 2))), "avg_pool2d.*no rule"),
    (lambda: _Does(nn.Hardtanh(1, 2)), "Hardtanh.*enclose zero"),
    (lambda: _Does(lambda x: x * 2), "mul"),
    (lambda: _Does(lambda x: x[:, 1:]), "slice"),
    (lambda: _Does(lambda x: x.flatten(1) if x.sum() > 0 else x), "cannot be traced.*control flow"),
    (lambda: _Does(nn.AvgPool2d(3, 1, 1, count_include_pad=False)), "padding as zeros"),
    (lambda: _Does(nn.AvgPool2d(2, divisor_override=1)), "divides by another"),
    (lambda: _Does(lambda x: F.avg_pool2d(x, 2, divisor_override=1)), "avg_pool2d.*divides by another"),
    (lambda: _Does(lambda x: F.avg_pool2d(x, 2, 2, 0, False, True, 1)), "it divides by another number"),
    (lambda: _Does(nn.AdaptiveAvgPool2d(3)), "equal windows.*multiples of"),
    (lambda: _Does(nn.Identity(), padding_mode="reflect"), "conv.*padding mode"),
    (lambda: nn.Sequential(nn.Linear(8, 8)), "0.*more than one axis"),
    (lambda: _Does(lambda x: (x, x)), "not one tensor"),
    (lambda: _Does(nn.BatchNorm2d(4, track_running_stats=False)), "running statistics"),
    (lambda: _Does(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256))), r"what\.1: a batch norm of a vector"),
]


@pytest.mark.parametrize(("build", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_cannot_be_exact_is_refused_by_name(build, message):
    with pytest.raises(BadInput, match=f"cannot deploy.*{message}"):
        lower(convert(build(), EIGHT_BITS), images(2))


@pytest.mark.parametrize(("build", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_will_be_refused_is_known_before_training(build, message):
    message = message.replace("Shift", "")
    network = build()
    assert re.search(message, obstacle(network, (3, 8, 8))) and network.training


def test_before_training_nothing_is_said_of_networks_that_can_be_deployed():
    assert obstacle(models.create("resnet20", 10, 3), (3, 32, 32)) == ""
    assert "mode 'reference'" in obstacle(Chain(), (3, 8, 8), "reference")


WRONG_IMAGES = [
    (lambda good: good.repeat(1, 3, 1, 1), "9×8×8"),
    (lambda good: good[0], r"\(3, 8, 8\): expected one or more images"),
    (lambda good: good[:0], "one or more images"),
    (lambda good: (255 * good).to(torch.uint8), "is uint8: expected floats"),
    (lambda good: good * float("nan"), "not finite"),
    (lambda good: good.numpy(), "is a ndarray: expected a torch.Tensor"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG_IMAGES)
def test_images_that_no_network_can_take_are_refused(spoil, message, tmp_path):
    model, good = shifted(Chain(), EIGHT_BITS), images(2)
    with pytest.raises(BadInput, match=message):
        lower(model, spoil(good))
    with pytest.raises(BadInput, match=message):
        export(lower(model, good), tmp_path / "own" / "model.safetensors", spoil(good))
    assert not (tmp_path / "own").exists()


def test_images_of_another_kind_of_float_are_as_good():
    model, good = shifted(Chain(), EIGHT_BITS), images(2)
    np.testing.assert_array_equal(lower(model, good.double()).run(good), lower(model, good).run(good.numpy()))


def test_a_program_refuses_images_of_another_shape():
    program = lower(shifted(Chain(), EIGHT_BITS), images(2))
    with pytest.raises(BadInput, match=r"expected N×3×\d+×\d+"):
        program.run(images(2)[:, :1].numpy())


def test_floats_are_refused():
    with pytest.raises(BadInput, match="convert it first"):
        lower(Chain(), images(2))
    with pytest.raises(BadInput, match=r"layers\.0.*mode 'default'"):
        lower(convert(Chain(), EIGHT_BITS.model_copy(update={"mode": "reference"})), images(2))


def test_weights_that_are_not_numbers_are_refused():
    model = shifted(Chain(), EIGHT_BITS.model_copy(update={"kind": "Q"}))
    with torch.no_grad():
        model.layers[0].latent.weight[0] = float("nan")
    with pytest.raises(
        BadInput, match=r"cannot deploy layers\.0: weights that are NaN.*load weights that are whole"
    ):
        lower(model, images(2))


UNREAL = {
    "layers.1.running_mean": (float("nan"), r"layers\.0: the running_mean of its batch norm has NaN"),
    "layers.1.running_var": (-1.0, r"layers\.0: the running_var of its batch norm is not positive"),
    "layers.4.bias": (float("inf"), r"layers\.3: the bias of its batch norm has NaN or infinite"),
    "layers.0.weight": (float("nan"), r"layers\.0: the weight has NaN"),
    "head.bias": (float("nan"), r"head: the bias has NaN or infinite values.*weights that are whole"),
}


@pytest.mark.parametrize("name", UNREAL)
def test_numbers_that_are_none_are_named(name):
    number, message = UNREAL[name]
    model = shifted(Chain(), layers={"layers.0": "float"})
    with torch.no_grad():
        model.get_submodule(name.rpartition(".")[0]).__getattr__(name.rpartition(".")[2])[0] = number
    with pytest.raises(BadInput, match=message):
        lower(model, images(2))


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_networks_of_another_kind_of_float_become_float32(kind):
    model, batch = shifted(Chain()).to(kind), images(8)
    wanted = lower(copy.deepcopy(model).float(), batch).run(batch.numpy())
    np.testing.assert_array_equal(lower(model, batch).run(batch.numpy()), wanted)
    assert model.head.bias.dtype == kind
    assert obstacle(Chain().to(kind), (3, 8, 8)) == ""


def test_sums_beyond_63_bits_are_refused():
    model = shifted(_Sum(), ShiftConfig(kind="Q", weight_bits=8, act_integer_bits=8, act_fraction_bits=24))
    with torch.no_grad():
        model.conv.latent.weight[0, 0, 0, 0] = 2.0**-50
    with pytest.raises(BadInput, match=r"conv.*63 bits.*fewer bits"):
        lower(model, images(2))


def test_a_layer_used_twice_is_two_nodes():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.relu(self.conv(x))).flatten(1)

    program = lower(shifted(Twice()), images(4))
    assert [node.layer for node in program.all(p.ShiftLayer)] == ["conv", "conv"]
    first, second = program.all(p.ShiftLayer)
    np.testing.assert_array_equal(first.weights.signs, second.weights.signs)


def test_what_a_sum_reads_fills_its_byte():
    """Training does not round shortcuts; in the 4 bits of the layers beside them they lose accuracy."""
    narrow = ShiftConfig(weight_bits=4, act_integer_bits=2, act_fraction_bits=2)
    program = lower(shifted(Everything(), narrow), images(16))
    operands = [program.values[name].fixed for node in program.all(p.Add) for name in node.sources]
    assert len(operands) == 4
    assert {fmt.integer_bits + fmt.fraction_bits for fmt in operands} == {8}
