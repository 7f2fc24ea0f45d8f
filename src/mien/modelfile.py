"""Reads ONNX files, and adds metadata to them, without the onnx package.

In: the bytes of a `ModelProto`. Out: its metadata, and the first thing in it that must not be there. An ONNX file is a
protobuf message, whose fields may stand in any order and whose entries add up; so an entry can be appended.
"""

from collections.abc import Iterator

__all__ = ["entry", "foreign", "metadata"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
METADATA_PROPS = 14
"""Number of the field `ModelProto.metadata_props`; its entries have fields 1, the key, and 2, the value."""
INSIDE = {
    "ModelProto": {7: "GraphProto", 8: "OperatorSetIdProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 9: "OperatorSetIdProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
    "OperatorSetIdProto": {},
}
"""The fields that hold nested messages on the way to weights and operations."""
EXTERNAL_DATA = 13
"""Number of `TensorProto.external_data`, which names another file."""
DOMAINS = {"NodeProto": 7, "OperatorSetIdProto": 1}
"""The fields that name whose operations these are."""
STANDARD = (b"", b"ai.onnx")
OPERATION = 4
"""Number of `NodeProto.op_type`."""
REPEATING = ("Loop", "Scan", "SequenceMap")
MAKING = (
    *("ConstantOfShape", "Expand", "Range", "Tile", "Pad", "Resize", "Upsample", "OneHot", "EyeLike"),
    *("CenterCropPad", "Col2Im", "MaxUnpool", "ConvTranspose", "AffineGrid", "DFT", "STFT", "MelWeightMatrix"),
    *("RandomNormal", "RandomUniform", "HannWindow", "HammingWindow", "BlackmanWindow"),
)
REFUSED = {name.encode(): f"repeats operations ({name}), so that a prediction might never end" for name in REPEATING}
REFUSED |= {name.encode(): f"makes tensors as large as the file says ({name}), without bounds" for name in MAKING}
"""Operations whose time or memory depends on a number in the file. No network of mien has one."""
NAME, INTEGERS = 1, 8
"""Numbers of the fields of `AttributeProto` that hold its name and a list of whole numbers."""
PADS, MOST_PADS = b"pads", 64
"""Rows and columns that an operation adds to each side of its input, and how many of them a model file may ask for."""


def metadata(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Key, value and offset of each metadata entry; raises `ValueError` or `IndexError` for broken protobuf."""
    for number, value, offset in _fields(memoryview(content)):
        if number == METADATA_PROPS:
            parts = {part: bytes(text) for part, text, _ in _fields(value)}
            yield parts.get(1, b""), parts.get(2, b""), offset


def entry(key: bytes, value: bytes) -> bytes:
    """A metadata entry, to be appended to a model."""
    return _field(METADATA_PROPS, _field(1, key) + _field(2, value))


def foreign(content: bytes) -> str:
    """The first thing in a model that is not its own or not ONNX's own, as the end of a sentence; "" where all is.

    Weights in another file would be read from wherever the process stands, and the hash of this file does not cover
    them. Raises `ValueError` or `IndexError` for broken protobuf.
    """
    waiting = [("ModelProto", memoryview(content))]  # a list, not recursion: a file may be nested as deep as it likes
    while waiting:
        kind, message = waiting.pop()
        for number, value, _ in _fields(message):
            if kind == "TensorProto" and number == EXTERNAL_DATA:
                return "takes weights from another file, and a model is one file"
            if number == DOMAINS.get(kind) and bytes(value) not in STANDARD:
                name = bytes(value[:40]).decode("utf-8", "replace")
                return f"needs operations that are not ONNX's own ({name!r})"
            if kind == "NodeProto" and number == OPERATION and bytes(value) in REFUSED:
                return REFUSED[bytes(value)]
            if kind == "AttributeProto" and number == NAME and bytes(value) == PADS and _pads(message) > MOST_PADS:
                return f"pads pictures by more than {MOST_PADS} pixels a side, without bounds"
            if number in INSIDE[kind]:
                waiting.append((INSIDE[kind][number], value))
    return ""


def _pads(attribute: memoryview) -> int:
    """The largest number in the list of an attribute, packed or not."""
    largest = 0
    for number, value, _ in _fields(attribute):
        at = 0
        while number == INTEGERS and at < len(value):
            found, at = _varint(value, at)
            largest = max(largest, found)
    return largest


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Number, bytes and offset of each field of a protobuf message; nothing is copied. A number has its own bytes."""
    at = 0
    while at < len(content):
        offset = at
        tag, at = _varint(content, at)
        kind, length = tag & 7, 0
        if kind == VARINT:
            start = at
            _, at = _varint(content, at)
            at, length = start, at - start
        elif kind == BYTES:
            length, at = _varint(content, at)
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        if kind not in (VARINT, BYTES, FIXED32, FIXED64) or tag < 8:
            raise ValueError("a kind of field that ONNX does not have")
        if at + length > len(content):
            raise ValueError("a field that is longer than the file")
        yield tag >> 3, content[at : at + length], offset
        at += length


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _field(number: int, value: bytes) -> bytes:
    length, head = len(value), bytearray([number << 3 | BYTES])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + value
