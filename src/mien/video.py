"""Videos and cameras, frame by frame, through the FFmpeg that OpenCV carries.

In: a file, or `camera:0`. Out: frames as RGB, upright, with their true times. Frames are decoded one after the other
and never sought, so the time a frame takes does not grow with its place. What is no video is refused by its first
bytes, before FFmpeg sees it: FFmpeg would follow a playlist to other files and servers.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .atomic import move
from .errors import DataError
from .temporary import folder_beside

__all__ = [
    "CAMERA",
    "CODECS",
    "HEAD_BYTES",
    "VIDEO_SUFFIXES",
    "Capture",
    "Frame",
    "Video",
    "is_video",
    "open_video",
    "video_writer",
]

CAMERA = "camera:"
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".ogv", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp", ".y4m")
)
HEAD_BYTES = 189
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
STARTS = (
    *(b"\x1a\x45\xdf\xa3", b"OggS", b"FLV\x01", b"YUV4MPEG2 "),  # Matroska and WebM, Ogg, FLV, raw
    *(b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\x30\x26\xb2\x75"),  # MPEG-PS, MPEG-1 and 2, WMV
)
PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"avif")
"""Pictures in the same boxes as an MP4."""
MISSING_SHARE = 0.05
"""A video that ends with more than this share of its announced length missing was cut off."""
USUAL_FPS = 25.0
MOST_FPS = 60.0
"""Of a video that is written; what comes faster loses frames, not time."""
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used; a stand-in for a camera has these three methods."""

    def read(self) -> tuple[bool, Any]:
        """True and a BGR frame `(H, W, 3)` uint8, or False at the end."""

    def get(self, prop: int) -> float:
        """A property, `cv2.CAP_PROP_…`; 0 where unknown."""

    def release(self) -> None:
        """Free the device or file."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a video."""

    index: int
    """From 0."""
    time_s: float
    """When it is shown, seconds from the start; never falls."""
    picture: NDArray[np.uint8]
    """`(H, W, 3)` RGB, upright."""


class Video:
    """An opened video or camera."""

    def __init__(self, name: str, capture: Capture, *, live: bool) -> None:
        self.name = name
        self.live = live
        """A camera: frames are timed by the clock, and have no end."""
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 10_000 else USUAL_FPS
        """Announced frames a second; 25 where unknown."""
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.announced = int(count) if 0 < count < 1e9 and not live else None
        """Number of frames as the file says, which may be an estimate; None where unknown."""

    def frames(self) -> Iterator[Frame]:
        """The frames in order, one in memory at a time.

        Raises `DataError` where the video has none, or ends long before its announced end.
        """
        started, last, count = time.monotonic(), 0.0, 0
        while (frame := self._next()) is not None:
            last = max(last, time.monotonic() - started if self.live else self._shown_at(count))
            yield Frame(index=count, time_s=last, picture=frame)
            count += 1
        if count == 0:
            what = "gives no picture" if self.live else "has no frame that can be decoded"
            raise DataError(f"{self.name} {what}.")
        length = (self.announced or 0) / self.fps
        if last + 2 / self.fps < (1 - MISSING_SHARE) * length:
            raise DataError(f"{self.name} ends after {last:.1f} of {length:.1f} s: it is cut off or damaged.")

    def _next(self) -> NDArray[np.uint8] | None:
        try:
            good, frame = self._capture.read()
        except cv2.error:
            return None
        if not good or frame is None or frame.size == 0:
            return None
        return np.ascontiguousarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def _shown_at(self, index: int) -> float:
        """The frame's own time stamp; its number by the frame rate where the file has none."""
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return stamp if stamp > 0 else index / self.fps


@contextmanager
def open_video(source: Path | str, capture: Callable[[int], Capture] | None = None) -> Iterator[Video]:
    """Open a video file or a camera, closed when the body ends.

    Args:
        source: a path, or `camera:0`, `camera:1`, ….
        capture: makes the camera of a number; `cv2.VideoCapture` unless given.

    Raises:
        DataError: the file is absent, empty or no video, its codec is unknown, or the camera is absent.
    """
    name = str(source)
    live = name.startswith(CAMERA)
    opened = _camera(name, capture or _cv2_camera) if live else _file(Path(source))
    try:
        yield Video(name, opened, live=live)
    finally:
        opened.release()


def is_video(head: bytes) -> bool:
    """Whether a file that starts with these bytes, 189 or all of them, is a video of a known container."""
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[:1] == b"\x47":  # MPEG-TS, a sync byte in each packet of 188
        return head[188:189] == b"\x47"
    if head[4:12] in {b"ftyp" + brand for brand in PICTURE_BRANDS}:
        return False
    return head[4:8] in MP4_BOXES or head.startswith(STARTS)


def _file(path: Path) -> Capture:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    if not head:
        raise DataError(f"{path} is an empty file.")
    if not is_video(head):
        raise DataError(f"{path} is not a video (MP4, MOV, AVI, MKV, WebM, OGG, MPEG, FLV, WMV or Y4M).")
    name = _for_opencv(path.resolve())
    with _silent():
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(f"{path} is cut off or damaged, or its codec is unknown to OpenCV's FFmpeg.")
    return capture


def _for_opencv(path: Path) -> str:
    """The path as OpenCV takes it; `DataError` for one that is no UTF-8, at which OpenCV would end the process."""
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{path} has a name that is no UTF-8; give it another one.") from None
    return name


def _camera(name: str, capture: Callable[[int], Capture]) -> Capture:
    number = name.removeprefix(CAMERA)
    if not (number.isascii() and number.isdigit() and len(number) < 4):
        raise DataError(f"A camera is camera:NUMBER, such as camera:0; got {name!r}.")
    return capture(int(number))


def _cv2_camera(number: int) -> Capture:
    with _silent():
        camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise DataError(f"There is no camera {number}, or another program uses it.")
    return camera


@contextmanager
def _silent() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from writing to stderr while they open a file; the caller says what is wrong."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[NDArray[np.uint8], float], None]]:
    """Yield a function that appends an RGB frame `(H, W, 3)` and its time in seconds to a new video at `path`.

    Frames have one size and times that do not fall. The video has a constant rate, `fps` or 60: a frame that lasts
    longer is repeated, so that the video keeps the time of what it shows. Without a frame there is no file.

    Raises `DataError` where it cannot be written whole: `path` ends in .mp4 or .avi.
    """
    if path.suffix.lower() not in CODECS:
        raise DataError(f"Cannot write {path}: an annotated video ends in .mp4 or .avi.")
    try:
        with folder_beside(path) as room:
            film = _Film(path, room / path.name, min(fps, MOST_FPS))
            yield film.append
            if film.close():
                move(film.temporary, path)
    except OSError as error:
        raise DataError(f"Cannot write {path}: no such folder, or no leave to write ({error.strerror}).") from None


class _Film:
    """A video under way."""

    def __init__(self, path: Path, temporary: Path, fps: float) -> None:
        self._path, self.temporary, self._fps = path, temporary, fps
        self._writer: cv2.VideoWriter | None = None
        self._last: Any = None
        self._written = 0

    def append(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Show `picture` from `time_s` on."""
        if self._writer is None:
            self._writer = self._open((picture.shape[1], picture.shape[0]))
        else:
            self._fill(round(time_s * self._fps))
        self._last = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)

    def close(self) -> bool:
        """Finish the file; False where there was no frame, `DataError` where it is not whole."""
        if self._writer is None:
            return False
        self._fill(self._written + 1)
        self._writer.release()
        with _silent():
            check = cv2.VideoCapture(str(self.temporary), cv2.CAP_FFMPEG)
        count = check.get(cv2.CAP_PROP_FRAME_COUNT) if check.isOpened() else 0
        check.release()
        if count < self._written:
            raise DataError(f"{self._path} could not be written whole; is the disk full?")
        return True

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec, name = CODECS[self._path.suffix.lower()], _for_opencv(self.temporary)
        with _silent():
            writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*codec), self._fps, size)
        if not writer.isOpened():
            raise DataError(f"Cannot write {self._path}: no such folder, no leave to write, or frames of {size}.")
        return writer

    def _fill(self, end: int) -> None:
        """Repeat the last frame up to frame number `end`."""
        assert self._writer is not None
        while self._written < end:
            self._writer.write(self._last)
            self._written += 1
