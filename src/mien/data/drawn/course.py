"""The course of movements in time: expressions, blinks, nods and syllables rise and fall, and a head sways.

In: places of frames. Out: shares in steps of 1/4096, computed in whole numbers, the same on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mien.data.drawn.chance import Chance

__all__ = ["FULL", "Swell", "smooth", "strongest", "sway", "swells"]

FULL = 4096


@dataclass(frozen=True, kw_only=True)
class Swell:
    """One rise and one fall, which may differ in length."""

    onset: int
    """The last frame at rest."""
    apex: int
    """The frame of the highest value."""
    offset: int
    """The first frame at rest again."""
    height: float = 1.0
    """The value at the apex, a multiple of 1/4096."""

    def at(self, frame: int) -> float:
        """The value at a frame, from 0 to `height`, a multiple of 2**-24."""
        if not self.onset < frame < self.offset:
            return 0.0
        rise = (frame - self.onset) * 256 // (self.apex - self.onset)
        fall = (self.offset - frame) * 256 // (self.offset - self.apex)
        return smooth(min(rise, fall)) / FULL * self.height


def smooth(part: int) -> int:
    """3 s^2 - 2 s^3 in 4096ths, of s in 256ths."""
    return part * part * (768 - 2 * part) >> 12


def strongest(course: Sequence[Swell], frame: int) -> float:
    """The highest of several values at a frame; 0 if all are at rest."""
    return max((swell.at(frame) for swell in course), default=0.0)


def swells(
    frames: int, fps: float, chance: Chance, *, every: tuple[float, float], lasts: tuple[float, float], height: float
) -> tuple[Swell, ...]:
    """Swells one after the other, such as blinks.

    Args:
        frames: of the film.
        fps: frames a second.
        chance: draws them.
        every: the least and the most seconds between the end of one and the start of the next.
        lasts: the least and the most seconds of one.
        height: the highest; each has half of it or more.
    """
    made = []
    start = int((chance.between(0, every[1]) - lasts[1]) * fps)  # the first may have begun before the film
    while start < frames:
        length = max(4, int(chance.between(*lasts) * fps))
        apex = start + max(1, length * (96 + chance.below(64)) // 256)
        tall = int(height * FULL) * (128 + chance.below(129)) // 256
        made.append(Swell(onset=start, apex=apex, offset=start + length, height=tall / FULL))
        start += length + int(chance.between(*every) * fps)
    return tuple(made)


def sway(stops: Sequence[tuple[int, int]], every: int, frame: int) -> tuple[int, int]:
    """The position of a point that moves from stop to stop, one every `every` frames, and is slow at the stops."""
    number, rest = divmod(frame, every)
    (x, y), (to_x, to_y) = stops[number], stops[number + 1]
    share = smooth(rest * 256 // every)
    return x + ((to_x - x) * share >> 12), y + ((to_y - y) * share >> 12)
