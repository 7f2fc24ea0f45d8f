"""Long videos for spotting: recordings with several micro- and macro-expressions, of which each may also be a clip.

The rows of a coding sheet are `Spotted`. Each folder of a video becomes a `LongVideo`, whose intervals are places in
its frames. A video without any row is kept, because false alarms in it count.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ....errors import BadSample
from ....metrics.spotting import Interval, Kind
from ..clip import FEWEST_FRAMES, LongVideo
from ..frames import ImageFrames, numbered
from .coded import Coded, Numbers, repaired
from .protocol import Irregular, LabelRule

__all__ = ["FROM_START", "KIND", "Spotted", "Video", "kind_of", "videos_of"]

FROM_START = "it is taken to begin with the video"
KIND = LabelRule(classes={"micro": "micro", "macro": "macro"}, kinds=True)
"""Micro against macro."""


@dataclass(frozen=True, kw_only=True)
class Spotted:
    """One row: an expression in a long video."""

    coded: Coded
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Video:
    """The folder of a long video."""

    name: str
    subject: str
    folder: Path


def kind_of(text: str) -> Kind | None:
    """The kind of expression that a cell names, such as `Micro - 1/2` or `Macro`; None if it names none.

    >>> kind_of("Micro - 1/2"), kind_of("macro-expression"), kind_of("blink")
    ('micro', 'macro', None)
    """
    word = text.strip().lower()
    if word.startswith("micro"):
        return "micro"
    return "macro" if word.startswith("macro") else None


def videos_of(videos: Iterable[Video], rows: Iterable[Spotted], fps: float) -> tuple[list[LongVideo], list[Irregular]]:
    """The videos on disk with their intervals, and all that was repaired or left out; rows of other videos are passed
    over."""
    by_folder: dict[Path | None, list[Spotted]] = defaultdict(list)
    for row in rows:
        by_folder[row.coded.folder].append(row)
    found: list[LongVideo] = []
    irregular: list[Irregular] = []
    for video in videos:
        spotted = by_folder.pop(video.folder, [])
        try:
            frames = numbered(video.folder)
        except BadSample as bad:
            irregular.append(_lost(video.name, "the frames of a video cannot be listed", bad.reason))
            continue
        if len(frames) < FEWEST_FRAMES:
            irregular.append(_lost(video.name, "a video has fewer than two frames on disk", str(len(frames))))
            continue
        intervals, odd = _intervals(spotted, frames)
        irregular += odd
        found.append(
            LongVideo(
                name=video.name,
                subject=video.subject,
                frames=ImageFrames(list(frames.values())),
                fps=fps,
                intervals=tuple(sorted(intervals, key=lambda interval: (interval.onset, interval.offset))),
            )
        )
    return found, irregular


def _intervals(rows: Iterable[Spotted], frames: Mapping[int, Path]) -> tuple[list[Interval], list[Irregular]]:
    places = {number: place for place, number in enumerate(frames)}
    intervals: list[Interval] = []
    irregular: list[Irregular] = []
    for row in rows:
        numbers, odd = repaired(row.coded, from_zero=0 in frames)
        irregular += odd
        if numbers is None:
            continue
        ends = _ends(numbers, places)
        if ends is None:
            details = f"{numbers.onset}–{numbers.offset} of frames {min(frames)}–{max(frames)}"
            irregular.append(_lost(row.coded.clip, "its onset and offset are not in the video", details))
            continue
        onset, apex, offset = ends
        label, aus = row.coded.label, row.coded.aus
        intervals.append(Interval(onset=onset, apex=apex, offset=offset, kind=row.kind, label=label, aus=aus))
    return intervals, irregular


def _ends(numbers: Numbers, places: Mapping[int, int]) -> tuple[int, int | None, int] | None:
    """The places of onset, apex and offset: of frames that are missing, of the nearest inside; None where none are."""
    inside = [place for number, place in places.items() if numbers.onset <= number <= numbers.offset]
    if len(inside) < FEWEST_FRAMES:
        return None
    apex = places.get(numbers.apex) if numbers.apex is not None else None
    return inside[0], apex, inside[-1]


def _lost(clip: str, seen: str, details: str) -> Irregular:
    return Irregular(clip=clip, seen=seen, done="it is left out", kept=False, details=details)
