"""Identities: what stays the same in all faces of one subject.

In: a seed and the number of a subject. Out: an `Identity`: shape weights, colours, hair, glasses, age lines. Skin is
one of the ten tones of the Monk Skin Tone scale (Monk 2019), with equal probability.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.anatomy import ANATOMY, SHAPE_NAMES
from mien.data.drawn.chance import Chance

__all__ = ["MONK", "Colour", "Hair", "Identity", "draw_identity", "mix"]

Colour = tuple[int, int, int]

MONK: tuple[Colour, ...] = (
    (0xF6, 0xED, 0xE4),
    (0xF3, 0xE7, 0xDB),
    (0xF7, 0xEA, 0xD0),
    (0xEA, 0xDA, 0xBA),
    (0xD7, 0xBD, 0x96),
    (0xA0, 0x7E, 0x56),
    (0x82, 0x5C, 0x43),
    (0x60, 0x41, 0x34),
    (0x3A, 0x31, 0x2A),
    (0x29, 0x24, 0x20),
)
"""The ten published colours of the Monk Skin Tone scale, RGB."""

_DARK_HAIR: tuple[Colour, ...] = ((24, 20, 20), (38, 27, 22), (58, 38, 26))
_LIGHT_HAIR: tuple[Colour, ...] = ((96, 62, 36), (142, 98, 52), (196, 156, 92), (132, 60, 32))
_GREY_HAIR: tuple[Colour, ...] = ((128, 124, 120), (176, 172, 168), (214, 210, 204))
_IRIS: tuple[Colour, ...] = ((62, 38, 22), (84, 54, 28), (70, 96, 60), (70, 108, 140), (104, 116, 122))
_CLOTH: tuple[Colour, ...] = (
    (52, 72, 104), (120, 48, 56), (60, 92, 72), (196, 188, 172), (44, 44, 52), (172, 124, 60), (104, 84, 128),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Hair:
    """A hair style by the curves it is drawn with; an empty name leaves a part out."""

    back: str = ""
    top: str = ""
    line: str = ""
    cloth: bool = False


_STYLES: tuple[Hair, ...] = (
    Hair(),
    Hair(top="cap_close", line="line_round"),
    Hair(top="cap_close", line="line_peak"),
    Hair(top="cap_close", line="line_receding"),
    Hair(top="cap_short", line="line_round"),
    Hair(top="cap_short", line="line_fringe"),
    Hair(top="cap_high", line="line_peak"),
    Hair(top="cap_high", line="line_swept"),
    Hair(back="long_back", top="cap_short", line="line_parted"),
    Hair(back="long_back", top="cap_short", line="line_fringe"),
    Hair(back="bob_back", top="cap_short", line="line_fringe"),
    Hair(back="bob_back", top="cap_short", line="line_parted"),
    Hair(back="cloud_back", top="cap_short", line="line_round"),
    Hair(back="bun", top="cap_close", line="line_swept"),
    Hair(back="scarf_back", line="scarf_line", cloth=True),
    Hair(top="turban_top", line="turban_line", cloth=True),
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that identifies a subject."""

    rest: NDArray[np.float64]
    """(P, 3) the curves of `ANATOMY` in this subject's face at rest."""
    tone: int
    """Monk skin tone, 1 (lightest) to 10."""
    skin: Colour
    hair: Hair
    hair_colour: Colour
    brow_colour: Colour
    iris: Colour
    lips: Colour
    cloth: Colour
    shirt: Colour
    beard: str
    """'', 'stubble', 'moustache' or 'beard'."""
    glasses: bool
    frame: Colour
    age: int
    """Age lines: 0 none, 1 some, 2 many."""


def mix(first: Colour, second: Colour, share: int) -> Colour:
    """`share` hundredths of `second` in `first`."""
    return (
        (first[0] * (100 - share) + second[0] * share) // 100,
        (first[1] * (100 - share) + second[1] * share) // 100,
        (first[2] * (100 - share) + second[2] * share) // 100,
    )


def _hair_colour(tone: int, age: int, chance: Chance) -> Colour:
    if age == 2 and chance.often(75):
        return chance.choose(_GREY_HAIR)
    return chance.choose(_DARK_HAIR if tone > 5 or chance.often(40) else _LIGHT_HAIR)


@lru_cache(maxsize=1024)
def draw_identity(seed: int, subject: int) -> Identity:
    """The identity of a subject. It depends only on the two numbers."""
    chance = Chance(seed, 1, subject)
    shape = np.array([chance.spread() for _ in SHAPE_NAMES])
    tone = 1 + chance.below(10)
    # Blood shows through: all tones are a little warmer on a face than in the chart.
    skin = mix(MONK[tone - 1], (218, 130, 92), (30, 28, 26, 22, 16, 10, 10, 10, 12, 12)[tone - 1])
    age = chance.choose((0, 0, 0, 1, 1, 2))
    hair_colour = _hair_colour(tone, age, chance)
    hair = chance.choose(_STYLES)
    long = hair.back not in ("", "cloud_back")
    return Identity(
        rest=ANATOMY.mean + (shape @ ANATOMY.shape).reshape(-1, 3),
        tone=tone,
        skin=skin,
        hair=hair,
        hair_colour=hair_colour,
        brow_colour=mix(mix(hair_colour, (40, 30, 26), 45), skin, 8),
        iris=chance.choose(_IRIS[:2] if tone > 5 else _IRIS),
        lips=mix(skin, chance.choose(((176, 64, 68), (160, 72, 72), (190, 84, 84))), 38 if tone < 7 else 30),
        cloth=chance.choose(_CLOTH),
        shirt=chance.choose(_CLOTH),
        beard="" if long else chance.choose(("", "", "", "stubble", "moustache", "beard")),
        glasses=chance.often(22),
        frame=chance.choose(((30, 28, 30), (84, 52, 36), (120, 116, 112))),
        age=age,
    )
