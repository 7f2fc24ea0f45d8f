"""A trained model as one file, `NAME.onnx`, opened without torch and without the onnx package.

It is a plain ONNX model (the planes of samples in, of faces uint8 `(B, H, W, C)`; logits `(B, K)` out) with two entries
at the end of its metadata: `mien`, the card as JSON, and `mien.sha256`, the hash of every byte before that last entry.
Both are appended to the exporter's output, so any ONNX tool still opens the file. The hash shows damage and tampering.
It is not a signature: whoever changes a file can compute a new hash.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from importlib import import_module, resources
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .calibration import softmax
from .card import Card, read_card, write_card
from .crop import CropSpec
from .errors import BundleError, DataError
from .modelfile import entry, foreign, metadata
from .planes import FACE, Batch, Plane
from .reading import GivenPath, given_count, given_path

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["BATCH", "MOST_THREADS", "Bundle", "find_model", "input_name", "runtime", "seal", "with_card"]

MOST_THREADS = 1024
BATCH = 64
"""Faces in one pass of the network; more are split, so that memory does not grow with their number."""
MAX_BYTES = (1 << 31) - 1
"""Protobuf's own limit."""
MAX_CARD_BYTES = 1 << 20
CARD, HASH = b"mien", b"mien.sha256"
TYPES = {"float32": "float", **{name: name for name in ("uint8", "uint16", "int16", "int64")}}
"""Types of arrays as ONNX names them."""
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+")
"""The beginning of a URL after `Path` has removed one of its slashes. A drive of Windows has only one letter."""
WORDS = 200
"""An error message quotes at most this many characters of ONNX Runtime's own message."""
NOT_ONNX, NO_CARD = "is not an ONNX model", "is not a mien bundle: it has no card"
TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime 1.29 and later send telemetry about every loaded model, unless this is set before they are imported."""


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
    def open(cls, path: GivenPath = "default", *, threads: int = 0) -> "Bundle":
        """Open a model file, or one that comes with mien, by its name: "default", "small" or "ferplus"; of
        clips, "micro".

        Args:
            path: a file that `mien export` wrote.
            threads: threads of one prediction; 0 takes the machine's cores.

        Raises:
            ConfigError: `threads` is out of its range.
            BundleError: the file is missing, is no mien bundle, is cut off, was changed, or has a later format.
        """
        path = find_model(path)
        threads = given_count(threads, "threads, 0 for all cores,", 0, MOST_THREADS)
        content = _read(path)
        try:
            card = _unseal(content)
        except BundleError as error:
            raise BundleError(f"{path} {error}. {_advice(str(error), path)}") from None
        return cls(path, card, content, threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names; the position is the column of the logits."""
        return self.card.labels

    @property
    def crop(self) -> CropSpec:
        """How a face is cut out for this network."""
        return self.card.crop

    def load(self) -> None:
        """Load the network now rather than at the first prediction. Raises `BundleError` if it cannot be loaded."""
        self._network()

    @property
    def takes(self) -> tuple[Plane, ...]:
        """The planes that its network takes: the face, or those that its card names."""
        return self.card.takes

    def require_faces(self) -> None:
        """Raise `BundleError` if the model takes anything but a face: a single picture gives nothing else."""
        if self.card.planes != (FACE,):
            raise BundleError(
                f"{self.path} takes {', '.join(self.card.planes)}, so it labels clips and no single pictures. Use "
                "`mien predict CLIP --micro`."
            )

    def logits(self, batch: Batch, /) -> NDArray[np.float32]:
        """Logits `(B, K)` float32 of `{"face": crops}`, `(B, H, W, C)` uint8, as `crop` makes them from `card.crop`.

        A model of other planes takes them by name, `(B, *shape)`, as `takes` describes them.

        Raises:
            DataError: a plane is missing, or of another shape or type.
            BundleError: the network cannot be loaded or run, or its output is not logits (wrong shape, NaN or
            infinity).
        """
        given = {input_name(plane): _plane_of(batch, plane) for plane in self.takes}
        count = len(next(iter(given.values())))
        if any(len(array) != count for array in given.values()):
            raise DataError(f"The planes {', '.join(self.card.planes)} have different numbers of samples.")
        network = self._network()
        logits = np.empty((count, len(self.card.labels)), np.float32)
        for start in range(0, count, BATCH):
            part = slice(start, start + BATCH)
            logits[part] = self._answer(network, {name: array[part] for name, array in given.items()})
        return logits

    def probs(self, batch: Batch, /) -> NDArray[np.float64]:
        """Calibrated probabilities `(B, K)` of `{"face": crops}`: `softmax(logits / temperature)`."""
        return self.calibrate(self.logits(batch))

    def calibrate(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities `(B, K)` from this model's logits `(B, K)`."""
        return softmax(logits / np.float64(self.card.temperature))

    def _answer(
        self, network: "onnxruntime.InferenceSession", given: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float32]:
        expected = len(next(iter(given.values()))), len(self.card.labels)
        try:
            logits: NDArray[np.float32] = network.run(None, dict(given))[0]
        except Exception as error:  # onnxruntime's own classes differ between its versions
            raise BundleError(f"{self.path}: ONNX Runtime cannot run the network ({_words(error)}).") from None
        if logits.shape != expected:
            raise BundleError(f"{self.path}: the network gave logits {logits.shape} where {expected} were expected.")
        if not np.isfinite(logits).all():
            raise BundleError(
                f"{self.path}: the network's logits are NaN or infinite. Train that run again, and export it."
            )
        return logits

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path of the file. The other process opens it again, and refuses it if its content differs."""
        return _opened_there, (self.path.resolve(), self._threads, self.card.sha256)

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
            raise BundleError(f"{self.path}: ONNX Runtime cannot load the network ({_words(error)}).") from None
        _check_network(network, self.card, self.path)
        return network


def input_name(plane: Plane) -> str:
    """The name of a plane in the graph of a model file."""
    return "images" if plane.name == FACE else plane.name


def _plane_of(batch: Batch, plane: Plane) -> NDArray[Any]:
    """A plane of a batch; raises `DataError` if it is missing or has another type or shape."""
    array = np.asarray(batch.get(plane.name))
    if array.ndim != 1 + len(plane.shape) or array.shape[1:] != plane.shape or array.dtype != plane.dtype:
        named = "" if plane.name == FACE else f"{plane.name} as "
        raise DataError(
            f"The model takes {named}{plane.dtype} (B, {str(plane.shape)[1:]}; got {array.dtype} {array.shape}."
        )
    return array


def _opened_there(path: Path, threads: int, sha256: str) -> Bundle:
    """The model of a pickled `Bundle`, in the process that unpickles it."""
    bundle = Bundle.open(path, threads=threads)
    if bundle.card.sha256 != sha256:
        raise BundleError(
            f"{path} was replaced by another model while it was in use; open the new one in every process."
        )
    return bundle


def runtime() -> ModuleType:
    """ONNX Runtime, loaded without its telemetry; set `ORT_DISABLE_TELEMETRY=0` to keep the telemetry on."""
    unwanted = os.environ.setdefault(TELEMETRY, "1") != "0"
    onnxruntime = import_module("onnxruntime")
    if unwanted:
        onnxruntime.disable_telemetry_events()  # for Windows, and if it was loaded before mien
    return onnxruntime


def find_model(path: GivenPath) -> Path:
    """The file of a model: `path` itself, or that of a model of the package ("default", "small", "ferplus")."""
    found, name = given_path(path, "A model", BundleError), os.fsdecode(path)
    inside = resources.files("mien") / "weights" / f"{name}.onnx"
    if found.name == name and os.path.isfile(str(inside)):  # ./NAME is a file
        return Path(str(inside))
    if name == "default":
        raise BundleError("This copy of mien comes without a default model. Train one and pass it with --model.")
    return found


def seal(model: bytes, card: Card) -> bytes:
    """The bytes of a bundle: an exported ONNX `model`, its card, and the hash of both.

    Raises `BundleError` if the model already has a card, or if the file would be too large.
    """
    if any(key in (CARD, HASH) for key, _, _ in metadata(model)):
        raise BundleError("The model is a mien bundle already; seal what the exporter wrote.")
    content = model + entry(CARD, write_card(card).encode())
    content += entry(HASH, hashlib.sha256(content).hexdigest().encode())
    if len(content) > MAX_BYTES:
        raise BundleError(f"The model has {len(content) >> 20} MB, and one file holds at most {MAX_BYTES >> 20}.")
    return content


def with_card(bundle: bytes, card: Card) -> bytes:
    """The bytes of a bundle with another card: its network stays as it is, byte for byte.

    Raises `BundleError` where `bundle` is none, or was changed.
    """
    _unseal(bundle)
    start = next(start for key, _, start in metadata(bundle) if key == CARD)
    return seal(bundle[:start], card)


def _unseal(content: bytes) -> Card:
    """The card of a bundle. Raises `BundleError`; its message continues a sentence that begins with the path."""
    try:
        entries = list(metadata(content))
    except (ValueError, IndexError):
        started = content[:1] == b"\x08"  # an ONNX model starts with its ir_version
        raise BundleError("is cut off or damaged" if started else NOT_ONNX) from None
    cards = [value for key, value, _ in entries if key == CARD]
    if not cards:
        raise BundleError(NO_CARD)
    key, value, start = entries[-1]
    if key != HASH or start + len(entry(key, value)) != len(content):
        raise BundleError("is cut off, or something was added to it: it does not end with its hash")
    sha256 = hashlib.sha256(memoryview(content)[:start]).hexdigest()
    if value != sha256.encode() or len(cards) > 1:
        raise BundleError("was changed after it was written: its hash does not fit")
    if len(cards[0]) > MAX_CARD_BYTES:
        raise BundleError(f"has a card of {len(cards[0]) >> 20} MB")
    if reason := foreign(content):
        raise BundleError(reason)
    return read_card(cards[0].decode("utf-8", "replace"), sha256)


def _advice(reason: str, path: Path) -> str:
    """What to do about a refused file. It never suggests overwriting a file that mien did not make, such as a
    photograph.
    """
    if reason in (NOT_ONNX, NO_CARD) or path.suffix != ".onnx":
        return "A model is one file, NAME.onnx, as `mien export RUN -o NAME.onnx` writes it."
    return f"Export it again with `mien export RUN -o {path.name}`."


def _read(path: Path) -> bytes:
    try:
        if not os.path.isfile(path):  # it raises no error for a name that is too long or has a NUL
            if found := ADDRESS.match(str(path)):
                address = f"{found[1]}://{str(path)[found.end() :]}"
                raise BundleError(f"{address}: mien reads no URLs; download the model first, and give its file.")
            seen = "is not a file" if os.path.exists(path) else "does not exist"
            raise BundleError(
                f"{path} {seen}; a model is one file, NAME.onnx, as `mien export` writes it, or one of "
                f"those that come with mien: {', '.join(_inside())}."
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
    puts = (*session.get_inputs(), *session.get_outputs())
    seen = [(put.name, put.type, put.shape[1:]) for put in puts]
    expected = [(input_name(plane), f"tensor({TYPES[plane.dtype]})", [*plane.shape]) for plane in card.takes]
    expected.append(("logits", "tensor(float)", [len(card.labels)]))
    if seen != expected:
        raise BundleError(f"{path}: the network does not fit its card: it has {_short(seen)}, expected {expected}.")
    if any(isinstance(put.shape[0], int) for put in puts):
        raise BundleError(f"{path}: the network takes a fixed number of faces at a time; a model takes any number.")


def _words(error: Exception) -> str:
    """The first line of ONNX Runtime's message, shortened: names in a file may have any length and any characters."""
    return _short(next(iter(str(error).splitlines()), type(error).__name__))


def _short(seen: object) -> str:
    words = "".join(letter if letter.isprintable() else "?" for letter in str(seen))
    return words if len(words) <= WORDS else f"{words[:WORDS]}…"
