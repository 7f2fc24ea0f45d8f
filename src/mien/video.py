"""Videos and cameras, frame by frame, through the FFmpeg that OpenCV carries.

In: a file, or `camera:0`. Out: frames as RGB, upright, of square pixels, with their true times. Frames are decoded one
after the other and never sought, so the time a frame takes does not grow with its place. Other files are refused by
their first bytes, before FFmpeg sees them: FFmpeg would follow a playlist to other files and servers.
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
from .container import missing_bytes
from .errors import DataError
from .media import HEAD_BYTES, VIDEO, is_url, kind_of, size_fault
from .reading import GivenPath, given_path, open_file
from .temporary import folder_beside

__all__ = [
    "CAMERA",
    "CODECS",
    "Capture",
    "Film",
    "Frame",
    "Video",
    "open_video",
    "video_writer",
]

CAMERA = "camera:"
LOST_SHARE = 0.05
"""A video of which more than this share of frames cannot be decoded is called damaged."""
TRIES = 64
"""Frames that cannot be decoded in a row before a video is taken to be at its end."""
DECODING_THREADS = 4
"""FFmpeg holds a frame or more a thread."""
MOST_GAP_S, LEAST_FALL_S = 3600.0, 0.5
"""Time stamps that jump further ahead or back than this are damaged, or begin anew in a film that was joined."""
SQUARE_ENOUGH = 0.01
MOST_STRETCH = 4.0
"""Pixels that claim to be narrower or wider than this are taken as square: no camera or disc has them."""
USUAL_FPS = 25.0
MOST_FPS = 60.0
"""Of a video that is written; what comes faster loses frames, not time."""
MOST_SHOWN_S, MOST_REPEATS = 10.0, 20
"""Of a video that is written: frames are repeated for so many seconds, and so many more for each frame there is. On
average a frame is shown once; only times that are damaged, or of a camera that waits for motion, ask for more."""
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

    def __init__(self, name: str, capture: Capture, *, live: bool, path: Path | None = None) -> None:
        self.name = name
        self._path = path or Path(name)
        self.live = live
        """A camera: frames are timed by the clock, and have no end."""
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 10_000 else USUAL_FPS
        """Announced frames a second; 25 where unknown."""
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.announced = int(count) if 0 < count < 1e9 and not live else None
        """Number of frames as the file says, which may be an estimate; None where unknown."""
        self._stretch = _stretch(capture)
        self._lost = 0
        self._shift_s = 0.0

    def frames(self) -> Iterator[Frame]:
        """The frames in order, one in memory at a time.

        Raises `DataError` where the video has none, was cut off, is largely damaged, or has too large frames. What
        its header says of its length proves nothing: a film that was trimmed without recoding announces more.
        """
        started, last, count = time.monotonic(), 0.0, 0
        while (picture := self._next()) is not None:
            last = time.monotonic() - started if self.live else self._shown_at(count, last)
            yield Frame(index=count, time_s=last, picture=picture)
            count += 1
        if missing := "" if self.live else missing_bytes(self._path):
            raise DataError(f"{self.name} is cut off after {last:.1f} s: {missing}.")
        if count == 0:
            what = "gives no picture" if self.live else "has no frame that can be decoded"
            raise DataError(f"{self.name} {what}.")
        if self._lost > LOST_SHARE * (self._lost + count):
            raise DataError(f"{self.name} is damaged: {self._lost} of its frames could not be decoded.")

    def _next(self) -> NDArray[np.uint8] | None:
        """The next frame that can be decoded; None at the end. FFmpeg goes on after a damaged one, if asked to."""
        for lost in range(1 if self.live else TRIES):
            try:
                good, frame = self._capture.read()
            except cv2.error:
                return None
            if good and frame is not None and frame.size:
                self._lost += lost
                return self._upright(frame)
        return None

    def _upright(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """BGR as it was decoded to RGB with square pixels."""
        height, width = frame.shape[:2]
        shown = round(width * self._stretch[0]), round(height * self._stretch[1])
        if fault := size_fault(*shown):
            raise DataError(f"{self.name} has a frame of {fault}.")
        square = frame if shown == (width, height) else cv2.resize(frame, shown, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def _shown_at(self, index: int, last: float) -> float:
        """The frame's own time stamp; its number by the frame rate where the file has none. Never falls."""
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        shown = (stamp if stamp > 0 else index / self.fps) + self._shift_s
        if not last - LEAST_FALL_S <= shown <= last + MOST_GAP_S:
            follows = last + 1 / self.fps
            self._shift_s, shown = self._shift_s + follows - shown, follows
        return max(last, shown)


def _stretch(capture: Capture) -> tuple[float, float]:
    """What a frame's width and height are multiplied by, so that its pixels are square; one of them is 1."""
    wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    if not (wide > 0 and high > 0 and 1 / MOST_STRETCH <= wide / high <= MOST_STRETCH):
        return 1.0, 1.0
    if capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180:  # the ratio is that of the frame before it is turned
        wide, high = high, wide
    if abs(wide / high - 1) < SQUARE_ENOUGH:
        return 1.0, 1.0
    return max(1.0, wide / high), max(1.0, high / wide)


@contextmanager
def open_video(
    source: GivenPath, capture: Callable[[int], Capture] | None = None, *, name: str = ""
) -> Iterator[Video]:
    """Open a video file or a camera, closed when the body ends.

    Args:
        source: a path, or `camera:0`, `camera:1`, ….
        capture: makes the camera of a number; `cv2.VideoCapture` unless given.
        name: what results and messages call it; the source unless given.

    Raises:
        DataError: the file is absent, empty or no video, its codec is unknown, or the camera is absent.
    """
    path = given_path(source, f"A video or camera ({CAMERA}0, {CAMERA}1 and so on)", DataError)
    if isinstance(source, str) and is_url(source):
        raise DataError(f"{name or source}: mien reads no URLs; download the video first.")
    called = name or str(path)
    live = str(path).startswith(CAMERA)
    opened = _camera(str(path), capture or _cv2_camera) if live else _file(path, called)
    try:
        yield Video(called, opened, live=live, path=path)
    finally:
        opened.release()


def _file(path: Path, called: str) -> Capture:
    try:
        with open_file(path) as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise DataError(f"{called} cannot be read ({getattr(error, 'strerror', error)}).") from None
    if not head:
        raise DataError(f"{called} is an empty file.")
    if kind_of(head) != VIDEO:
        raise DataError(f"{called} is not a video (MP4, MOV, AVI, MKV, WebM, OGG, MPEG, FLV, WMV or Y4M).")
    name = _for_opencv(path.absolute())
    with _silent():
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, DECODING_THREADS])
    if not capture.isOpened():
        if missing := missing_bytes(path):
            raise DataError(f"{called} is cut off: {missing}.")
        raise DataError(
            f"{called} has no pictures (sound alone?), is damaged, or has a codec unknown to OpenCV's FFmpeg."
        )
    if fault := size_fault(capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)):
        capture.release()
        raise DataError(f"{called} has frames of {fault}.")
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
def video_writer(path: Path, fps: float) -> Iterator["Film"]:
    """Yield what is called to append an RGB frame `(H, W, 3)` and its time in seconds to a new video at `path`.

    Frames have one size and times that do not fall. The video has a constant rate, `fps` or 60: a frame that lasts
    longer is repeated, so that the video keeps the time of what it shows; hours without a frame are cut short. Without
    a frame there is no file.

    Raises `DataError` where it cannot be written whole: `path` ends in .mp4 or .avi.
    """
    if path.suffix.lower() not in CODECS:
        raise DataError(f"Cannot write {path}: an annotated video ends in .mp4 or .avi.")
    try:
        with folder_beside(path) as room:
            film = Film(path, room / path.name, min(fps, MOST_FPS))
            yield film
            if film.close():
                move(film.temporary, path)
    except OSError as error:
        raise DataError(f"Cannot write {path}: no such folder, or no leave to write ({error.strerror}).") from None


class Film:
    """A video that is being written: `film(picture, time_s)` appends a frame."""

    def __init__(self, path: Path, temporary: Path, fps: float) -> None:
        self._path, self.temporary, self._fps = path, temporary, fps
        self._writer: cv2.VideoWriter | None = None
        self._last: Any = None
        self._written = self._cut = 0
        self._spare = round(MOST_SHOWN_S * fps)
        """Repetitions that are left."""

    def __call__(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Show `picture` from `time_s` on."""
        if self._writer is None:
            self._writer = self._open((picture.shape[1], picture.shape[0]))
        else:
            self._fill(round(time_s * self._fps) - self._cut)
        self._last = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)

    @property
    def cut_s(self) -> float:
        """By how much it is shorter than what it shows, seconds."""
        return self._cut / self._fps

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
        """Repeat the last frame up to frame number `end`, or as often as it may be."""
        assert self._writer is not None
        wanted = max(0, end - self._written)
        granted = min(wanted, self._spare + MOST_REPEATS)
        self._spare += MOST_REPEATS - granted
        self._cut += wanted - granted
        end = self._written + granted
        while self._written < end:
            self._writer.write(self._last)
            self._written += 1
