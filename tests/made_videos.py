"""Videos for tests: frames that carry their number, and files patched to turn, stretch or announce too much."""

import math
import os
import struct
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn import draw_face

__all__ = [
    "Camera",
    "announce",
    "faces_moving",
    "number_of",
    "numbered",
    "retime",
    "stretch",
    "trim",
    "turn",
    "write_video",
    "y4m",
]

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80"}
BLOCK = 16
QUARTERS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""A film's turn, clockwise, as the first four entries of its matrix."""


def numbered(count: int, height: int = 96, width: int = 128) -> Iterable[NDArray[np.uint8]]:
    """Grey RGB frames whose top left corner spells their number in eight black and white blocks."""
    for number in range(count):
        frame = np.full((height, width, 3), 90, np.uint8)
        for bit in range(8):
            frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
        yield frame


@cache
def drawn(subject: int, expression: str) -> NDArray[np.uint8]:
    """A drawn face of 96 pixels."""
    return draw_face(subject, expression, seed=0, index=subject, size=96).image


def faces_moving(count: int, subjects: Sequence[int] = (7,)) -> Iterable[NDArray[np.uint8]]:
    """RGB frames, 144 pixels high, of drawn faces side by side that sway and change their expression now and then."""
    for number in range(count):
        frame = np.full((144, 176 * len(subjects), 3), 130, np.uint8)
        expression = ("neutral", "happiness", "surprise")[number // 50 % 3]
        x = 40 + round(12 * math.sin(number / 15))
        for place, subject in enumerate(subjects):
            left = 176 * place + x
            frame[24:120, left : left + 96] = drawn(subject, expression)
        yield frame


class Camera:
    """A stand-in: so many frames, then nothing."""

    def __init__(self, count: int) -> None:
        self.left = [cv2.cvtColor(f, cv2.COLOR_RGB2BGR) for f in numbered(count)]
        self.released = False

    def read(self) -> tuple[bool, object]:
        return (True, self.left.pop(0)) if self.left else (False, None)

    def get(self, prop: int) -> float:
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_COUNT: -1.0}.get(prop, 0.0)

    def release(self) -> None:
        self.released = True


def number_of(frame: NDArray[np.uint8]) -> int:
    """The number that a frame of `numbered` carries."""
    middle = BLOCK // 2
    return sum(int(frame[middle, bit * BLOCK + middle, 0] > 128) << bit for bit in range(8))


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float = 25.0, codec: str = "") -> Path:
    """RGB frames as a video of the container that the suffix names."""
    writer = None
    for frame in frames:
        if writer is None:
            fourcc = cv2.VideoWriter.fourcc(*(codec or CODECS[path.suffix]))
            writer = cv2.VideoWriter(str(path), fourcc, fps, (frame.shape[1], frame.shape[0]))
            assert writer.isOpened()
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert writer is not None
    writer.release()
    return path


def turn(path: Path, degrees: int) -> Path:
    """Let an MP4 file say that it is shown turned clockwise, as telephones do."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in QUARTERS[degrees])
    struct.pack_into(">9i", data, _find(data, b"moov", b"trak", b"tkhd") + 48, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def retime(path: Path, seconds: Sequence[float]) -> Path:
    """Let each frame of an MP4 file last its own time: a variable frame rate."""
    data = bytearray(path.read_bytes())
    scale = struct.unpack_from(">I", data, _find(data, b"moov", b"trak", b"mdia", b"mdhd") + 20)[0]
    ticks = [round(s * scale) for s in seconds]
    entries = b"".join(struct.pack(">II", 1, tick) for tick in ticks)
    table = struct.pack(">I4sII", 16 + len(entries), b"stts", 0, len(ticks)) + entries
    road = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts")
    at = _find(data, *road)
    old = struct.unpack_from(">I", data, at)[0]
    _lengthen(data, len(table) - old, *road[:-1])  # the film's data stand before all this, so nothing else moves
    struct.pack_into(">I", data, _find(data, b"moov", b"trak", b"mdia", b"mdhd") + 24, sum(ticks))
    shown = round(1000 * sum(ticks) / scale)
    struct.pack_into(">I", data, _find(data, b"moov", b"mvhd") + 24, shown)
    struct.pack_into(">I", data, _find(data, b"moov", b"trak", b"tkhd") + 28, shown)
    struct.pack_into(">I", data, _find(data, b"moov", b"trak", b"edts", b"elst") + 16, shown)
    path.write_bytes(data[:at] + table + data[at + old :])
    return path


def stretch(path: Path, width: int, height: int) -> Path:
    """Let an MP4 file say that its pixels are `width` to `height`."""
    data = bytearray(path.read_bytes())
    road = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    entry = _find(data, *road) + 16
    end = entry + struct.unpack_from(">I", data, entry)[0]
    box = struct.pack(">I4sII", 16, b"pasp", width, height)
    old = data.find(b"pasp", entry, end)
    if old >= 0:
        data[old - 4 : old + 12] = box
    else:
        _lengthen(data, len(box), *road)
        struct.pack_into(">I", data, entry, end - entry + len(box))
        data[end:end] = box
    path.write_bytes(data)
    return path


def trim(path: Path, start_s: float) -> Path:
    """Let an MP4 file say that it is shown from `start_s` on, as a cut without recoding leaves it."""
    data = bytearray(path.read_bytes())
    scale = struct.unpack_from(">I", data, _find(data, b"moov", b"trak", b"mdia", b"mdhd") + 20)[0]
    at = _find(data, b"moov", b"trak", b"edts", b"elst") + 16
    (shown,) = struct.unpack_from(">I", data, at)
    struct.pack_into(">II", data, at, shown - round(1000 * start_s), round(start_s * scale))
    path.write_bytes(data)
    return path


def announce(path: Path, factor: float) -> Path:
    """Let an AVI or MKV file announce `factor` times its frames or duration."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".avi":
        for name, offset in ((b"avih", 24), (b"strh", 40)):
            at = data.index(name) + offset
            struct.pack_into("<I", data, at, round(struct.unpack_from("<I", data, at)[0] * factor))
    else:
        at = data.index(b"\x44\x89\x88") + 3  # Duration, a float of eight bytes
        struct.pack_into(">d", data, at, struct.unpack_from(">d", data, at)[0] * factor)
    path.write_bytes(data)
    return path


def y4m(path: Path, frames: Iterable[NDArray[np.uint8]], header: str = "A1:1") -> Path:
    """RGB frames as raw video."""
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            if number == 0:
                file.write(f"YUV4MPEG2 W{frame.shape[1]} H{frame.shape[0]} F25:1 Ip {header} C420jpeg\n".encode())
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


def _lengthen(data: bytearray, by: int, *road: bytes) -> None:
    """Add to the length of a box and of those around it."""
    for depth in range(1, len(road) + 1):
        outer = _find(data, *road[:depth])
        struct.pack_into(">I", data, outer, struct.unpack_from(">I", data, outer)[0] + by)


def _find(data: bytearray, *road: bytes) -> int:
    """Where the box stands to which these names lead."""
    at, end = 0, len(data)
    for name in road:
        while data[at + 4 : at + 8] != name:
            at += struct.unpack_from(">I", data, at)[0]
            assert at < end, name
        found, at = at, at + 8
    return found
