"""Drawn long films as videos in which expressions are to be found: in memory, or as files with a table of the truth.

Each shows another subject, with three micro- and two macro-expressions in 20 seconds. Film i does not depend on how
many are drawn.
"""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from ...atomic import new_folder
from ...errors import ConfigError, DataError
from ...metrics.spotting import Interval
from ...progress import track
from ...reading import GivenPath, given_path
from ...shown import csv_cell
from ...video import video_writer
from ..drawn.film import Film, FilmOptions, draw_long_film
from .clip import LongVideo

__all__ = ["as_long_video", "drawn_videos", "write_videos"]

MICRO_S, MACRO_S = 20 / 3, 10.0
"""One micro- and one macro-expression in so many seconds."""
LONGEST_S = 3600.0
TABLE = "intervals.csv"
COLUMNS = ("video", "onset", "apex", "offset", "kind", "label")


def as_long_video(film: Film, name: str) -> LongVideo:
    """A long film with its expressions as intervals, for spotting."""
    intervals = [
        Interval(
            onset=act.course.onset,
            apex=act.course.apex,
            offset=act.course.offset,
            kind="micro" if act.kind == "micro" else "macro",
            label=act.label,
        )
        for act in film.acts
    ]
    return LongVideo(name=name, subject=film.subject, frames=film, fps=film.options.fps, intervals=tuple(intervals))


def drawn_videos(
    count: int, *, seed: int = 0, seconds: float = 20.0, options: FilmOptions | None = None
) -> Iterator[LongVideo]:
    """Videos of as many subjects; frames are drawn when asked for.

    Args:
        count: of videos.
        seed: decides everything.
        seconds: of each, 10 or more.
        options: how films are taken; None for 30 frames a second and all else as usual.

    Raises `ConfigError` where a number is out of its range; at once, not at the first video.
    """
    if count < 1:
        raise ConfigError(f"Cannot draw {count} films. Ask for 1 or more.")
    if not 10 <= seconds <= LONGEST_S:
        raise ConfigError(f"A long film has 10 to {LONGEST_S:,.0f} seconds; got {seconds:g}.")

    def film(place: int) -> Film:
        return draw_long_film(
            place,
            seed=seed,
            index=place,
            seconds=seconds,
            micro=round(seconds / MICRO_S),
            macro=round(seconds / MACRO_S),
            options=options,
        )

    film(0)  # what is out of range is said now
    return (as_long_video(film(place), f"film{place:04d}.avi") for place in range(count))


def write_videos(
    out: GivenPath,
    *,
    films: int = 10,
    seed: int = 0,
    seconds: float = 20.0,
    options: FilmOptions | None = None,
    force: bool = False,
) -> Path:
    """Draw videos into a new folder that `mien spot OUT --coded OUT/intervals.csv` reads, whole or not at all.

    Each is an AVI file of JPEG frames. Arguments are those of `drawn_videos`. Raises `ConfigError` where one is out of
    range, `DataError` where `out` cannot be written.
    """
    out = given_path(out, "The films", DataError)
    videos = drawn_videos(films, seed=seed, seconds=seconds, options=options)
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    with new_folder(out, replace=force) as folder:
        for video in track(videos, "Drawing films", films):
            with video_writer(folder / video.name, video.fps) as write:
                for place, picture in enumerate(video.frames):
                    write(picture, place / video.fps)
            for one in video.intervals:
                row = (video.name, one.onset, one.apex, one.offset, one.kind, one.label)
                table.writerow(map(csv_cell, row))
        (folder / TABLE).write_text(text.getvalue(), encoding="utf-8", newline="")
    return out
