"""Reads every supported form of a picture as `(H, W, 3)` RGB uint8.

In: a path, the bytes of a file, an open file, a data URL, a PIL image, an array or a tensor. Out: the picture, upright.
Ambiguous input (values that are not uint8, channels first) is refused with one sentence that says how to convert it.
"""

import base64
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PilImage

from .data.corpora.pictures import MAX_BYTES, decode, decode_opened, load_picture
from .errors import BadSample
from .media import HEAD_BYTES, VIDEO, is_url, kind_by_content, kind_of, size_fault
from .shown import brief, sentence
from .video import CAMERA

__all__ = ["NO_URLS", "Image", "name_of", "one_by_one", "read_image"]


class ReadsBytes(Protocol):
    """An open file."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""


class GivesArray(Protocol):
    """A PIL image, a tensor on the processor, or anything else that numpy converts."""

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        """The pixels."""


Image = str | os.PathLike[str] | bytes | bytearray | memoryview | ReadsBytes | GivesArray | NDArray[np.uint8]
"""A picture: its file, that file's bytes or their data URL, the open file, a PIL image, or uint8 `(H, W)` grey,
`(H, W, 3)` RGB or `(H, W, 4)` RGBA."""

EXPECTED = (
    "a path, the bytes of a file, an open file, a PIL image or a uint8 array (H, W), (H, W, 3) RGB or (H, W, 4) RGBA"
)
NO_URLS = "mien reads no URLs; download the picture first, or: curl -sL URL | mien predict -"
CHANNELS = ((), (1,), (3,), (4,))
DATA_URL = re.compile(r"\s*data:(?:[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*,", re.IGNORECASE)
BASE64 = ";base64,"


def one_by_one(images: Any) -> Iterable[Any]:
    """One picture or many, as an iterable of pictures. Anything else is returned as the only item, and `read_image`
    refuses it.
    """
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Mapping) or hasattr(images, "read"):
        return [images]
    shape = getattr(images, "shape", None)
    if hasattr(images, "__array__") and isinstance(shape, tuple):
        many = len(shape) == 4 or (len(shape) == 1 and images.dtype.kind in "OSU")  # pictures, or paths
        return images if many and isinstance(images, Iterable) else [images]
    return images if isinstance(images, Iterable) else [images]


def name_of(image: Any) -> str:
    """The name of the picture in results: its path, the beginning of a data URL, or an empty text."""
    if not isinstance(image, str | os.PathLike):
        return ""
    if isinstance(image, str) and DATA_URL.match(image):
        return brief(image)
    try:
        return sentence(os.fsdecode(image))
    except Exception:  # of a foreign class, whose path is refused where it is read
        return brief(image)


def read_image(image: Any, where: str) -> NDArray[np.uint8]:
    """`(H, W, 3)` RGB uint8, upright; raises `BadSample`, which names the picture as `where`."""
    if isinstance(image, str) and (head := DATA_URL.match(image)):
        return _of_data_url(head[0], image[head.end() :], where)
    if isinstance(image, str | os.PathLike):
        return _of_path(image, where)
    if isinstance(image, bytes | bytearray | memoryview):
        return _of_bytes(image, where)
    if hasattr(image, "read"):
        return _of_file(image, where)
    if isinstance(image, PilImage):
        return decode_opened(image, where)
    if image is None:
        raise BadSample(where, f"None, as cv2.imread returns for a file that it cannot read; expected {EXPECTED}")
    if not hasattr(image, "__array__"):
        advice = "; a list of pixels is turned by np.array(image, 'uint8')" if isinstance(image, list | tuple) else ""
        raise BadSample(where, f"{brief(image)}, expected {EXPECTED}{advice}")
    return _of_array(image, where)


def _of_path(given: "str | os.PathLike[Any]", where: str) -> NDArray[np.uint8]:
    try:
        path = os.fsdecode(given)
    except Exception as error:  # of a foreign class
        raise BadSample(where, f"{brief(given)}, whose __fspath__ gives no path ({_first_line(error)})") from None
    if is_url(path):
        raise BadSample(where, NO_URLS)
    if path.startswith(CAMERA):
        raise BadSample(where, "a camera; predictor.stream reads cameras")
    try:
        return load_picture(Path(path), where)
    except ValueError as error:  # a NUL, half a letter
        raise BadSample(where, f"not the name of a file ({error})") from None
    except BadSample as error:
        raise _video_or(error, path, where) from None


def _video_or(error: BadSample, path: str, where: str) -> BadSample:
    """The error for a file that is not a picture. If it is a video, the message says what to do."""
    if kind_by_content(Path(path)) != VIDEO:
        return error
    return BadSample(where, "a video, expected a picture; predictor.stream reads videos")


def _of_bytes(data: "bytes | bytearray | memoryview", where: str) -> NDArray[np.uint8]:
    view = memoryview(data)
    if view.nbytes > MAX_BYTES:
        raise BadSample(where, f"more than {MAX_BYTES >> 20} MB")
    whole = bytes(view)
    if kind_of(whole[:HEAD_BYTES]) == VIDEO:
        raise BadSample(where, "the bytes of a video, expected a picture; write them to a file, which can be streamed")
    return decode(whole, where)


def _of_data_url(head: str, text: str, where: str) -> NDArray[np.uint8]:
    """White space, such as MIME's line breaks, is ignored; `%2B` is a `+` that a form escaped."""
    if len(text) > 2 * MAX_BYTES:
        raise BadSample(where, f"a data URL of {len(text) >> 20} MB, expected at most {2 * MAX_BYTES >> 20}")
    if not head.lower().endswith(BASE64):
        raise BadSample(where, "a data URL without base64, expected one as data:image/png;base64,…")
    try:
        return decode(base64.b64decode("".join(unquote(text).split()), validate=True), where)
    except ValueError as error:  # letters beyond ASCII too
        raise BadSample(where, f"a data URL whose base64 is damaged ({error})") from None


def _of_file(file: Any, where: str) -> NDArray[np.uint8]:
    try:
        data = file.read(MAX_BYTES + 1)
    except Exception as error:  # closed, not opened for reading, of a foreign library
        raise BadSample(where, f"an open file that cannot be read ({_first_line(error)})") from None
    if isinstance(data, bytes | bytearray | memoryview):
        if not data:
            raise BadSample(where, "an open file with nothing left to read; if it was read or written before, seek(0)")
        return _of_bytes(data, where)
    if hasattr(data, "close"):
        data.close()  # of an asynchronous file: it is not waited for
    raise BadSample(where, f"a file whose read() gives {brief(type(data).__name__)}, expected bytes; open it with 'rb'")


def _of_array(image: Any, where: str) -> NDArray[np.uint8]:
    try:
        array = np.asarray(image)
    except Exception as error:  # a tensor on a GPU, or one that is being differentiated
        raise BadSample(where, f"{brief(image)} that numpy cannot take ({_first_line(error)})") from None
    if array.ndim not in (2, 3) or array.shape[2:] not in CHANNELS or array.dtype != np.uint8:
        raise BadSample(where, f"{brief(array)}, expected {EXPECTED}{_advice(image, array)}")
    _check_size(array.shape[1], array.shape[0], where)
    planes = array[..., None] if array.ndim == 2 else array[..., :3]
    return np.ascontiguousarray(np.broadcast_to(planes, (*array.shape[:2], 3)))


def _advice(image: Any, array: NDArray[Any]) -> str:
    """How to convert an array that is nearly a picture."""
    turned, of_torch = [], hasattr(image, "permute")
    if array.ndim == 3 and array.shape[:1] in CHANNELS and array.shape[2:] not in CHANNELS:
        turned.append("image.permute(1, 2, 0)" if of_torch else "image.transpose(1, 2, 0)")
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        turned.append("(255 * image).round().byte()" if of_torch else "(255 * image).round().astype('uint8')")
    elif array.dtype.kind in "iufb" and array.dtype != np.uint8:
        turned.append("its values scaled to 0 to 255 and .astype('uint8')")
    return f"; what may help: {' and '.join(turned)}" if turned else ""


def _check_size(width: int, height: int, where: str) -> None:
    if fault := size_fault(width, height):
        raise BadSample(where, fault)


def _first_line(error: Exception) -> str:
    return brief(str(error).partition("\n")[0] or type(error).__name__).strip("'\"")
