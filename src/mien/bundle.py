"""A trained model as one file, `NAME.onnx`, opened without torch and without the onnx package.

It is a plain ONNX model (uint8 `(B, H, W, C)` in, logits `(B, K)` out) with two entries at the end of its metadata:
`mien`, the card as JSON, and `mien.sha256`, the hash of every byte before that last entry. An ONNX file is a
protobuf message, whose fields may stand in any order and whose entries add up, so both are appended to what the
exporter wrote; any ONNX tool still opens the file. The hash finds accidents and edits; it is no signature.
"""

import hashlib
import os
from collections.abc import Iterator
from importlib import import_module, resources
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .calibration import softmax
from .card import Card, read_card, write_card
from .errors import BundleError, DataError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["BATCH", "Bundle", "find_model", "runtime", "seal"]

BATCH = 64
"""Faces in one pass of the network; more are split, so that memory does not grow with their number."""
MAX_BYTES = (1 << 31) - 1
"""Protobuf's own limit."""
MAX_CARD_BYTES = 1 << 20
CARD, HASH = b"mien", b"mien.sha256"
METADATA_PROPS = 14
"""Number of the field `ModelProto.metadata_props`; its entries have fields 1, the key, and 2, the value."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime 1.29 and later tell their maker of every model that is loaded, unless this is set before they load."""


class Bundle:
    """An opened model file, which threads may share. The network itself is loaded at the first prediction."""

    def __init__(self, path: Path, card: Card, content: bytes, threads: int) -> None:
        self.path = path
        self.card = card
        self._content = content
        self._threads = threads
        self._lock = Lock()
        self._opened: onnxruntime.InferenceSession | None = None

    @classmethod
    def open(cls, path: Path | str = "default", *, threads: int = 0) -> "Bundle":
        """Open a model file, or one that comes with mien, by its name: "default", "small" or "ferplus".

        Args:
            path: a file that `mien export` wrote.
            threads: threads of one prediction; 0 takes the machine's cores.

        Raises:
            BundleError: it is absent, no mien bundle, cut off, changed, or of a later format.
        """
        path = find_model(path)
        if threads < 0:
            raise BundleError(f"A prediction takes 0 threads (all cores) or more; got {threads}.")
        content = _read(path)
        try:
            card = _unseal(content)
        except BundleError as error:
            raise BundleError(f"{path} {error}. Export it again with `mien export RUN -o {path.name}`.") from None
        return cls(path, card, content, threads)

    def load(self) -> None:
        """Load the network now rather than at the first prediction; raises `BundleError` where it cannot be."""
        self._network()

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits `(B, K)` float32 of face crops `(B, H, W, C)` uint8, as `crop` makes them from `card.crop`.

        Raises `DataError` where the crops are of another shape or type.
        """
        spec = self.card.crop
        expected = (spec.size, spec.size, spec.channels)
        if images.ndim != 4 or images.shape[1:] != expected or images.dtype != np.uint8:
            raise DataError(f"The model takes uint8 (B, {str(expected)[1:]}; got {images.dtype} {images.shape}.")
        network = self._network()
        logits = np.empty((len(images), len(self.card.labels)), np.float32)
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            logits[part] = network.run(None, {"images": images[part]})[0]
        return logits

    def probs(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated probabilities `(B, K)` of face crops `(B, H, W, C)`: `softmax(logits / temperature)`."""
        return self.calibrated(self.logits(images))

    def calibrated(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities `(B, K)` of this model's logits `(B, K)`."""
        return softmax(logits / np.float64(self.card.temperature))

    def _network(self) -> "onnxruntime.InferenceSession":
        with self._lock:
            if self._opened is None:
                self._opened = self._open_network()
                self._content = b""
            return self._opened

    def _open_network(self) -> "onnxruntime.InferenceSession":
        onnxruntime = runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 4
        try:
            network = onnxruntime.InferenceSession(self._content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes differ between its versions
            raise BundleError(f"{self.path}: ONNX Runtime cannot load the network ({_first_line(error)}).") from None
        _check_network(network, self.card, self.path)
        return network


def runtime() -> ModuleType:
    """ONNX Runtime, loaded without its telemetry; who wants that sets `ORT_DISABLE_TELEMETRY=0`."""
    unwanted = os.environ.setdefault(TELEMETRY, "1") != "0"
    onnxruntime = import_module("onnxruntime")
    if unwanted:
        onnxruntime.disable_telemetry_events()  # for Windows, and where it was loaded before mien
    return onnxruntime


def find_model(path: Path | str) -> Path:
    """The file of a model: `path` itself, or the one in the package that it names ("default", "small", "ferplus")."""
    inside = resources.files("mien") / "weights" / f"{path}.onnx"
    if Path(path).name == str(path) and inside.is_file():
        return Path(str(inside))
    if str(path) == "default":
        raise BundleError("This copy of mien comes without a default model. Train one and pass it with --model.")
    return Path(path)


def seal(model: bytes, card: Card) -> bytes:
    """The bytes of a bundle: an exported ONNX `model`, its card, and the hash of both.

    Raises `BundleError` where the model already has a card or the whole would be too large.
    """
    if any(key in (CARD, HASH) for key, _, _ in _metadata(model)):
        raise BundleError("The model is a mien bundle already; seal what the exporter wrote.")
    content = model + _entry(CARD, write_card(card).encode())
    content += _entry(HASH, hashlib.sha256(content).hexdigest().encode())
    if len(content) > MAX_BYTES:
        raise BundleError(f"The model has {len(content) >> 20} MB, and one file holds at most {MAX_BYTES >> 20}.")
    return content


def _unseal(content: bytes) -> Card:
    """The card of a bundle; raises `BundleError` with the part of a sentence that follows its path."""
    try:
        entries = list(_metadata(content))
    except (ValueError, IndexError):
        started = content[:1] == b"\x08"  # an ONNX model starts with its ir_version
        raise BundleError("is cut off or damaged" if started else "is not an ONNX model") from None
    cards = [value for key, value, _ in entries if key == CARD]
    if not cards:
        raise BundleError("is not a mien bundle: it has no card")
    key, value, start = entries[-1]
    if key != HASH or start + len(_entry(key, value)) != len(content):
        raise BundleError("is cut off, or something was added to it: it does not end with its hash")
    sha256 = hashlib.sha256(memoryview(content)[:start]).hexdigest()
    if value != sha256.encode() or len(cards) > 1:
        raise BundleError("was changed after it was written: its hash does not fit")
    if len(cards[0]) > MAX_CARD_BYTES:
        raise BundleError(f"has a card of {len(cards[0]) >> 20} MB")
    return read_card(cards[0].decode("utf-8", "replace"), sha256)


def _metadata(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Key, value and offset of each metadata entry; raises `ValueError` or `IndexError` for broken protobuf."""
    for number, value, offset in _fields(memoryview(content)):
        if number == METADATA_PROPS:
            entry = {part: bytes(text) for part, text, _ in _fields(value)}
            yield entry.get(1, b""), entry.get(2, b""), offset


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Number, bytes (none for numbers) and offset of each field of a protobuf message; nothing is copied."""
    at = 0
    while at < len(content):
        offset = at
        tag, at = _varint(content, at)
        kind, length = tag & 7, 0
        if kind == VARINT:
            _, at = _varint(content, at)
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


def _entry(key: bytes, value: bytes) -> bytes:
    body = _field(1, key) + _field(2, value)
    return _field(METADATA_PROPS, body)


def _field(number: int, value: bytes) -> bytes:
    length, head = len(value), bytearray([number << 3 | BYTES])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + value


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            seen = "is not a file" if path.exists() else "does not exist"
            raise BundleError(
                f"{path} {seen}; a model is one file, NAME.onnx, as `mien export` writes it, or one of those that come "
                f"with mien: {', '.join(_inside())}."
            )
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} has {path.stat().st_size >> 20} MB; a model has at most {MAX_BYTES >> 20}.")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}).") from None
    if not content:
        raise BundleError(f"{path} is empty; a model is one file, NAME.onnx, as `mien export` writes it.")
    return content


def _inside() -> list[str]:
    """The names of the models that come with mien."""
    files = (file.name for file in (resources.files("mien") / "weights").iterdir())
    return sorted(name.removesuffix(".onnx") for name in files if name.endswith(".onnx"))


def _check_network(session: "onnxruntime.InferenceSession", card: Card, path: Path) -> None:
    seen = [(put.name, put.type, put.shape[1:]) for put in (*session.get_inputs(), *session.get_outputs())]
    spec = card.crop
    expected = [
        ("images", "tensor(uint8)", [spec.size, spec.size, spec.channels]),
        ("logits", "tensor(float)", [len(card.labels)]),
    ]
    if seen != expected:
        raise BundleError(f"{path}: the network does not fit its card: it has {seen}, expected {expected}.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
