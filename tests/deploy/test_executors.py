"""The contract of executors: every integer of every program equals the oracle's. One suite for all."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto

from jouleshift import models
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.data import sources
from jouleshift.data.batches import evaluation_batches, prepare, training_batches
from jouleshift.deploy import bounds
from jouleshift.deploy import nodes as p
from jouleshift.deploy.c import write_c
from jouleshift.deploy.c.build import build, executor
from jouleshift.deploy.lower import lower
from jouleshift.deploy.onnx import to_onnx, write_onnx
from jouleshift.deploy.onnx_reader import read_onnx
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.quantiser import attainable
from jouleshift.deploy.runtime import Run, candidates, choose, load
from jouleshift.deploy.storage import save_program
from jouleshift.deploy.torch_module import write_exported
from jouleshift.errors import BadInput
from tests.deploy import networks
from tests.deploy.programs import PROGRAMS, S8, SAME, SANITIZED, TYPICAL, U8, Builder


def from_file(write: Callable[[IntegerProgram, Path], object], suffix: str, program: IntegerProgram) -> Run:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"network{suffix}"
        write(program, path)
        return load(path, "torch")


def compiled(program: IntegerProgram) -> Run:
    """The C program, its sanitizers on."""
    folder = TemporaryDirectory()
    binary = build(write_c(program, Path(folder.name)).source, SANITIZED)

    def run(images: np.ndarray) -> np.ndarray:
        assert folder
        return executor(binary, program)(images)

    return run


EXECUTORS: dict[str, Callable[[IntegerProgram], Run]] = {
    "onnxruntime": lambda program: load(program, "onnxruntime", threads=1),
    "openvino": lambda program: load(program, "openvino", threads=1),
    "torch": lambda program: load(program, "torch"),
    "safetensors": partial(from_file, save_program, ".safetensors"),
    "torch.export": partial(from_file, write_exported, ".pt2"),
    "c": compiled,
}
"""Whatever runs a program, by name. An executor that joins adds a line here."""
BUILT = ("torch.export", "c")
"""Those that take a second to build: what is no typical case of theirs is slow."""

WIDE = {
    *("layer 16 bits, wide sums", "layer 32 bits", "layer 32 bits, unsigned", "layer 32 bits, span 24"),
    *("layer 32 bits, float result", "layer 44 bits", "wide, 32 bits", "wide, 36 bits"),
    *("wide, unsigned and narrow", "moved s44", "means s32 s16", "converted s44 s12", "converted s12 s32"),
    *("clamped s32", "sum s32 u8", "sum s32 s32", "sum far steps"),
}
"""Programs that need wider numbers than OpenVINO has."""
REFUSED = {"openvino": WIDE}

PAPERS_DEFAULT = ShiftConfig()
"""PS, 5 bits, activations of 16 + 16."""


def case(executor: str, *others: str) -> Any:
    """A test's parameters: an executor, and the name of a program where there is one."""
    marks = [pytest.mark.slow] if executor in BUILT and not set(others) & TYPICAL else []
    if executor == "c" and shutil.which("gcc") is None:
        marks.append(pytest.mark.skip(reason="there is no C compiler here"))
    return pytest.param(executor, *others, marks=marks)


every_executor = pytest.mark.parametrize("executor", [case(executor) for executor in EXECUTORS])


def each_with(*names: str) -> Any:
    """Every executor with every one of these programs."""
    return pytest.mark.parametrize(
        ("executor", "name"), [case(executor, name) for executor in EXECUTORS for name in names]
    )


def upto(program: IntegerProgram, index: int) -> IntegerProgram:
    """The program that ends with one of its nodes, so that the executor has to show its value."""
    nodes = program.nodes[: index + 1]
    return replace(program, nodes=nodes, output_name=nodes[-1].output.name)


@cache
def expected(name: str) -> tuple[IntegerProgram, np.ndarray, np.ndarray]:
    made = PROGRAMS[name]()
    program, images = made.program(), made.images()
    return program, images, program.run(images)


@each_with(*PROGRAMS)
def test_equals_the_oracle(executor, name):
    program, images, logits = expected(name)
    if name in REFUSED.get(executor, ()):
        with pytest.raises(BadInput, match=r"^(layer )?v\d.*: .*exceed.*\(2\^24\).*run it with ONNX Runtime"):
            EXECUTORS[executor](program)
        return
    run = EXECUTORS[executor](program)
    result = run(images)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, logits)
    np.testing.assert_array_equal(run(images[:1]), logits[:1])


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_onnx_file_holds_the_program_it_was_written_from(name, tmp_path):
    program, images, logits = expected(name)
    write_onnx(program, tmp_path / "m.onnx")
    again = read_onnx(tmp_path / "m.onnx")
    assert again is not None
    np.testing.assert_array_equal(again.run(images), logits)


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_what_is_wide_is_written_in_wide_numbers(name):
    model = to_onnx(PROGRAMS[name]().program())
    into = {node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"}
    assert bool(into & {TensorProto.INT64, TensorProto.DOUBLE}) == (name in WIDE)


def test_a_wide_program_is_run_by_the_first_runtime_that_is_exact_for_it():
    assert choose(PROGRAMS["chain relu"]().program()) == "openvino"
    assert choose(PROGRAMS["wide, 32 bits"]().program()) == "onnxruntime"


def test_the_runtimes_to_time_are_those_that_are_exact():
    assert candidates(PROGRAMS["chain relu"]().program()) == ["openvino", "onnxruntime"]
    assert candidates(PROGRAMS["wide, 32 bits"]().program()) == ["onnxruntime"]


@every_executor
@pytest.mark.parametrize(
    "name",
    [
        "chain relu6",
        "chain linear",
        "residual",
        "residual, 16 bits",
        "joined",
        "wide, 32 bits",
        "wide, 36 bits",
    ],
)
def test_every_value_on_the_way_equals_the_oracle(executor, name):
    if name in REFUSED.get(executor, ()):
        pytest.skip("refused, as the test before this says")
    program, images, _ = expected(name)
    for index in range(len(program.nodes)):
        part = upto(program, index)
        run = EXECUTORS[executor](part)
        np.testing.assert_array_equal(run(images), part.run(images), err_msg=part.output_name)


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n.startswith("layer") and "float" not in n])
def test_results_reach_past_both_ends_of_their_format(name):
    program, _, logits = expected(name)
    node = program.nodes[-1]
    assert isinstance(node, p.ShiftLayer)
    step = node.output.fixed.step
    assert logits.min() == node.lowest * step
    assert logits.max() == node.highest * step or name == "layer odd window"


@every_executor
def test_a_million_values_near_half_steps(executor):
    """Two roundings instead of one are wrong about once in a million: more than that many sums, the oracle
    in float64 (exact below 2^53)."""
    made = Builder((32, 32, 32), 3)
    made.layer(made.quantise(U8), S8, 64, SAME)
    program, images = made.program(), made.images(32)
    layer = program.nodes[-1]
    assert isinstance(layer, p.ShiftLayer)
    pixels = torch.from_numpy(np.clip(np.rint(images * 32), 0, 255)).double()
    weight, bias = (torch.from_numpy(x).double() for x in (layer.weights.integers, layer.bias))
    sums = torch.nn.functional.conv2d(pixels, weight, bias, padding=1).numpy()
    scaled = sums.astype(np.float32) * layer.multiplier.reshape(-1, 1, 1)
    wanted = np.clip(np.rint(scaled), -128, 127).astype(np.float32) / 32
    assert wanted.size > 2_000_000
    assert np.count_nonzero(EXECUTORS[executor](program)(images) != wanted) == 0


def decisive_sums(multiplier: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each multiplier (n,) a sum whose product is rounded differently with one of the float32 numbers
    beside it; 0 where none was found."""
    beside = [(multiplier.view(np.int32) + step).view(np.float32) for step in (-1, 1)]
    found = np.zeros(len(multiplier), np.int64)
    for half_step in rng.permutation(254) + 0.5:
        sums = np.rint(half_step / multiplier.astype(float)).astype(np.int64)
        product = np.rint(sums.astype(np.float32) * multiplier)
        decides = sum(np.rint(sums.astype(np.float32) * other) != product for other in beside) > 0
        found = np.where((found == 0) & decides & (sums < 1 << 23), sums, found)
    return found


@every_executor
@pytest.mark.parametrize("as_lowered", [True, False], ids=["as lowered", "any multiplier"])
def test_the_last_digit_of_a_multiplier_decides(executor, as_lowered):
    """Sums, here of blank images, where the next float32 number would give another byte: in all channels."""
    made = Builder((4, 5, 5), 7)
    made.layer(made.quantise(U8), U8, 4096, SAME)
    layer = made.nodes[-1]
    assert isinstance(layer, p.ShiftLayer)
    multiplier = np.exp(made.rng.uniform(np.log(2e-5), np.log(2e-3), 4096)).astype(np.float32)
    multiplier = attainable(multiplier) if as_lowered else multiplier
    bias = decisive_sums(multiplier, made.rng)
    assert np.mean(bias > 0) > 0.9
    low, high = bounds.partial_sums(layer.weights.integers, U8, bias)
    made.nodes[-1] = replace(
        layer, multiplier=multiplier, bias=bias, smallest=int(low.min()), largest=int(high.max())
    )
    program = made.program()
    wanted = np.rint(bias.astype(np.float32) * multiplier) / 32
    result = EXECUTORS[executor](program)(np.zeros((2, 4, 5, 5), np.float32))
    assert np.count_nonzero(result != wanted.astype(np.float32).reshape(-1, 1, 1)) == 0


@every_executor
@pytest.mark.parametrize(
    "config",
    [
        ShiftConfig(kind="PS", weight_bits=4, act_integer_bits=3, act_fraction_bits=5),
        ShiftConfig(kind="Q", weight_bits=5, act_integer_bits=4, act_fraction_bits=4),
        ShiftConfig(kind="PS", weight_bits=3, act_integer_bits=5, act_fraction_bits=7),
        PAPERS_DEFAULT,
        ShiftConfig(kind="Q", weight_bits=8, act_integer_bits=16, act_fraction_bits=16),
        ShiftConfig(kind="PS", weight_bits=3, act_integer_bits=16, act_fraction_bits=32),
    ],
    ids=(
        "PS 4 bits, 8",
        "Q 5 bits, 8",
        "PS 3 bits, 12",
        "the paper's default",
        "Q 8 bits, 32",
        "PS 3 bits, 48",
    ),
)
def test_a_network_with_everything_equals_the_oracle(executor, config):
    if executor == "openvino" and config.act_integer_bits > 8:
        pytest.skip("wider than its numbers")
    program = lower(networks.shifted(networks.Everything(), config), networks.images(16))
    images = networks.images(8, seed=5).numpy()
    np.testing.assert_array_equal(EXECUTORS[executor](program)(images), program.run(images))


@every_executor
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("bits", [(3, 5), (16, 16)], ids=str)
def test_float_layers_between_shift_layers_are_close(executor, depth, bits):
    """float32 sums differ by their order, and so, once in a while, does what is rounded from them."""
    if executor == "openvino" and bits == (16, 16):
        pytest.skip("wider than its numbers")
    integer_bits, fraction_bits = bits
    config = ShiftConfig(
        weight_bits=4, act_integer_bits=integer_bits, act_fraction_bits=fraction_bits, depth=depth
    )
    program = lower(networks.shifted(networks.Everything(), config), networks.images(16))
    assert program.all(p.FloatLayer)
    images = networks.images(32, seed=5).numpy()
    off = np.abs(EXECUTORS[executor](program)(images) - program.run(images))
    assert np.median(off) < 1e-5
    assert off.max() < 0.2


@cache
def trained(name: str, kind: str, bits: int, fraction_bits: int) -> tuple[IntegerProgram, np.ndarray]:
    """A converted network whose norms have seen digits, and 64 images of the test split."""
    splits = sources.load("digits", seed=0)
    data = prepare(splits)
    torch.manual_seed(0)
    config = ShiftConfig(kind=kind, weight_bits=bits, act_integer_bits=3, act_fraction_bits=fraction_bits)
    model = convert(models.create(name, 10, in_channels=1), config).train()
    batches = list(training_batches(data.train, 64, None, seed=0, epoch=0))[:4]
    with torch.no_grad():
        for images, _ in batches:
            model(images)
    program = lower(model.eval(), batches[0][0])
    test, _ = next(evaluation_batches(data.test))
    return program, test[:64].contiguous().numpy()


@pytest.mark.parametrize(
    "name, oracle_images",
    [
        ("tiny", 16),
        pytest.param("resnet20", 16, marks=pytest.mark.slow),
        pytest.param("mobilenetv2", 4, marks=pytest.mark.slow),
        pytest.param("googlenet", 1, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "kind, bits, fraction_bits", [("PS", 4, 5), ("Q", 3, 3), ("PS", 5, 5), ("PS", 3, 9), ("PS", 5, 29)]
)
def test_networks_on_digits_equal_the_oracle(name, oracle_images, kind, bits, fraction_bits):
    program, images = trained(name, kind, bits, fraction_bits)
    able = set(EXECUTORS) - ({"openvino"} if fraction_bits == 29 else set())
    logits = {executor: EXECUTORS[executor](program)(images) for executor in able}
    np.testing.assert_array_equal(logits["torch"][:oracle_images], program.run(images[:oracle_images]))
    for result in logits.values():
        np.testing.assert_array_equal(result, logits["torch"])


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_files_hold_nothing_that_no_operation_reads(runtime):
    """ONNX Runtime warns of each such constant."""
    for name, made in PROGRAMS.items():
        if name in REFUSED.get(runtime, ()):
            continue
        graph = to_onnx(made().program(), runtime).graph
        read = {source for node in graph.node for source in node.input}
        assert read >= {constant.name for constant in graph.initializer}, name
