"""Files from elsewhere: whatever is in them, the answer is a program that holds or one line that says why."""

import io
import json
import pickle
import random
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors import safe_open
from safetensors.numpy import save_file

from jouleshift.deploy import nodes as p
from jouleshift.deploy.archive import OPERATORS
from jouleshift.deploy.artefact import export
from jouleshift.deploy.checks import check
from jouleshift.deploy.onnx import write_onnx
from jouleshift.deploy.onnx_reader import read_onnx
from jouleshift.deploy.program import IntegerProgram
from jouleshift.deploy.runtime import RUNTIMES, load
from jouleshift.deploy.storage import load_program, save_program
from jouleshift.deploy.torch_module import read_exported, write_exported
from jouleshift.errors import BadInput
from jouleshift.quant.fixed_point import FixedPoint
from tests.deploy.programs import S32, SAME, U8, Builder


@pytest.fixture(scope="module")
def program() -> IntegerProgram:
    """Every kind of number that a file holds: two layers, a mean, a sum."""
    made = Builder((2, 6, 6), 0)
    made.layer(made.quantise(U8), U8, 4, SAME, clamp=(0, None))
    made.layer("v1", U8, 4, SAME)
    made.add(("v1", "v2"), U8)
    made.average("v3", p.Geometry((6, 6)), U8)
    made.layer(made.flatten("v4"), None, 3)
    return made.program()


@pytest.fixture(scope="module")
def folder(program, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good")
    save_program(program, path / "m.safetensors")
    write_onnx(program, path / "m.onnx")
    write_exported(program, path / "m.pt2")
    return path


READERS: dict[str, Callable[[Path], object]] = {
    "m.safetensors": load_program,
    "m.onnx": read_onnx,
    "m.pt2": read_exported,
}


def read(path: Path) -> object:
    """What a reader makes of a file; None where it refuses, in one line that names the file."""
    try:
        return READERS["m" + path.suffix](path)
    except BadInput as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 500
        assert path.name in str(refusal)
        return None


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_ours_is_read_and_computes_the_program(program, folder, name):
    images = np.random.default_rng(0).normal(size=(3, 2, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(load(folder / name)(images), program.run(images))


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx"])
def test_a_truncated_file_is_refused(folder, name, tmp_path):
    whole, path = (folder / name).read_bytes(), tmp_path / name
    for length in sorted({0, 1, 7, 8, 9, *range(10, len(whole), max(1, len(whole) // 60))}):
        path.write_bytes(whole[:length])
        made = read(path)
        assert made is None, (length, len(whole))


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx"])
def test_a_file_with_flipped_bits_is_refused_or_a_program_that_holds(folder, name, tmp_path):
    whole, path, rng = (folder / name).read_bytes(), tmp_path / name, random.Random(0)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(rng.choice((1, 1, 8))):
            changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        made = read(path)
        if isinstance(made, IntegerProgram):
            check(made)


class Draft:
    """A safetensors file of a program, to be changed before it is written."""

    def __init__(self, source: Path) -> None:
        with safe_open(source, "numpy") as file:
            self.metadata = dict(file.metadata())
            self.arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        self.whole = json.loads(self.metadata["program"])

    def node(self, name: str) -> dict:
        return next(node for node in self.whole["nodes"] if node["output"]["name"] == name)

    def save(self, path: Path) -> Path:
        self.metadata["program"] = json.dumps(self.whole)
        save_file(self.arrays, path, self.metadata)
        return path


def _set(*keys: object, to: object) -> Callable[[Draft], None]:
    """Changes one entry of the JSON, the first key the name of a node's output or a field of the program."""

    def change(draft: Draft) -> None:
        first, *others = keys
        whole = draft.whole
        place = whole if first in whole else {first: draft.node(str(first))}
        for key in (first, *others)[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


def _array(name: str, to: Callable[[np.ndarray], np.ndarray]) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.arrays[name] = np.ascontiguousarray(to(draft.arrays[name]))

    return change


NAN, HUGE = float("nan"), 1 << 40
LIES: dict[str, Callable[[Draft], object]] = {
    "another format": lambda draft: draft.metadata.update(format="jouleshift-program-0"),
    "an input that nobody can hold": _set("input", "shape", to=[2, HUGE, HUGE]),
    "an input without pixels": _set("input", "shape", to=[2, 0, 6]),
    "a value that nobody can hold": _set("v1", "output", "shape", to=[4, HUGE, HUGE]),
    "weights that nobody can hold": _set("v1", "weights", "shape", to=[HUGE, HUGE, 3, 3]),
    "weights of negative size": _set("v1", "weights", "shape", to=[-4, -2, 3, 3]),
    "weights of another size": _set("v1", "weights", "shape", to=[4, 2, 3, 2]),
    "weights of 9 bits": _set("v1", "weights", "weight_bits", to=9),
    "weights of NaN bits": _set("v1", "weights", "weight_bits", to=NAN),
    "weights of no kind": _set("v1", "weights", "kind", to="APoT"),
    "a format of a billion bits": _set("v0", "output", "format", "integer_bits", to=10**9),
    "a format of no bits": _set("v0", "output", "format", "integer_bits", to=-5),
    "a format of NaN bits": _set("v0", "output", "format", "fraction_bits", to=NAN),
    "a window beyond the image": _set("v1", "geometry", "kernel", to=[HUGE, 3]),
    "a stride of nothing": _set("v1", "geometry", "stride", to=[0, 1]),
    "padding that nobody can hold": _set(
        "v4", "geometry", to={"kernel": [1, 1], "stride": [HUGE, HUGE], "padding": [HUGE] * 4,
                              "dilation": [1, 1], "groups": 1}),
    "groups that do not fit": _set("v1", "geometry", "groups", to=3),
    "no groups": _set("v1", "geometry", "groups", to=0),
    "a mean times NaN": _set("v4", "multiplier", to=NAN),
    "a mean times infinity": _set("v4", "multiplier", to=float("inf")),
    "a clamp at NaN": _set("v1", "lowest", to=NAN),
    "a clamp outside the format": _set("v1", "highest", to=1000),
    "a float clamp at NaN": _set("v6", "lowest", to=NAN),
    "sums that are said to be smaller": _set("v1", "largest", to=1),
    "sums of NaN": _set("v1", "largest", to=NAN),
    "sums beyond the accumulator": _set("v1", "largest", to=1 << 40),
    "an accumulator of 8 bits": _set("v1", "accumulator_bits", to=8),
    "a source that is not there": _set("v1", "sources", to=["nowhere"]),
    "a source made later": _set("v1", "sources", to=["v2"]),
    "a value made twice": _set("v2", "output", "name", to="v1"),
    "no such node": _set("v1", "kind", to="Import"),
    "nodes that are no list": _set("nodes", to=7),
    "an output that is not made": _set("output_name", to="v99"),
    "a bias of floats": _array("v1.bias", lambda bias: bias.astype(np.float64)),
    "a bias of another length": _array("v1.bias", lambda bias: bias[:-1]),
    "a bias that overflows": _array("v1.bias", lambda bias: np.full(len(bias), (1 << 63) - 1)),
    "a multiplier of NaN": _array("v1.multiplier", lambda m: m * np.float32(NAN)),
    "a negative multiplier": _array("v1.multiplier", lambda m: -m),
    "an integer multiplier": _array("v1.multiplier", lambda m: m.astype(np.int32)),
    "codes cut off": _array("v1.weights", lambda codes: codes[:-1]),
    "codes of 16 bits": _array("v1.weights", lambda codes: codes.astype(np.uint16)),
    "shifts beyond 62": _array("v1.furthest", lambda furthest: furthest + np.int8(100)),
    "negative shifts": _array("v1.furthest", lambda furthest: furthest - np.int8(100)),
    "a missing tensor": lambda draft: draft.arrays.pop("v1.bias"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused(folder, lie, tmp_path):
    draft = Draft(folder / "m.safetensors")
    LIES[lie](draft)
    assert read(draft.save(tmp_path / "m.safetensors")) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "NaN", '{"input": 1}', "[" * 100_000, "9" * 10_000])
def test_metadata_that_is_no_program_is_refused(text, tmp_path):
    path = tmp_path / "m.safetensors"
    save_file({}, path, {"format": "jouleshift-program-1", "program": text})
    assert read(path) is None


@pytest.mark.parametrize(
    "header",
    [
        b"\xff" * 8,
        struct.pack("<Q", 1 << 62),
        struct.pack("<Q", 2) + b"{}",
        *(
            struct.pack("<Q", len(text)) + text
            for text in (
                b'{"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,0]}}',
                b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
            )
        ),
    ],
)
def test_headers_that_promise_more_than_there_is_are_refused(header, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(header)
    assert read(path) is None


def _edited(source: Path, path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(source)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def _initializer(model: onnx.ModelProto, ending: str) -> TensorProto:
    return next(entry for entry in model.graph.initializer if entry.name.endswith(ending))


def _outside(tensor: TensorProto, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


TENSOR_LIES: dict[str, Callable[[TensorProto], object]] = {
    "a huge shape": lambda t: t.dims.append(1 << 40),
    "a negative shape": lambda t: t.dims.append(-1),
    "no data": lambda t: t.ClearField("raw_data"),
    "text": lambda t: t.CopyFrom(helper.make_tensor(t.name, TensorProto.STRING, [1], [b"x"])),
    "no type": lambda t: setattr(t, "data_type", 0),
    "an unknown type": lambda t: setattr(t, "data_type", 99),
    "another type": lambda t: setattr(t, "data_type", TensorProto.BOOL),
    "another name": lambda t: setattr(t, "name", "nobody's"),
    "a file of the machine's": lambda t: _outside(t, "/etc/hostname"),
    "a file beside it": lambda t: _outside(t, "secret.bin"),
}


@pytest.mark.parametrize("lie", TENSOR_LIES)
@pytest.mark.parametrize("ending", ["v1/codes", "v1/furthest", "v1/bias"])
def test_onnx_tensors_that_lie_are_refused_or_make_a_program_that_holds(
    folder, lie, ending, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    change = TENSOR_LIES[lie]
    path = _edited(folder / "m.onnx", tmp_path / "m.onnx", lambda m: change(_initializer(m, ending)))
    made = read(path)
    assert made is None or "a file" not in lie
    if isinstance(made, IntegerProgram):
        check(made)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"\x08\x09", b"no model at all"])
def test_an_onnx_file_that_no_runtime_takes_is_refused(runtime, content, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"m\.onnx"):
        load(path, runtime)


def test_onnx_graphs_from_elsewhere_that_are_wrong_are_refused(tmp_path):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    nodes = [helper.make_node("NoSuchOperator", ["x"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", [value], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(BadInput, match=r"m\.onnx"):
            load(path, runtime)


def _rezipped(source: Path, path: Path, change: Callable[[str, bytes], bytes], how: int) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", how) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return path


def test_a_truncated_pt2_file_is_refused(folder, tmp_path):
    whole, path = (folder / "m.pt2").read_bytes(), tmp_path / "m.pt2"
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        assert read(path) is None


class Runs:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_nothing_in_a_pt2_file_is_run(folder, tmp_path, capfd):
    """PyTorch itself would run it: `torch.export.load` falls back to weights_only=False."""
    mark = tmp_path / "it-ran"
    with zipfile.ZipFile(folder / "m.pt2") as archive:
        names = archive.namelist()
    evil = io.BytesIO()
    pickle.dump(Runs(mark), evil)
    pickles = [name for name in names if name.endswith(".pt")]
    assert pickles
    for name in pickles:
        change = lambda n, old, name=name: evil.getvalue() if n == name else old  # noqa: E731
        assert read(_rezipped(folder / "m.pt2", tmp_path / "m.pt2", change, zipfile.ZIP_STORED)) is None
        assert not mark.exists(), name
    assert capfd.readouterr().err == ""


def test_a_pt2_file_that_unpacks_to_more_than_it_is_is_refused(folder, tmp_path):
    grow = lambda name, old: bytes(1 << 26) if "weight" in name and len(old) > 100 else old  # noqa: E731
    path = _rezipped(folder / "m.pt2", tmp_path / "m.pt2", grow, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert read(path) is None


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".safetensors"])
def test_a_folder_and_a_file_that_is_not_there_are_refused(suffix, tmp_path):
    (tmp_path / f"folder{suffix}").mkdir()
    for name in ("folder", "nothing"):
        with pytest.raises(BadInput, match=name):
            load(tmp_path / f"{name}{suffix}")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "openvino"])
def test_a_package_that_is_not_installed_comes_with_its_remedy(
    package, program, folder, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("jouleshift.deploy.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    needing = [name for name in RUNTIMES if (package == "onnx" and name != "torch") or name == package]
    for runtime in needing:
        with pytest.raises(BadInput, match=rf"{package} not installed; pip install 'jouleshift\["):
            load(program, runtime)
    if package == "onnx":
        with pytest.raises(BadInput, match=r"onnx not installed; pip install 'jouleshift\[onnx\]'"):
            load(folder / "m.onnx")
        with pytest.raises(BadInput, match=r"onnx not installed; pip install 'jouleshift\[onnx\]'"):
            export(program, tmp_path / "m.onnx", __import__("torch").zeros(2, 2, 6, 6))
        assert list(tmp_path.iterdir()) == []
    images = np.zeros((1, 2, 6, 6), np.float32)
    np.testing.assert_array_equal(load(program)(images), program.run(images))


def test_a_pt2_file_names_no_file_of_this_machine(folder):
    with zipfile.ZipFile(folder / "m.pt2") as archive:
        assert b".py" not in archive.read("m/models/model.json")


_CODE = "__import__('pathlib').Path('it-ran').touch()"
_CONV = '"torch.ops.aten.conv2d.default"'
PT2_LIES = {
    "a function of the machine": (_CONV, '"torch.os.system"'),
    "an operator in place": ('"torch.ops.aten.add.Tensor"', '"torch.ops.aten.add_.Tensor"'),
    "an operator that reads files": (_CONV, '"torch.ops.aten.from_file.default"'),
    "a guard that is code": ('"guards_code": []', f'"guards_code": ["{_CODE}"]'),
    "a guard in a list": ('"guards_code": []', f'"guards_code": [["{_CODE}"]]'),
    "a name that is code": ('"forward_arg_names": ["images"]', f'"forward_arg_names": ["images={_CODE}"]'),
    "a key that is code": ('"tensor_values": {', f'"tensor_values": {{"{_CODE}": {{}}, '),
    "a container of another module's": ("builtins.dict", "collections.defaultdict"),
    "an expression that is code": ("Symbol('s", "__import__('os').getpid() + Symbol('s"),
    "weights that are a pickle": ('"use_pickle": false', '"use_pickle": true'),
}


@pytest.mark.parametrize("lie", PT2_LIES)
def test_a_pt2_file_that_names_code_is_refused(folder, lie, tmp_path):
    was, now = (text.encode() for text in PT2_LIES[lie])
    seen = []

    def change(name: str, old: bytes) -> bytes:
        seen.append(was in old)
        return old.replace(was, now)

    path = _rezipped(folder / "m.pt2", tmp_path / "m.pt2", change, zipfile.ZIP_STORED)
    assert any(seen), "the file has no such place"
    with pytest.raises(BadInput, match="which no export of ours does"):
        read_exported(path)


def _with_nodes(path: Path, made: Path, nodes: list[dict], values: dict[str, dict]) -> Path:
    """The file with nodes of the schema of torch.export put before its own."""

    def change(name: str, old: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return old
        whole = json.loads(old)
        graph = whole["graph_module"]["graph"]
        graph["nodes"][:0] = nodes
        graph["tensor_values"].update(values)
        return json.dumps(whole).encode()

    return _rezipped(path, made, change, zipfile.ZIP_STORED)


def _call(target: str, output: str, **inputs: dict) -> dict:
    given = [{"name": name, "arg": value, "kind": 1} for name, value in inputs.items()]
    outputs = [{"as_tensor": {"name": output}}]
    return {"target": f"torch.ops.aten.{target}", "inputs": given, "outputs": outputs, "metadata": {},
            "is_hop_single_tensor_return": None, "name": output}  # fmt: skip


def test_a_pt2_file_cannot_write_to_files(folder, tmp_path):
    """ATen maps a file into memory (`from_file`), and an operator in place then writes into it."""
    victim = tmp_path / "victim.txt"
    victim.write_bytes(b"precious" * 4)
    byte = 1  # torch's ScalarType of uint8
    mapped = {"dtype": byte, "sizes": [{"as_int": 32}], "requires_grad": False,
              "storage_offset": {"as_int": 0}, "device": {"type": "cpu", "index": None},
              "strides": [{"as_int": 1}], "layout": 7}  # fmt: skip
    where, size = {"as_string": str(victim)}, {"as_int": 32}
    nodes = [
        _call("from_file.default", "evil", filename=where, shared={"as_bool": True}, size=size,
              dtype={"as_scalar_type": byte}),
        _call("fill_.Scalar", "filled", self={"as_tensor": {"name": "evil"}}, value={"as_int": 88}),
    ]  # fmt: skip
    values = {"evil": mapped, "filled": dict(mapped)}
    path = _with_nodes(folder / "m.pt2", tmp_path / "m.pt2", nodes, values)
    with pytest.raises(BadInput, match="which no export of ours does"):
        load(path)(np.zeros((1, 2, 6, 6), np.float32))
    assert victim.read_bytes() == b"precious" * 4


def test_operators_that_a_pt2_file_may_hold_are_those_that_are_written(tmp_path):
    """A program with a node for every branch of `torch_module`."""
    wide, wider = FixedPoint(4, 40), FixedPoint(4, 56)
    made = Builder((2, 6, 6), 0)
    made.layer(made.quantise(S32), U8, 4, SAME, span=24)
    made.layer(made.concat("v1", made.max_pool("v1", SAME)), U8, 4, SAME)
    made.requantise(made.average(made.subsample("v4", (1, 2)), p.Geometry((2, 1)), wider), wide)
    made.layer(made.flatten("v7"), U8, 4, span=12)
    made.layer("v9", None, 3)
    write_exported(made.program(), tmp_path / "m.pt2")
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        nodes = json.loads(archive.read("m/models/model.json"))["graph_module"]["graph"]["nodes"]
    assert {node["target"] for node in nodes} == OPERATORS


@pytest.mark.parametrize("name", ["model/data/aotinductor/model/x.so", "model/extra/x.py", "version"])
def test_a_pt2_file_with_more_in_it_is_refused(folder, name, tmp_path):
    path = _rezipped(folder / "m.pt2", tmp_path / "m.pt2", lambda _, old: old, zipfile.ZIP_STORED)
    assert read(path) is not None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BadInput, match="an entry"):
        read_exported(path)
