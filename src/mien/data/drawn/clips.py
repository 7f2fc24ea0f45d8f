"""Drawn clips: micro-expressions of known onset, apex and offset.

In: a subject, an expression, a seed. Out: `Clip`: a faint expression that rises and falls smoothly in a face that
otherwise keeps still but for a slight drift of the head, filmed at 200 frames a second (as CASME II, Yan 2014).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import AUS, PROTOTYPES, require_expression
from mien.data.drawn.faces import require_size
from mien.data.drawn.geometry import GRID, View, draw_view, project
from mien.data.drawn.identity import draw_identity
from mien.data.drawn.render import draw_scenery, grainy, photograph
from mien.errors import ConfigError

__all__ = ["Clip", "draw_clip"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One drawn micro-expression and the truth about it."""

    frames: NDArray[np.uint8]
    """(T, S, S, 3) RGB."""
    onset: int
    """The last frame at rest."""
    apex: int
    """The frame of the highest intensity."""
    offset: int
    """The first frame at rest again."""
    aus: NDArray[np.float32]
    """(T, 13) intensities in [0, 1], in the order of `AUS`."""
    label: str
    subject: str
    fps: float
    """Frames a second."""


def _swell(frames: int, onset: int, apex: int, offset: int) -> NDArray[np.float64]:
    """(T,) from 0 at onset to 1 at apex and back: 3 s^2 - 2 s^3, in steps of 1/256."""
    frame = np.arange(frames)
    rise = np.clip((frame - onset) * 256 // (apex - onset), 0, 256)
    fall = np.clip((offset - frame) * 256 // (offset - apex), 0, 256)
    part = np.minimum(rise, fall)
    swell: NDArray[np.float64] = (part * part * (768 - 2 * part) >> 16) / 256
    return swell


def _faint(expression: str, chance: Chance) -> NDArray[np.float64]:
    """(2, 13) intensities at the apex: FACS A to C."""
    sides = np.zeros((2, len(AUS)))
    strength = chance.between(0.3, 0.6)
    for au in PROTOTYPES[expression]:
        sides[:, AUS.index(au)] = strength + chance.spread(0.1)
    return sides


def _drifted(view: View, drift: tuple[float, float], frame: int) -> View:
    move = (int(drift[0] * frame * GRID / 64), int(drift[1] * frame * GRID / 64))
    return replace(view, middle=(view.middle[0] + move[0], view.middle[1] + move[1]))


def draw_clip(
    subject: int, expression: str, *, seed: int, index: int, size: int = 48, frames: int = 40, fps: float = 200.0
) -> Clip:
    """Clip number `index` of a subject; the head drifts by less than a pixel in a clip of 40 frames at 48 pixels.

    Raises:
        ConfigError: the expression is unknown, the size out of range, or `frames` below 12.
    """
    require_expression(expression)
    require_size(size)
    if frames < 12:
        raise ConfigError(f"A clip of {frames} frames is too short for onset, apex and offset. Ask for 12 or more.")
    chance = Chance(seed, 3, index)
    who = draw_identity(seed, subject)
    view, scenery, peak = draw_view(chance, size), draw_scenery(chance), _faint(expression, chance)
    view = replace(view, yaw=view.yaw / 2)
    scenery = replace(scenery, soft=False, grain=min(scenery.grain, 8))
    onset = frames // 10 + chance.below(frames // 8 + 1)
    apex = frames // 2 - frames // 10 + chance.below(frames // 5 + 1)
    offset = frames - 2 - chance.below(frames // 6 + 1)
    levels = np.floor(_swell(frames, onset, apex, offset)[:, None, None] * peak * 256) / 256
    drift = (chance.spread(), chance.spread())
    film = np.empty((frames, size, size, 3), dtype=np.uint8)
    for number in range(frames):
        seen = _drifted(view, drift, number)
        points = project(who, levels[number], seen)
        film[number] = grainy(photograph(who, points, levels[number], seen, scenery, size), scenery, chance)
    return Clip(
        frames=film,
        onset=onset,
        apex=apex,
        offset=offset,
        aus=levels.mean(axis=1).astype(np.float32),
        label=expression,
        subject=f"s{subject:04d}",
        fps=fps,
    )
