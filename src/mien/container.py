"""Whether a video file is as long as its container declares. This tells a truncated film from a complete one.

The outermost boxes of MP4 and MOV, chunks of AVI and elements of Matroska state their length in bytes. Durations and
numbers of frames are less reliable: complete films declare too much if they were trimmed without recoding, start late,
or come from a program that crashed. MPEG, Ogg and FLV files may be cut anywhere, so nothing can be said about them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_bytes"]

SLACK = 16
"""Some programs count a header twice."""
BOXES = frozenset(
    (
        *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"udta", b"pnot", b"styp", b"sidx"),
        *(b"moof", b"mfra", b"emsg", b"prft"),
    )
)
MOST_BOXES = 100_000
UNKNOWN_RIFF = (0, 0xFFFFFFFF)
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> str:
    """ "the file has 600 of 1,000 bytes", or "" if it is whole, cannot be judged, or cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(12)
            end = _walk(head)(file, size)
    except OSError:
        return ""
    return f"the file has {size:,} of {end:,} bytes" if end > size + SLACK else ""


def _walk(head: bytes) -> Callable[[BinaryIO, int], int]:
    """The function that finds the declared end of a file that starts with these bytes."""
    if head[:4] == b"RIFF":
        return _riff
    if head[:4] == EBML:
        return _matroska
    return _boxes


def _boxes(file: BinaryIO, size: int) -> int:
    at = 0
    for _ in range(MOST_BOXES):
        if at >= size:
            break
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] not in BOXES or length < 8:  # 0: to the end of the file
            break
        at += length
    return at


def _riff(file: BinaryIO, size: int) -> int:
    at = 0
    for _ in range(MOST_BOXES):
        if at >= size:
            break
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in UNKNOWN_RIFF:
            break
        at += 8 + length + length % 2
    return at


def _matroska(file: BinaryIO, size: int) -> int:
    file.seek(4)
    length = _ebml_length(file)
    if length is None:
        return 0
    file.seek(length, 1)
    if file.read(4) != SEGMENT or (length := _ebml_length(file)) is None:
        return 0
    return file.tell() + length


def _ebml_length(file: BinaryIO) -> int | None:
    """A length of 1 to 8 bytes; the first byte encodes how many. None if it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    count = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(count), "big")
    bits = 7 * (count + 1)
    return None if value == (1 << bits + 1) - 1 else value & (1 << bits) - 1
