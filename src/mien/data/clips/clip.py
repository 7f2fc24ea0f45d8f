"""A clip is one micro-expression in its frames, from onset to offset. A long video holds several expressions.

An importer makes both. `check` tests their facts before any pixel is read. The places of onset, apex and offset are
places in `frames`, counted from 0, whatever numbers the files of the corpus have.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import BadSample
from ...metrics.spotting import Interval
from .frames import Frames

__all__ = ["FEWEST_FRAMES", "MOST_FPS", "Clip", "LongVideo"]

FEWEST_FRAMES = 2
"""Fewest frames of a clip: a movement is between two frames."""
MOST_FPS = 10_000.0
"""Most frames a second; a larger number is a mistake."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One micro-expression. A frame is decoded when it is requested."""

    name: str
    """Name in messages, unique in the corpus."""
    subject: str
    label: str
    """The corpus's own word for the class."""
    frames: Frames
    """`len(frames)`, `frames[i]` `(H, W, 3)` uint8 RGB."""
    onset: int
    """The last frame at rest."""
    apex: int | None
    """The frame of the strongest movement; None if the corpus does not give it and it must be found."""
    offset: int
    """The last frame of the movement."""
    fps: float
    """Frames a second."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Attributes for subgroup reports."""
    aus: tuple[str, ...] = ()
    """Action units as the corpus writes them, such as `4` or `L12`; () if they are unknown."""

    def check(self) -> None:
        """Raise `BadSample`, with the reason, for a clip without a measurable movement."""
        count = len(self.frames)
        if not 0 < self.fps <= MOST_FPS:
            raise BadSample(self.name, f"{self.fps:g} frames a second, expected above 0 and at most {MOST_FPS:g}")
        if count < FEWEST_FRAMES:
            raise BadSample(self.name, f"a clip of {_frames(count)}; a movement needs {FEWEST_FRAMES} or more")
        for name in ("onset", "apex", "offset"):
            place = getattr(self, name)
            if place is not None and not 0 <= place < count:
                raise BadSample(self.name, f"the {name} is frame {place} of a clip of {count} (counted from 0)")
        if self.onset >= self.offset:
            raise BadSample(self.name, f"the offset (frame {self.offset}) is not after the onset (frame {self.onset})")
        if self.apex is not None and not self.onset < self.apex <= self.offset:
            raise BadSample(
                self.name,
                f"the apex (frame {self.apex}) is not after the onset ({self.onset}) and up to the offset "
                f"({self.offset})",
            )


@dataclass(frozen=True, kw_only=True)
class LongVideo:
    """A video in which expressions are to be found, and where they are."""

    name: str
    subject: str
    frames: Frames
    fps: float
    intervals: tuple[Interval, ...] = ()
    """Places in `frames`, in the order of their onsets; () for a video without any, which counts in spotting too."""
    groups: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `BadSample` if there are too few frames, or an interval is not inside them."""
        count = len(self.frames)
        if not (math.isfinite(self.fps) and 0 < self.fps <= MOST_FPS):
            raise BadSample(self.name, f"{self.fps:g} frames a second, expected above 0 and at most {MOST_FPS:g}")
        if count < FEWEST_FRAMES:
            raise BadSample(self.name, f"a video of {_frames(count)}; a movement needs {FEWEST_FRAMES} or more")
        for interval in self.intervals:
            if not 0 <= interval.onset <= interval.offset < count:
                raise BadSample(
                    self.name,
                    f"the {interval.kind}-expression {interval.onset}–{interval.offset} is not in a video of {count} "
                    "frames (counted from 0)",
                )


def _frames(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"
