"""Sealed files that are no model of mien's: each is one sentence with the file's name, and nothing outside is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.bundle import Bundle, seal
from mien.cli import main
from mien.errors import BundleError
from mien.modelfile import DOMAINS, EXTERNAL_DATA, INSIDE, INTEGERS, NAME, foreign
from tiny_bundle import CARD, model_bytes

WEIGHTS = np.random.default_rng(0).normal(0, 0.002, (256, 7)).astype(np.float32)
FACES = np.ones((2, 16, 16, 1), np.uint8)
PIXELS = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 16, 16, 1])
LOGITS = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 7])
FLAT = (
    helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
    helper.make_node("Flatten", ["floats"], ["flat"], axis=1),
)
SUM = helper.make_node("Gemm", ["flat", "weights"], ["sum"])
GIVEN = helper.make_node("Identity", ["sum"], ["logits"])


def model(
    *nodes: Any, pixels: Any = PIXELS, logits: Any = LOGITS, domains: Any = (), functions: Any = (), **arrays: Any
) -> Any:
    """A model of the flattened pixels, `weights`, `arrays`, and further nodes."""
    values = {"weights": WEIGHTS} | arrays
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in values.items()]
    graph = helper.make_graph([*FLAT, *nodes], "made", [pixels], [logits], initializers)
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def elsewhere(name: str = "weights") -> Any:
    """The weights, said to lie in `side.bin`."""
    tensor = numpy_helper.from_array(WEIGHTS, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "side.bin", "offset": "0", "length": str(WEIGHTS.nbytes)}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def with_initializer() -> Any:
    made = model(SUM, GIVEN)
    made.graph.initializer[0].CopyFrom(elsewhere())
    return made


def with_constant() -> Any:
    return model(helper.make_node("Constant", [], ["far"], value=elsewhere("far")), SUM, GIVEN)


def with_branch() -> Any:
    """The weights outside belong to a graph within a graph."""
    output = helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch", 7])
    inner = helper.make_graph(
        [helper.make_node("Gemm", ["flat", "far"], ["sum"])], "inner", [], [output], [elsewhere("far")]
    )
    chosen = helper.make_node("If", ["yes"], ["logits"], then_branch=inner, else_branch=inner)
    return model(chosen, yes=np.array(True))


def with_sparse() -> Any:
    made = model(SUM, GIVEN)
    indices = numpy_helper.from_array(np.arange(3), "where")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(elsewhere("far"), indices, [9]))
    return made


def with_function() -> Any:
    constant = helper.make_node("Constant", [], ["far"], value=elsewhere("far"))
    body = [constant, helper.make_node("Gemm", ["x", "far"], ["y"])]
    made = helper.make_function("", "Sum", ["x"], ["y"], body, [helper.make_opsetid("", 18)])
    return model(helper.make_node("Sum", ["flat"], ["logits"]), functions=[made])


def refused(folder: Path, made: Any, says: str) -> None:
    """The file is opened and asked; the one sentence names it, has no line breaks, and is short."""
    path = folder / "made.onnx"
    path.write_bytes(seal(made.SerializeToString(), CARD))
    with pytest.raises(BundleError, match=says) as refusal:
        Bundle.open(path, threads=1).logits({"face": FACES})
    said = str(refusal.value)
    assert said.startswith(str(path))
    assert said.isprintable()
    assert len(said) < 700 + len(str(path))


@pytest.mark.parametrize("make", [with_initializer, with_constant, with_branch, with_sparse, with_function])
def test_weights_in_another_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """Also where the file is there: ONNX Runtime would read it from the folder that the process stands in."""
    monkeypatch.chdir(tmp_path)
    Path("side.bin").write_bytes(WEIGHTS.tobytes())
    refused(tmp_path, make(), "takes weights from another file")


def test_what_is_looked_through_is_all_that_onnx_can_hold() -> None:
    """Every message that leads to weights or operations is in the table; a new kind in a later ONNX fails here."""
    described = {kind: getattr(onnx, kind).DESCRIPTOR for kind in INSIDE}
    for kind, fields in INSIDE.items():
        found = {field.number: field.message_type.name for field in described[kind].fields if field.message_type}
        assert fields == {number: name for number, name in found.items() if name in INSIDE}, kind
        passed = set(found.values()) - set(INSIDE)
        assert passed <= {"StringStringEntryProto", "ValueInfoProto", "TensorAnnotation", "TypeProto", "Segment"} | {
            "DeviceConfigurationProto", "NodeDeviceConfigurationProto"
        }, kind  # fmt: skip
    assert onnx.TensorProto.DESCRIPTOR.fields_by_name["external_data"].number == EXTERNAL_DATA
    assert {kind: described[kind].fields_by_name["domain"].number for kind in DOMAINS} == DOMAINS


@pytest.mark.parametrize("domain", ["com.microsoft", "somebody.else", "\x1b[31m\u202e" + "x" * 5000])
def test_operations_that_are_not_onnxs_own_are_refused(tmp_path: Path, domain: str) -> None:
    node = helper.make_node("Gelu", ["sum"], ["logits"], domain=domain)
    refused(tmp_path, model(SUM, node, domains=[domain]), "needs operations that are not ONNX's own")


@pytest.mark.parametrize("operation", ["Loop", "Scan", "SequenceMap"])
def test_a_file_that_might_never_end_is_refused(tmp_path: Path, operation: str) -> None:
    inner = helper.make_graph([GIVEN], "inner", [], [LOGITS])
    refused(tmp_path, model(SUM, helper.make_node(operation, ["sum"], ["logits"], body=inner)), "might never end")


@pytest.mark.parametrize(
    "operation",
    [
        *("ConstantOfShape", "Expand", "Tile", "Pad", "Resize", "Range", "OneHot"),
        *("RandomNormal", "MaxUnpool", "ConvTranspose", "Col2Im", "CenterCropPad", "HannWindow"),
    ],
)
def test_a_file_that_says_how_large_its_tensors_are_is_refused(tmp_path: Path, operation: str) -> None:
    made = model(SUM, helper.make_node(operation, ["sum"], ["logits"]))
    refused(tmp_path, made, rf"makes tensors as large as the file says \({operation}\)")


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_pads_without_end_is_refused(tmp_path: Path, packed: bool) -> None:
    """40 GB for a face of 16 pixels; protobuf writes lists of numbers one by one or packed, and reads both."""
    names = [field.number for field in onnx.AttributeProto.DESCRIPTOR.fields if field.name in ("name", "ints")]
    assert names == [NAME, INTEGERS]
    for pads, says in ((50_000, "pads pictures by more than 64 pixels"), (-1, "pads pictures by"), (3, "")):
        node = helper.make_node("MaxPool", ["sum"], ["logits"], kernel_shape=[3], pads=[0, pads])
        content = model(SUM, node).SerializeToString()
        if packed:
            given = next(each for each in node.attribute if each.name == "pads")
            numbers = b"".join(number(value) for value in given.ints)
            plain = given.SerializeToString()
            bare = onnx.AttributeProto(name="pads", type=given.type).SerializeToString()
            content = _wrapped(7, _wrapped(1, _wrapped(5, bare + _wrapped(INTEGERS, numbers))))
            assert onnx.AttributeProto.FromString(bare + _wrapped(INTEGERS, numbers)).SerializeToString() == plain
        assert foreign(content).startswith(says)
        assert bool(foreign(content)) == bool(says)


def number(value: int) -> bytes:
    """A number as protobuf writes it."""
    found, value = bytearray(), value % (1 << 64)
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def test_a_file_nested_ten_thousand_deep_is_looked_through() -> None:
    inner = b""
    for _ in range(10_000):  # graph 6 of attribute 5 of node 1
        inner = _wrapped(1, _wrapped(5, _wrapped(6, inner)))
    assert foreign(_wrapped(7, inner)) == ""


def _wrapped(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + number(len(content)) + content


def hostile() -> Iterator[tuple[str, Any, str]]:
    """Name, model and sentence of files that ONNX Runtime refuses, stumbles over, or answers wrongly."""
    far = np.array([10**7, 10**7])
    for name, weights in (("nan", np.nan), ("infinite", np.inf)):
        yield name, model(SUM, GIVEN, weights=np.full_like(WEIGHTS, weights)), "logits are NaN or infinite"
    yield "unknown operation", model(SUM, helper.make_node("Oracle", ["sum"], ["logits"])), "cannot load"
    yield "no graph", helper.make_model(helper.make_graph([], "none", [], []), ir_version=8), "cannot load"
    row = helper.make_node("ReduceMean", ["sum", "axes"], ["logits"], keepdims=1)
    yield "one row for all", model(SUM, row, axes=np.array([0])), "fixed number of faces"
    fixed = helper.make_tensor_value_info("images", TensorProto.UINT8, [2, 16, 16, 1])
    yield "two faces", model(SUM, GIVEN, pixels=fixed), "fixed number of faces"
    free = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", 16, 1])
    yield "any height", model(SUM, GIVEN, pixels=free), "does not fit its card"
    double = helper.make_tensor_value_info("logits", TensorProto.DOUBLE, ["batch", 7])
    cast = helper.make_node("Cast", ["sum"], ["logits"], to=TensorProto.DOUBLE)
    yield "doubles", model(SUM, cast, logits=double), "does not fit its card"
    many = helper.make_tensor_sequence_value_info("logits", TensorProto.FLOAT, ["batch", 7])
    yield "a list", model(SUM, helper.make_node("SequenceConstruct", ["sum"], ["logits"]), logits=many), "does not fit"
    found = helper.make_node("NonZero", ["sum"], ["where"])
    odd = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["many", 7])
    rows = helper.make_node("Slice", ["where", "from", "to", "axes"], ["row"])
    flat = helper.make_node("Squeeze", ["row", "axes"], ["rows"])
    picked = helper.make_node("Gather", ["sum", "rows"], ["logits"], axis=0)
    slices = {"from": np.array([0]), "to": np.array([1]), "axes": np.array([0])}
    yield (
        "more rows than faces",
        model(SUM, found, rows, flat, picked, logits=odd, **slices),
        "where .2, 7. were expected",
    )
    filled = helper.make_node("ConstantOfShape", ["far"], ["filled"])
    total = helper.make_node("ReduceSum", ["filled"], ["total"], keepdims=0)
    added = helper.make_node("Add", ["sum", "total"], ["logits"])
    yield "400 terabytes", model(SUM, filled, total, added, far=far), "makes tensors as large as the file says"
    beyond = helper.make_node("Gather", ["sum", "place"], ["one"], axis=0)
    wide = helper.make_node("Add", ["sum", "one"], ["logits"])
    yield "beyond the end", model(SUM, beyond, wide, place=np.array([99])), "cannot (load|run) the network"
    name = "\x1b[31m\u202e" * 20_000
    yield (
        "a name of letters that steer the terminal",
        model(SUM, helper.make_node("Oracle", ["sum"], [name]), GIVEN),
        "cannot load",
    )


HOSTILE = list(hostile())


@pytest.mark.parametrize(("made", "says"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_what_cannot_answer_is_a_sentence(
    tmp_path: Path, made: Any, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(tmp_path, made, says)
    assert capfd.readouterr() == ("", ""), "ONNX Runtime's own lines"


@pytest.mark.parametrize("format", ["--json", "--jsonl", "--csv", "--top-k=3"])
def test_a_network_without_an_answer_ends_predict_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], format: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nan.onnx").write_bytes(seal(HOSTILE[0][1].SerializeToString(), CARD))
    Path("face.pgm").write_bytes(b"P5 16 16 255\n" + bytes(256))
    with pytest.raises(SystemExit) as end:
        main(["predict", "face.pgm", "--faces", "none", "--model", "nan.onnx", format])
    said = capfd.readouterr().err
    assert end.value.code == 2
    assert said == "mien: nan.onnx: the network's logits are NaN or infinite. Train that run again, and export it.\n"


@pytest.mark.parametrize("name", ["face.jpg", "face.onnx", "face"])
@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0" + bytes(64), b"\x89PNG\r\n\x1a\n" + bytes(64), model_bytes()])
def test_nobody_is_told_to_export_over_what_mien_did_not_write(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"as `mien export RUN -o NAME\.onnx` writes it\.$"):
        Bundle.open(path)
