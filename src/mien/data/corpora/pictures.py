"""Reads the pictures of a corpus safely. Training and prediction decode here, so that both see the same pixels.

Pillow decodes, and refuses files that are cut off. This module adds the limits that protect memory and time: bytes on
disk, the size that the header announces (checked before any pixel is decoded), the size of tiles of a TIFF, the number
of scans of a JPEG, and one large picture at a time. A path may not leave the folder of its corpus. Of an animation, the
first picture is read.
"""

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module
from io import BytesIO
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, ImageOps
from PIL.Image import Image

from ...errors import BadSample, DataError
from ...media import HEAD_BYTES, MAX_PIXELS, READ, VIDEO, kind_of, other_kind, size_fault
from ...reading import open_file

__all__ = ["MAX_BYTES", "decode", "decode_opened", "inside", "load_picture"]

MAX_BYTES = 64 << 20
MAX_SCANS = 64
"""Most scans of a JPEG. Encoders write 1 to 14, and each costs a pass over all pixels: 500 in 7 kB took 18 s."""
MAX_COMMENTS = 10_000
"""Most comments of a PNM in text form: Pillow's time grows with their square, and 4 MB of them took more than half a
minute.
"""
MAX_READS = 400_000
"""Most reads by Pillow from the bytes of one picture, about a second. It reads headers, chunks and fill bytes one by
one: 64 MB of them would take a minute. A PNG of 64 MB with a chunk every 4 kB takes 50,000.
"""
READERS = {
    "PNG": "PngImagePlugin.PngImageFile",
    "JPEG": "JpegImagePlugin.JpegImageFile",
    "BMP": "BmpImagePlugin.BmpImageFile",
    "GIF": "GifImagePlugin.GifImageFile",
    "WebP": "WebPImagePlugin.WebPImageFile",
    "TIFF": "TiffImagePlugin.TiffImageFile",
    "PNM": "PpmImagePlugin.PpmImageFile",
    "JPEG 2000": "Jpeg2KImagePlugin.Jpeg2KImageFile",
    "AVIF": "AvifImagePlugin.AvifImageFile",
    "PCX": "PcxImagePlugin.PcxImageFile",
    "SGI": "SgiImagePlugin.SgiImageFile",
    "TGA": "TgaImagePlugin.TgaImageFile",
}
"""Pillow's readers, by name: `PIL.Image.open` would warn of large pictures before their size is seen here."""
KINDS = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "PPM": "PNM"}
"""Pillow's names of kinds, where they are not those above."""
FEWER_PIXELS = {"JPEG 2000": 16_000_000, "WebP": 40_000_000}
"""Their decoders hold each pixel several times over: with these limits as with the general one, up to 700 MB in all."""
MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])")
"""A JPEG marker that is followed by a length. Bytes between segments and those of a scan contain none."""
START_OF_SCAN, END_OF_IMAGE = b"\xda", b"\xd9"
TILE_SIZE, SUBFILE_TYPE = (322, 323), 254
LARGE = 16_000_000
"""Pixels from which pictures are decoded one at a time, since each takes up to 700 MB."""
BAND = 1 << 18
"""Pixels that are brought to RGB at a time."""
_one_large = threading.Lock()
_one_stderr = threading.Lock()


def inside(root: Path, relative: str, where: str) -> Path:
    """`root / relative`; raises `BadSample` where the name or a link would leave `root`."""
    pure = Path(relative.replace("\\", "/"))
    if not relative or pure.is_absolute() or ".." in pure.parts:
        raise BadSample(where, f"the path {relative!r} is not a path inside the corpus")
    path = root / pure
    try:
        stays = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a link to itself (3.11, 3.12), a NUL
        raise BadSample(where, f"the path {_shortened(relative)} leads nowhere ({_reason(error)})") from None
    if not stays:
        raise BadSample(where, f"{relative!r} is a link that leaves the corpus; copy the file into it")
    return path


def _shortened(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def _reason(error: Exception) -> str:
    """The message of the system. Python before 3.13 raises `RuntimeError` for a loop of links, later ones `OSError`."""
    if isinstance(error, RuntimeError):
        return os.strerror(errno.ELOOP)
    return getattr(error, "strerror", None) or str(error)


def load_picture(path: Path, where: str) -> NDArray[np.uint8]:
    """Read and decode one file into `(H, W, 3)` RGB uint8, upright (EXIF); raises `BadSample`."""
    try:
        with open_file(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadSample(where, f"cannot be read ({error.strerror})") from None
    return decode(data, where)


def decode(data: bytes, where: str, most_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode the bytes of one picture into `(H, W, 3)` RGB uint8, upright (EXIF); raises `BadSample`.

    Of 16-bit samples the upper eight bits are kept. Floating-point samples run from 0 (black) to 1 (white). Alpha is
    dropped. A picture of more than `most_pixels` is refused before it is decoded.
    """
    if len(data) > MAX_BYTES:
        raise BadSample(where, f"more than {MAX_BYTES >> 20} MB")
    if not data:
        raise BadSample(where, "an empty file")
    kind = kind_of(data)
    if kind not in READERS:
        raise BadSample(where, _unread(data[:HEAD_BYTES], kind))
    try:
        return _decoded(data, kind, where, most_pixels)
    except BadSample:
        raise
    except Exception as error:  # Pillow's readers raise whatever they stumble over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadSample(where, f"a truncated, damaged or unusual {kind} ({reason[:100]})") from None


def _unread(head: bytes, kind: str) -> str:
    known = f"expected {', '.join(READ[:-1])} or {READ[-1]}"
    if kind == VIDEO:
        return f"a video, {known}"
    if other := other_kind(head):
        return f"{other}, {known}"
    return f"a {kind} picture, {known}; convert it to one of these" if kind else f"not a picture, {known}"


class _Counted(BytesIO):
    """The bytes of a picture, for a parser whose number of steps is bounded."""

    def __init__(self, data: bytes, kind: str, where: str) -> None:
        super().__init__(data)
        self._left, self._kind, self._where = MAX_READS, kind, where

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises `BadSample` where it was read from too often."""
        self._left -= 1
        if self._left < 0:
            raise BadSample(self._where, f"a {self._kind} of more than {MAX_READS:,} parts")
        return super().read(size)


def _decoded(data: bytes, kind: str, where: str, most_pixels: int) -> NDArray[np.uint8]:
    with _reader(kind)(_Counted(data, kind, where)) as picture:
        _check_size(picture.size, kind, where, most_pixels)
        _check(picture, data, kind, where)
        with _loaded(picture, kind, where):
            with suppress(Exception):  # EXIF that cannot be read turns nothing
                ImageOps.exif_transpose(picture, in_place=True)
            return _rgb(picture, picture.format, where)


def decode_opened(picture: Image, where: str) -> NDArray[np.uint8]:
    """As `decode`, for a picture that Pillow has opened already. The picture is not changed. Raises `BadSample`."""
    kind = KINDS.get(picture.format or "", picture.format or "")
    try:
        _check(picture, _file_of(picture) if kind in ("JPEG", "PNM") else b"", kind, where)
        with _loaded(picture, kind, where):
            turned = picture
            with suppress(Exception):
                turned = ImageOps.exif_transpose(picture)
            return _rgb(turned, picture.format, where)
    except BadSample:
        raise
    except Exception as error:  # Pillow's readers raise whatever their kind of file raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadSample(where, f"a PIL image that cannot be decoded ({reason[:100]})") from None


def _file_of(picture: Image) -> bytes:
    """The bytes that Pillow has not decoded yet. There are none if the picture is in memory."""
    file = getattr(picture, "fp", None)
    if file is None or not getattr(picture, "tile", None):
        return b""
    place = file.tell()
    file.seek(0)
    data: bytes = file.read(MAX_BYTES + 1)
    file.seek(place)
    return data


@contextmanager
def _loaded(picture: Image, kind: str, where: str) -> Iterator[None]:
    """Decode the pixels; large pictures wait for each other until the body ends."""
    with _one_large if picture.width * picture.height > LARGE else nullcontext():
        with _stderr_shut() if kind == "TIFF" else nullcontext():
            picture.load()
        _check_size(picture.size, kind, where)
        yield


@cache
def _reader(kind: str) -> type[ImageFile.ImageFile]:
    module, _, name = READERS[kind].partition(".")
    reader: type[ImageFile.ImageFile] = getattr(import_module(f"PIL.{module}"), name)
    return reader


def _check(picture: Image, data: bytes, kind: str, where: str) -> None:
    """Raise `BadSample` for a picture that would take too much memory or time, before any pixel is decoded."""
    _check_size(picture.size, kind, where)
    if kind == "JPEG" and (scans := _scans(data)) > MAX_SCANS:
        raise BadSample(where, f"a JPEG of {scans} scans, expected at most {MAX_SCANS}")
    if kind == "PNM" and data[:2] in (b"P1", b"P2", b"P3") and (comments := data.count(b"#")) > MAX_COMMENTS:
        raise BadSample(where, f"a PNM of {comments:,} comments, expected at most {MAX_COMMENTS:,}")
    if kind == "TIFF":
        tags: Any = getattr(picture, "tag_v2", {})  # a copy in memory has none
        _check_size([tags.get(tag, 1) for tag in TILE_SIZE], kind, where)
        if tags.get(SUBFILE_TYPE, 0) & 1:
            raise BadSample(where, "a camera's raw file, of which only the preview can be read; convert it to JPEG")


def _check_size(size: Any, kind: str, where: str, most: int = MAX_PIXELS) -> None:
    width, height = size
    if fault := size_fault(width, height, min(most, FEWER_PIXELS.get(kind, MAX_PIXELS))):
        raise BadSample(where, fault)


def _scans(data: bytes) -> int:
    """The number of scans of a JPEG. Data behind its end, such as a film, are ignored."""
    at, scans = 2, 0
    while (marker := MARKER.search(data, at)) and marker[1] != END_OF_IMAGE:
        scans += marker[1] == START_OF_SCAN
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return scans


@contextmanager
def _stderr_shut() -> Iterator[None]:
    """Silence libtiff, which writes to the stderr of the process directly. The caller reports the error."""
    with _one_stderr:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(nowhere)
            os.close(kept)


def _rgb(picture: Image, format: str | None, where: str) -> NDArray[np.uint8]:
    """A decoded picture as an array, converted in bands of rows. Converted whole, it would be in memory three times."""
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, BAND // picture.width)
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        band.info.pop("transparency", None)
        rgb[top : top + rows] = _band(band, format, where)
    return rgb


def _band(band: Image, format: str | None, where: str) -> NDArray[np.uint8]:
    """`(h, w, 3)`, or `(h, w, 1)` for grey of more than eight bits."""
    if band.mode == "F":
        grey = np.asarray(band)[..., None]
        low, high = float(grey.min()), float(grey.max())
        if isnan(low):
            raise BadSample(where, "floating-point pixels that are no numbers (NaN), expected 0 (black) to 1 (white)")
        if not 0 <= low <= high <= 1:
            raise BadSample(where, f"floating-point pixels from {low:g} to {high:g}, expected 0 (black) to 1 (white)")
        return (grey * 255 + 0.5).astype(np.uint8)
    if band.mode.startswith("I"):
        grey = np.asarray(band)[..., None]
        if band.mode == "I" and format != "PPM":
            raise BadSample(where, "32 bits a pixel, expected 8 or 16; convert it to PNG")
        return (grey >> 8).astype(np.uint8)
    return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def require_folder(root: Path, corpus: str) -> None:
    """Raise `DataError` unless `root` is a folder."""
    if root.is_dir():
        return
    seen = "is a file" if root.exists() else "does not exist"
    raise DataError(f"{root} {seen}; the {corpus} corpus is a folder.")
