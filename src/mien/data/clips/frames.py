"""The frames of a clip on disk: numbered pictures in a folder, or a video. They are decoded when they are asked for.

`Frames` has a length, and gives `(H, W, 3)` RGB uint8 by place, counted from 0. The number of a frame is the last run
of digits in its file name (`img46.jpg`, `006_05562.jpg`, `175.jpg`). Frames are sorted by this number and not as text.
A video is always decoded from its start, because seeking with FFmpeg is inexact. Frames that are asked for in ascending
order need only one pass.
"""

import os
import re
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import BadSample, DataError
from ...media import PICTURE_SUFFIXES
from ...video import Frame, open_video
from ..corpora.pictures import load_picture

__all__ = ["FilmFrames", "Frames", "ImageFrames", "frame_number", "numbered"]

DIGITS = re.compile(r"\d+")
MOST_DIGITS = 12
"""Most digits of a frame's number: a camera's counter in SMIC has 8."""
MOST_FRAMES = 1_000_000
"""Most frames of a folder or a video: 80 minutes at 200 frames a second."""


class Frames(Protocol):
    """The frames of a clip; an array `(T, H, W, 3)` uint8 is one, too."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, place: int, /) -> NDArray[np.uint8]:
        """`(H, W, 3)` RGB uint8; raises `IndexError` outside, `BadSample` where it cannot be decoded."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """All of them in order, one in memory at a time."""


class ImageFrames:
    """Picture files as frames, in the order given. All have one size; one that differs is a `BadSample`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int, /) -> NDArray[np.uint8]:
        path = self.paths[place]
        where = f"{path.parent.name}/{path.name}"
        picture = load_picture(path, where)
        self._shape = self._shape or picture.shape
        if picture.shape != self._shape:
            sizes = [f"{width}×{height}" for height, width, *_ in (picture.shape, self._shape)]
            raise BadSample(where, f"a frame of {sizes[0]} where others of its clip have {sizes[1]}")
        return picture

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[place] for place in range(len(self)))


class FilmFrames:
    """A video's frames, from `first` up to before `last` (to its end unless given)."""

    def __init__(self, path: Path, first: int = 0, last: int | None = None) -> None:
        self.path, self.first, self.last = path, first, last
        self._pending: Generator[Frame] | None = None
        self._next = 0

    @cached_property
    def _length(self) -> int:
        if self.last is not None:
            return max(0, self.last - self.first)
        with open_video(self.path, name=self.path.name) as video:
            return max(0, sum(1 for _ in self._bounded(video.frames())) - self.first)

    @cached_property
    def fps(self) -> float:
        """Frames a second, as the file says."""
        with open_video(self.path, name=self.path.name) as video:
            return video.fps

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int, /) -> NDArray[np.uint8]:
        wanted = self.first + (place if place >= 0 else len(self) + place)
        if wanted < self.first or (self.last is not None and wanted >= self.last):
            raise IndexError(place)
        if self._pending is None or wanted < self._next:
            self._pending, self._next = self._stream(), 0
        try:
            for frame in self._pending:
                self._next = frame.index + 1
                if frame.index == wanted:
                    return frame.picture
        except DataError as error:
            raise BadSample(self.path.name, str(error)) from None
        raise BadSample(self.path.name, f"there is no frame {wanted}: the video has {self._next} frames")

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for frame in self._stream():
            if self.last is not None and frame.index >= self.last:
                return
            if frame.index >= self.first:
                yield frame.picture

    def close(self) -> None:
        """Close the video; the next frame opens it again."""
        if self._pending is not None:
            self._pending.close()
        self._pending, self._next = None, 0

    def _stream(self) -> Generator[Frame]:
        with open_video(self.path, name=self.path.name) as video:
            yield from self._bounded(video.frames())

    def _bounded(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.index >= MOST_FRAMES:
                raise DataError(f"{self.path.name} has more than {MOST_FRAMES:,} frames. Cut it into parts.")
            yield frame


def frame_number(name: str) -> int | None:
    """The number of a frame: the last run of digits of its file name, its suffix aside; None without one.

    >>> frame_number("reg_img46.jpg"), frame_number("006_05562.jpg"), frame_number("cover.jpg")
    (46, 5562, None)
    """
    runs = DIGITS.findall(os.path.splitext(name)[0])
    return int(runs[-1]) if runs and len(runs[-1]) <= MOST_DIGITS else None


def numbered(folder: Path) -> dict[int, Path]:
    """The pictures directly in a folder by their number, ascending; those without a number are no frames.

    Raises `BadSample` where two files have one number, or the folder holds too many to be a clip.
    """
    found: dict[int, Path] = {}
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if os.path.splitext(e.name)[1].lower() in PICTURE_SUFFIXES]
    except OSError as error:
        raise BadSample(folder.name, f"cannot be read ({error.strerror})") from None
    if len(names) > MOST_FRAMES:
        raise BadSample(folder.name, f"{len(names):,} pictures in one folder, expected at most {MOST_FRAMES:,}")
    for name in sorted(names):
        number = None if name.startswith(".") else frame_number(name)
        if number is None:
            continue
        if number in found:
            raise BadSample(folder.name, f"{found[number].name} and {name} are both frame {number}")
        found[number] = folder / name
    return dict(sorted(found.items()))
