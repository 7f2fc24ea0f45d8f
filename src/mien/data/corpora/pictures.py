"""Pictures of a corpus, read with care: real sizes before decoding, whole files only, no way out of the tree.

OpenCV decodes a truncated JPEG into a picture with a grey lower half and only warns, and it would decode a
30,000×30,000 PNG of 3 MB into 2.7 GB. So the header is read first (PNG, JPEG, BMP, GIF, WebP, TIFF, PNM) and
the end of the file is looked for. Of an animation the first picture counts.
"""

import errno
import os
import re
import stat
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...crop import MAX_SIDE
from ...errors import BadSample, DataError

__all__ = ["MAX_BYTES", "SUFFIXES", "decode", "inside", "load_picture", "picture_size"]

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"))
MAX_BYTES = 64 << 20
MAX_PIXELS = 1 << 26
"""67 million, 200 MB as RGB: two threads decode at a time."""
PNM = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d{1,9})" + rb"\s")
"""Binary PGM and PPM: kind, width, height, largest value."""
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD8)))


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
    """What the system said; a loop of links is a `RuntimeError` before Python 3.13 and an `OSError` from there on."""
    if isinstance(error, RuntimeError):
        return os.strerror(errno.ELOOP)
    return getattr(error, "strerror", None) or str(error)


def load_picture(path: Path, where: str) -> NDArray[np.uint8]:
    """Read and decode one file into `(H, W, 3)` RGB uint8, upright (EXIF); raises `BadSample`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadSample(where, "not a file")
            if status.st_size > MAX_BYTES:
                raise BadSample(where, f"{status.st_size >> 20} MB, expected at most {MAX_BYTES >> 20} MB")
            data = file.read()
    except OSError as error:
        raise BadSample(where, f"cannot be read ({error.strerror})") from None
    return decode(data, where)


def decode(data: bytes, where: str) -> NDArray[np.uint8]:
    """Decode the bytes of one picture into `(H, W, 3)` RGB uint8, upright (EXIF); raises `BadSample`."""
    if len(data) > MAX_BYTES:
        raise BadSample(where, f"more than {MAX_BYTES >> 20} MB")
    if not data:
        raise BadSample(where, "an empty file")
    try:
        width, height = picture_size(data)
    except (struct.error, IndexError, ValueError):
        raise BadSample(where, "not a whole picture (PNG, JPEG, BMP, GIF, WebP, TIFF or PNM)") from None
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        limit = f"{MAX_SIDE} pixels a side and {MAX_PIXELS >> 20} megapixels"
        raise BadSample(where, f"{width}×{height} pixels, expected at most {limit}")
    if min(width, height) < 1:
        raise BadSample(where, f"{width}×{height} pixels: a picture without pixels")
    if not _is_whole(data):
        raise BadSample(where, "truncated or damaged: the end of the picture is missing")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadSample(where, "a damaged picture that cannot be decoded")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


def picture_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the header alone.

    Raises `ValueError`, `IndexError` or `struct.error` where the bytes are no picture of a known kind.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _two(">II", data, 16)
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    if data[:2] == b"BM":
        width, height = _two("<ii", data, 18)
        return abs(width), abs(height)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _two("<HH", data, 6)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_size(data)
    if header := PNM.match(data):
        return int(header[2]), int(header[3])
    raise ValueError("an unknown kind of picture")


def _two(layout: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, at)
    return first, second


def _jpeg_segments(data: bytes) -> dict[str, int]:
    """Where the frame header (size) and the first scan of a JPEG begin."""
    at, found = 2, dict[str, int]()
    while True:
        if data[at] != 0xFF:
            raise ValueError("not at a marker")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in JPEG_BARE:
            at += 2
        elif marker == 0xDA:
            return found | {"scan": at}
        else:
            if marker in JPEG_FRAMES:
                found["frame"] = at
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _jpeg_size(data: bytes) -> tuple[int, int]:
    segments = _jpeg_segments(data)
    if "frame" not in segments:
        raise ValueError("no frame before the scan")
    height, width = _two(">HH", data, segments["frame"] + 5)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = _two("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("an unknown kind of WebP")


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(order + "I", data, 4)[0]
    size = dict[int, int]()
    for entry in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + 12 * entry
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (256, 257):
            size[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)[0]
    if len(size) != 2:
        raise ValueError("no size in the first directory")
    return size[256], size[257]


def _is_whole(data: bytes) -> bool:
    if data[:2] == b"\xff\xd8":
        # Inside a scan 0xFF is always followed by 0, so an end marker after it is the real one; the one of
        # an EXIF thumbnail comes before.
        return data.find(b"\xff\xd9", _jpeg_segments(data)["scan"]) >= 0
    if data[:4] == b"\x89PNG":
        return _png_is_whole(data)
    if data[:2] == b"BM":
        return len(data) >= int(struct.unpack_from("<I", data, 2)[0])
    if data[:4] == b"RIFF":
        return len(data) >= 8 + int(struct.unpack_from("<I", data, 4)[0])
    if header := PNM.match(data):
        channels, width, height = (3 if header[1] == b"6" else 1), int(header[2]), int(header[3])
        return len(data) >= header.end() + width * height * channels * (2 if int(header[4]) > 255 else 1)
    return True


def _png_is_whole(data: bytes) -> bool:
    at = 8
    while at + 12 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if kind == b"IEND":
            return True
        at = end + 4
    return False


def require_folder(root: Path, corpus: str) -> None:
    """Raise `DataError` unless `root` is a folder."""
    if root.is_dir():
        return
    seen = "is a file" if root.exists() else "does not exist"
    raise DataError(f"{root} {seen}; the {corpus} corpus is a folder.")
