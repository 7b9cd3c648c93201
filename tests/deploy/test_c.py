"""What is particular to C: blocks, floats, main, Makefile, and that nothing multiplies. That it equals the
oracle is asked of all executors, in `test_executors`."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from jouleshift.config import ShiftConfig
from jouleshift.deploy import nodes as p
from jouleshift.deploy.c import write_c
from jouleshift.deploy.c.arena import Buffer, live_bytes, plan
from jouleshift.deploy.c.build import STRICT, build, executor, loaded
from jouleshift.deploy.c.kernels import kernel, rendered
from jouleshift.deploy.c.writer import identifier
from jouleshift.deploy.lower import lower
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.reference import execute
from jouleshift.errors import BadInput
from jouleshift.models.registry import create
from jouleshift.quant.fixed_point import FixedPoint
from tests.deploy.networks import Everything, images, shifted
from tests.deploy.programs import PROGRAMS, SANITIZED, Builder

CC = shutil.which("gcc") or shutil.which("cc")
pytestmark = pytest.mark.skipif(CC is None, reason="there is no C compiler here")
MULTIPLICATION = re.compile(r"\t(v?p?i?mul\w*|v?pmadd\w*|u?s?m[lu][al]{1,2}\w*|mls|mulss|mulps)[\s.]")
BITS = ShiftConfig(weight_bits=4, act_integer_bits=3, act_fraction_bits=5)


def oracle(program, pictures):
    """Every number of the last value, as float32."""
    *_, (_, last) = execute(program, pictures)
    fmt = program.output.format
    return last.astype(np.float32) if fmt is None else np.ldexp(last.astype(np.float32), -fmt.fraction_bits)


def run(program, pictures, folder, flags=("-O2",), **options):
    written = write_c(program, folder, **options)
    return executor(build(written.source, flags, CC), program)(pictures)


def trained(name, size, config=BITS):
    """A zoo network whose norms have seen data, lowered, and a few images."""
    torch.manual_seed(0)
    model = shifted_like(create(name, 10), config, size)
    pictures = torch.randn(3, 3, size, size)
    return lower(model, pictures), pictures.numpy()


def shifted_like(model, config, size):
    from jouleshift.conversion import convert

    model = convert(model, config).train()
    with torch.no_grad():
        model(torch.randn(16, 3, size, size))
    return model.eval()


@pytest.fixture(scope="module")
def tiny():
    return trained("tiny", 8)


def test_what_two_pools_share_is_written_once():
    pools = [kernel("averagepool", IN="int16", OUT=out) for out in ("int16", "uint8", "int32")]
    functions = re.findall(r"^static \w+ (\w+)\(", rendered(pools), re.MULTILINE)
    assert "total_int16" in functions
    assert len(functions) == len(set(functions))


@pytest.mark.parametrize("multiplier", [(), ("-DJS_HAVE_MULTIPLIER",)], ids=("shifts", "multiplier"))
@pytest.mark.parametrize("pixels", [1, 4, 8])
def test_blocks_and_multiplier_change_nothing(tiny, pixels, multiplier, tmp_path):
    program, pictures = tiny
    flags = ("-O1", f"-DJS_PIXELS={pixels}", *multiplier)
    np.testing.assert_array_equal(run(program, pictures, tmp_path, flags), program.run(pictures))


def test_resnet20_equals_the_oracle_and_its_tables_are_small(tmp_path):
    program, pictures = trained("resnet20", 16)
    written = write_c(program, tmp_path, "resnet20")
    got = executor(build(written.source, ("-O2",), CC), program)(pictures)
    np.testing.assert_array_equal(got, program.run(pictures))
    weights = sum(layer.weights.signs.size for layer in program.all(p.ShiftLayer))
    assert written.weight_bytes + written.other_bytes <= 1.05 * 4 / 32 * 4 * weights
    assert written.arena_bytes < written.sum_bytes / 5
    table = re.search(r"uint8_t weights_1\[\] = \{([^}]*)\}", written.source.read_text())
    assert len(table[1].split(",")) == program.nodes[1].weights.signs.size // 2


def test_layers_of_mixed_precision(tmp_path):
    formats = {"first": 8, "last": {"weight_bits": 8, "kind": "Q"}, "right.*": 2}
    program = lower(shifted(Everything(), layers=formats), images(16))
    assert {layer.weights.weight_bits for layer in program.all(p.ShiftLayer)} >= {2, 4, 8}
    pictures = images(8, seed=2).numpy()
    np.testing.assert_array_equal(run(program, pictures, tmp_path, SANITIZED), program.run(pictures))


def test_float_layers_between_shift_layers(tmp_path):
    model = shifted(Everything(), layers={"left.0": "float", "head": "float"})
    program = lower(model, images(16))
    assert program.all(p.FloatLayer)
    pictures = images(8, seed=2).numpy()
    np.testing.assert_allclose(
        run(program, pictures, tmp_path, SANITIZED), program.run(pictures), rtol=1e-6, atol=1e-6
    )


def test_float_values_pass_through_every_float_node(tmp_path):
    program, pictures = float_program()
    np.testing.assert_allclose(
        run(program, pictures, tmp_path, SANITIZED), oracle(program, pictures), rtol=1e-6, atol=1e-6
    )


def float_program():
    rng = np.random.default_rng(0)
    image, shape = p.Value("x", (4, 7, 6), None), (6, 7, 6)
    grouped = p.Geometry((3, 3), padding=(1, 1, 1, 1), groups=2)
    weight = rng.normal(size=(6, 2, 3, 3)).astype(np.float32)
    bias = rng.normal(size=6).astype(np.float32)
    window = p.Geometry((3, 2), (2, 1), (1, 0, 1, 1))
    nodes = (
        p.FloatLayer(("x",), p.Value("a", shape, None), -1.5, None, "a", weight, bias, grouped),
        p.Clamp(("a",), p.Value("b", shape, None), None, 1.0),
        p.Add(("a", "b"), p.Value("c", shape, None), None, None),
        p.MaxPool(("c",), p.Value("d", (6, 4, 6), None), window),
        p.Subsample(("d",), p.Value("e", (6, 2, 3), None), (2, 2)),
        p.Pad(("e",), p.Value("f", (7, 3, 4), None), ((1, 0), (0, 1), (1, 0))),
        p.AveragePool(("f",), p.Value("g", (7, 2, 3), None), p.Geometry((2, 2)), 0.25),
        p.Concat(("g", "g"), p.Value("h", (14, 2, 3), None)),
        p.Flatten(("h",), p.Value("i", (84,), None)),
    )
    return IntegerProgram(image, nodes, "i"), rng.normal(size=(3, 4, 7, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "compiler", ["gcc -O3", "clang -O2", "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb -O2"]
)
def test_no_instruction_multiplies(tiny, compiler, tmp_path):
    command, *flags = compiler.split()
    dump = shutil.which("arm-none-eabi-objdump" if command.startswith("arm") else "objdump")
    if not (shutil.which(command) and dump):
        pytest.skip(f"{command} or its objdump is not here")
    probe = [command, *flags, "-fsyntax-only", "-x", "c", "-"]
    if subprocess.run(probe, input=b"#include <math.h>\n", capture_output=True).returncode:
        pytest.skip(f"{command} is here without a C library")
    written = write_c(tiny[0], tmp_path, "tiny")

    def multiplications(*more):
        target = tmp_path / "tiny.o"
        command_line = [command, *STRICT, *flags, *more, "-c", str(written.source), "-o", str(target)]
        subprocess.run(command_line, check=True)
        done = subprocess.run([dump, "-d", "-r", target], capture_output=True, text=True, check=True)
        return MULTIPLICATION.findall(done.stdout) + re.findall(r"__aeabi_[lfd]mul|__mul\w+", done.stdout)

    assert multiplications() == []
    assert multiplications("-DJS_HAVE_MULTIPLIER"), "the search would not have found one"


@pytest.mark.skipif(not shutil.which("nm"), reason="there is no nm here")
@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "resnet20",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenetv2", "googlenet")),
    ],
)
def test_nothing_is_allocated(name, tmp_path):
    """What the network's object file takes from elsewhere: copies of memory, at most."""
    written = write_c(trained(name, 32)[0], tmp_path, "network")
    target = tmp_path / "network.o"
    subprocess.run([CC, *STRICT, "-O2", "-c", str(written.source), "-o", str(target)], check=True)
    needed = subprocess.run(["nm", "-u", target], capture_output=True, text=True, check=True).stdout.split()
    assert set(needed) - {"U"} <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}


HARNESS = """
#include "one.c"
#include <stdio.h>
int main(void)
{
    struct { int32_t sum; uint32_t multiplier; } in;
    struct factor_uint32_int32 quick;
    struct factor_uint32_int64 exact;
    while (fread(&in, sizeof in, 1, stdin) == 1) {
        uint32_t magnitude = in.sum < 0 ? 0 - (uint32_t)in.sum : (uint32_t)in.sum;
        int64_t out[2];
        float real;
        prepare_uint32_int32(&quick, in.multiplier);
        prepare_uint32_int64(&exact, in.multiplier);
        out[0] = rescaled_uint32_int32(magnitude, in.sum < 0, &quick, -32768, 32767);
        out[1] = rescaled_uint32_int64(magnitude, in.sum < 0, &exact, -INT64_C(0x80000000), 0x7FFFFFFF);
        real = packed(scaled(magnitude, in.multiplier), in.sum < 0);
        fwrite(out, sizeof out, 1, stdout);
        fwrite(&real, sizeof real, 1, stdout);
    }
    return 0;
}
"""


def sums_and_multipliers():
    """Random ones, and sums whose product lies on or beside the middle between two integers."""
    rng = np.random.default_rng(0)
    n = 400_000
    sums = rng.integers(-(1 << 31), 1 << 31, n) >> rng.integers(0, 31, n)
    multipliers = np.ldexp(rng.uniform(0.5, 1, n), rng.integers(-40, 3, n)).astype(np.float32)
    near = rng.integers(1, 1 << 24, n)
    halves = rng.integers(0, 300, n) + 0.5
    to_ties = (halves / near).astype(np.float32)
    off = rng.integers(-3, 4, n).astype(np.int32)
    to_ties = (to_ties.view(np.int32) + off).view(np.float32)
    powers = np.ldexp(1.0, rng.integers(-30, 2, n)).astype(np.float32)
    odd = rng.integers(-(1 << 12), 1 << 12, n)
    extreme = np.array([0, 1, -1, 2**31 - 1, -(2**31), 2**24, 2**24 + 1, 2**24 - 1, 3])
    rare = np.array([2**-149, 2**-126, 1e-40, 1e-20, 1, 3e38, 0.1], np.float32)
    grid = [array.ravel() for array in np.meshgrid(extreme, rare)]
    return (
        np.concatenate([sums, near, odd, grid[0]]).astype(np.int32),
        np.concatenate([multipliers, to_ties, powers, grid[1]]).astype(np.float32),
    )


@pytest.mark.parametrize("multiplier", [(), ("-DJS_HAVE_MULTIPLIER",)], ids=("shifts", "multiplier"))
def test_rescaling_is_float32_arithmetic_to_the_last_bit(multiplier, tmp_path):
    builder = Builder((2, 3, 3), 0)
    for fmt in (FixedPoint(5, 11), FixedPoint(16, 16), None):
        builder.layer(
            "v0" if builder.nodes else builder.quantise(FixedPoint(3, 5)),
            fmt,
            2,
            p.Geometry((1, 1)),
            kind="Q",
        )
    write_c(builder.program(), tmp_path, "one")
    (tmp_path / "harness.c").write_text(HARNESS)
    target = tmp_path / "harness"
    flags = ["-std=c99", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover", *multiplier]
    subprocess.run([CC, *flags, "-o", str(target), str(tmp_path / "harness.c")], check=True)
    sums, multipliers = sums_and_multipliers()
    given = np.stack([sums, multipliers.view(np.int32)], 1).tobytes()
    done = subprocess.run([target], input=given, capture_output=True, check=True)
    got = np.frombuffer(done.stdout, np.dtype([("narrow", "i8"), ("wide", "i8"), ("real", "f4")]))
    with np.errstate(over="ignore", under="ignore"):
        real = sums.astype(np.float32) * multipliers
    np.testing.assert_array_equal(got["real"].view(np.int32), real.view(np.int32))
    rounded = np.rint(real).astype(np.float64)
    np.testing.assert_array_equal(got["narrow"], np.clip(rounded, -32768, 32767).astype(np.int64))
    np.testing.assert_array_equal(got["wide"], np.clip(rounded, -(1 << 31), (1 << 31) - 1).astype(np.int64))


def test_buffers_that_meet_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(200):
        starts = rng.integers(0, 20, 12)
        buffers = [
            Buffer(str(i), int(rng.integers(1, 100)), int(first), int(first + rng.integers(0, 8)))
            for i, first in enumerate(starts)
        ]
        planned = plan(buffers)
        assert live_bytes(buffers) <= planned.n_bytes
        for one in buffers:
            at = planned.offsets[one.name]
            assert at % 8 == 0 and at + one.n_bytes <= planned.n_bytes
            for other in buffers:
                if other is not one and one.meets(other):
                    there = planned.offsets[other.name]
                    assert at + one.n_bytes <= there or there + other.n_bytes <= at


def test_hostile_names_become_harmless(tiny, tmp_path):
    program, pictures = tiny
    layer = replace(program.nodes[1], layer='*/ int evil; /* ??/\\\n"')
    program = replace(program, nodes=(program.nodes[0], layer, *program.nodes[2:]))
    got = run(program, pictures, tmp_path, name='../8 "*/\n#error <b>; rm -rf $(HOME)')
    np.testing.assert_array_equal(got, program.run(pictures))
    assert identifier("日本") == "network"
    assert identifier("8bit") == "net_8bit"
    assert {path.name for path in tmp_path.iterdir()} >= {"net_8_error_b_rm_rf_home.c", "main.c", "Makefile"}


def test_main_reads_files_and_pixels_and_says_what_is_wrong(tiny, tmp_path):
    program, pictures = tiny
    written = write_c(program, tmp_path, "tiny")
    binary = build(written.source, ("-O1",), CC)

    def call(*arguments, given=b""):
        return subprocess.run([binary, *map(str, arguments)], input=given, capture_output=True)

    file = tmp_path / "images.f32"
    pictures.tofile(file)
    lines = call(file).stdout.decode().splitlines()
    np.testing.assert_array_equal(
        np.array([line.split() for line in lines], np.float32), program.run(pictures)
    )
    (_, pixels), *_ = execute(program, pictures)
    got = np.frombuffer(call("-q", "-b", given=pixels.astype(np.int8).tobytes()).stdout, np.float32)
    np.testing.assert_array_equal(got.reshape(-1, 10), program.run(pictures))
    for arguments, given, said in (
        (("-x",), b"", b"no such option: -x"),
        ((tmp_path / "missing",), b"", b"cannot read"),
        ((), b"123", b"the last image is incomplete"),
    ):
        done = call(*arguments, given=given)
        assert done.returncode == 1 and said in done.stderr


def test_make_check_compares_the_examples(tiny, tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    program, pictures = tiny
    write_c(program, tmp_path, "tiny", pictures)
    command = ["make", "-C", str(tmp_path), "check", "CFLAGS=-O1"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert "example images, bit for bit" in (tmp_path / "README.md").read_text()
    expected = np.fromfile(tmp_path / "expected.f32", np.float32)
    expected[3] = np.nextafter(expected[3], np.float32(np.inf))
    expected.tofile(tmp_path / "expected.f32")
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_make_check_lets_float_layers_differ_a_little_and_says_by_how_much(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    program = lower(shifted(Everything(), layers={"head": "float"}), images(16))
    write_c(program, tmp_path, "net", images(4).numpy())
    assert "most within 2 % of the span of all logits" in (tmp_path / "README.md").read_text()
    expected = np.fromfile(tmp_path / "expected.f32", np.float32).reshape(4, -1)

    def check(*off: float) -> tuple[int, str]:
        changed = expected.copy()
        changed[: len(off), 0] += np.ptp(expected) * np.array(off, np.float32)
        changed.tofile(tmp_path / "expected.f32")
        command = ["make", "-s", "-C", str(tmp_path), "check", "CFLAGS=-O1"]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    code, said = check(0.01, 0.01, 0.01, 0.01)
    assert code == 0 and "0 of 4 images have the expected logits, 4 to within 2 % of the span" in said
    code, said = check(0.01, -0.05)
    assert code == 0 and "3 to within 2 %" in said
    code, said = check(-0.05, 0.05)
    assert code != 0 and "this is not the network exported" in said


def test_main_compares_as_many_images_as_there_are_logits(tiny, tmp_path):
    program, pictures = tiny
    binary = build(write_c(program, tmp_path, "tiny", pictures).source, cc=CC)
    logits = (tmp_path / "expected.f32").read_bytes()
    for wrong, said in (
        (logits[:-4], b"fewer logits than images"),
        (2 * logits, b"fewer images than logits"),
    ):
        (tmp_path / "wrong.f32").write_bytes(wrong)
        command = (binary, "-c", tmp_path / "wrong.f32", tmp_path / "examples.f32")
        done = subprocess.run(command, capture_output=True)
        assert done.returncode == 1 and said in done.stderr


def test_what_c_cannot_hold_is_refused(tmp_path):
    builder = Builder((2, 3, 3), 0)
    builder.quantise(FixedPoint(32, 32))
    with pytest.raises(BadInput, match="at most 62 bits"):
        write_c(IntegerProgram(builder.input, tuple(builder.nodes), "v0"), tmp_path)


@pytest.mark.parametrize("name", ["main", "check", "Clean", "makefile"])
def test_a_name_that_is_taken_is_refused(name, tiny, tmp_path):
    with pytest.raises(BadInput, match=rf"{name.lower()}\.c.*choose another"):
        write_c(tiny[0], tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["string", "features"])
def test_a_network_may_be_called_like_a_header_of_the_machine(name, tmp_path):
    builder = PROGRAMS["layer u8 u8"]()
    program, pictures = builder.program(), builder.images()
    run = loaded(write_c(program, tmp_path, name).source)
    np.testing.assert_array_equal(run(pictures).ravel(), program.run(pictures).ravel())


def test_a_compiler_that_refuses_is_reported(tiny, tmp_path):
    written = write_c(tiny[0], tmp_path, "tiny")
    written.source.write_text("#error no\n")
    with pytest.raises(BadInput, match="does not compile"):
        build(written.source, (), CC)
