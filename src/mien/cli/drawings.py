"""The files of `mien predict --draw OUT`: annotated pictures and videos, and the timeline and the tracks of each video.

OUT is a folder, or one file if there is one input. Each file is written whole or not at all. Its name differs from that
of the input: `photo.jpg` becomes `OUT/photo-mien.jpg`.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.annotate import annotate, draw_timeline
from mien.atomic import write_bytes, write_text
from mien.cli.inputs import DRAWN, TIMELINE, Input
from mien.cli.places import is_one_file, keep_inputs
from mien.cli.results import track_rows
from mien.cli.screen import say
from mien.errors import ConfigError, DataError
from mien.predict import UNCERTAIN, Seen
from mien.shown import csv_cell
from mien.summary import Timeline
from mien.video import CODECS, video_writer

__all__ = ["Drawings"]

JPEG = frozenset((".jpg", ".jpeg"))
QUALITY = 92
Draw = Callable[[Seen], None]


class Drawings:
    """The folder of drawings, and the names that are taken."""

    def __init__(self, out: Path, inputs: Sequence[Input], labels: Sequence[str]) -> None:
        """Make the folder of drawings.

        Raises:
            ConfigError: `out` is one file, and its format cannot be written, or there are several inputs.
            DataError: the folder cannot be made.
        """
        self._out, self._labels = out, (*labels, UNCERTAIN)
        self._taken: set[str] = set()
        """Names in one case: some systems take `A.png` and `a.png` for one file."""
        self._single = is_one_file("--draw", out, JPEG | {".png"} | CODECS.keys())
        if self._single:
            _check_file(out, [each for each in inputs if not each.failure])
        with _written(out):
            (out.parent if self._single else out).mkdir(parents=True, exist_ok=True)

    def picture(self, given: Input, seen: Seen) -> None:
        """Write the annotated picture; raises `DataError` if it cannot be written."""
        suffix = given.place.suffix.lower()
        _write_picture(self._name(given, suffix if suffix in JPEG else ".png"), annotate(seen))

    @contextmanager
    def video(self, given: Input, fps: float, timeline: Timeline) -> Iterator[Draw]:
        """Yield a function that draws a frame. The timeline and the tracks are written when the body ends without an
        error.
        """
        path = self._name(given, ".mp4")
        with _written(path), video_writer(path, fps) as film:
            yield lambda seen: film(annotate(seen), seen.time_s or 0.0)
        if film.cut_s > 1:
            say(f"{path} is {film.cut_s:,.0f} s shorter than the video: long times without a frame are cut.")
        stem = path.stem.removesuffix(DRAWN)
        _write_picture(path.with_name(f"{stem}{TIMELINE}.png"), draw_timeline(timeline, self._labels[:-1]))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            map(csv_cell, row) for row in track_rows(timeline, self._labels)
        )
        with _written(path):
            write_text(path.with_name(f"{stem}-tracks.csv"), text.getvalue())

    def _name(self, given: Input, suffix: str) -> Path:
        """The file of an input's drawing, its folder made."""
        if self._single:
            return self._out
        place = self._out / given.place
        path, number = place.with_name(f"{place.stem}{DRAWN}{suffix}"), 1
        while path.as_posix().casefold() in self._taken:
            number += 1
            path = place.with_name(f"{place.stem}-{number}{DRAWN}{suffix}")
        self._taken.add(path.as_posix().casefold())
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _check_file(out: Path, inputs: Sequence[Input]) -> None:
    if len(inputs) != 1:
        raise ConfigError(f"--draw {out} is one file, and there are {len(inputs)} inputs; give a folder.")
    kinds = CODECS if inputs[0].is_video else JPEG | {".png"}
    if out.suffix.lower() not in kinds:
        what = "an annotated video" if inputs[0].is_video else "an annotated picture"
        raise ConfigError(f"Cannot draw {inputs[0].name} to {out}: {what} ends in {' or '.join(sorted(kinds))}.")
    keep_inputs("--draw", out, [inputs[0].name])


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    options = (cv2.IMWRITE_JPEG_QUALITY, QUALITY) if path.suffix.lower() in JPEG else ()
    _, content = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    with _written(path):
        write_bytes(path, content.tobytes())


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"Cannot write {path} ({error.strerror}). Pass another --draw.") from None
