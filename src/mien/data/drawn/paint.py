"""The painter: flat colours of a face on a doubled canvas, and its lines and soft shadows as a map of shade.

In: points (P, 2) in 1/32 pixel, an identity, intensities. Out: a layer (S, S, 4), colour times cover and cover, and
a shade (S, S), both whole numbers. OpenCV's anti-aliased polygons, resp. box sums without division, are whole-number
arithmetic; lines are drawn as slim polygons, because thick lines in OpenCV go through floating point.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.anatomy import ANATOMY
from mien.data.drawn.expression import AUS
from mien.data.drawn.identity import Colour, Identity, mix

__all__ = ["LINES", "Canvas", "box_blur", "halve", "paint_face", "paint_shade"]

Points = NDArray[np.int32]

_WHITE_EYE: Colour = (232, 228, 222)
_TEETH: Colour = (238, 232, 220)
_MOUTH: Colour = (58, 18, 22)

LINES: dict[str, tuple[int, dict[int, int], bool]] = {
    "frown": (14, {4: 130}, True),
    "crow_a": (26, {6: 90}, False),
    "crow_b": (26, {6: 90}, False),
    "crow_c": (26, {6: 90}, False),
    "bag": (30, {6: 70, 7: 40, 9: 30}, False),
    "fold": (38, {12: 90, 9: 100, 6: 30, 20: 30}, True),
    "marionette": (34, {15: 80, 12: 30}, True),
    "wrinkle_a": (0, {9: 140}, False),
    "wrinkle_b": (0, {9: 120}, False),
    "forehead_a": (22, {1: 50, 2: 50}, False),
    "forehead_b": (24, {1: 45, 2: 45}, False),
    "forehead_c": (24, {}, False),
    "ala": (0, {9: 60}, True),
}
"""A line: its darkness by age (times 0, 1, 2) and by AUs at full intensity, and whether it runs upright."""


@lru_cache(maxsize=64)
def _taper(count: int) -> NDArray[np.int32]:
    """(n,) 0 at both ends, 256 in the middle."""
    step = np.arange(count, dtype=np.int32)
    last = max(count - 1, 1)
    return 1024 * step * (last - step) // (last * last)


class Canvas:
    """An image that is being drawn, and the points it is drawn from."""

    def __init__(self, image: NDArray[np.uint8], points: Points, unit: int) -> None:
        self.image = image
        self.points = points + 8  # the middle of a pixel lies half a pixel further on a doubled canvas
        self.unit = unit

    def curve(self, name: str) -> Points:
        """(n, 2) points of a curve."""
        return self.points[ANATOMY.spans[name]]

    def between(self, first: str, second: str) -> Points:
        """The outline of the area between two curves that run the same way."""
        return np.concatenate([self.curve(first), self.curve(second)[::-1]])

    def ribbon(self, name: str, width: int, upright: bool = False) -> Points:
        """A slim outline along a curve, `width` hundredths of the unit in the middle, pointed at its ends."""
        line = self.curve(name)
        other = line.copy()
        other[:, 0 if upright else 1] -= (_taper(len(line)) * (self.unit * width // 100)) >> 8
        return np.concatenate([line, other[::-1]])

    def fill(self, colour: tuple[int, ...], *outlines: Points) -> None:
        """Fill outlines (even-odd where they overlap) with a colour."""
        cv2.fillPoly(self.image, outlines, colour, cv2.LINE_AA, 4)

    def fill_pair(self, colour: tuple[int, ...], name: str) -> None:
        """Fill a loop and its mirror."""
        self.fill(colour, self.curve(f"{name}.l"), self.curve(f"{name}.r"))

    def fill_between(self, colour: tuple[int, ...], first: str, second: str) -> None:
        """Fill the area between two curves, on both sides of the face."""
        self.fill(colour, *(self.between(f"{first}.{side}", f"{second}.{side}") for side in "lr"))


def halve(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(2H, 2W, ...) uint8 to (H, W, ...) sums of four."""
    rows = image[0::2].astype(np.int32) + image[1::2]
    total: NDArray[np.int32] = rows[:, 0::2] + rows[:, 1::2]
    return total


def box_blur(image: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """The mean over a square of 2 * reach + 1 pixels, rounded down; exact on every machine."""
    side = 2 * reach + 1
    total = cv2.boxFilter(image, cv2.CV_32S, (side, side), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return (total // (side * side)).astype(np.uint8)


def _opaque(colour: Colour) -> tuple[int, ...]:
    return (*colour, 255)


def _eyes(canvas: Canvas, who: Identity) -> None:
    skin = _opaque(who.skin)
    canvas.fill_between(_opaque(_WHITE_EYE), "cover_upper", "cover_lower")
    canvas.fill_pair(_opaque(who.iris), "iris")
    canvas.fill_pair((14, 12, 14, 255), "pupil")
    canvas.fill_pair((250, 250, 250, 255), "glint")
    canvas.fill_between(skin, "cover_upper", "lid_upper")
    canvas.fill_between(skin, "lid_lower", "cover_lower")
    lash = _opaque(mix(who.brow_colour, (20, 14, 14), 60))
    canvas.fill(lash, canvas.ribbon("lid_upper.l", 6), canvas.ribbon("lid_upper.r", 6))
    rim = _opaque(mix(who.skin, (60, 20, 16), 38))
    canvas.fill(rim, canvas.ribbon("lid_lower.l", -2), canvas.ribbon("lid_lower.r", -2))
    crease = _opaque(mix(who.skin, (50, 22, 16), 30))
    canvas.fill(crease, canvas.ribbon("lid_crease.l", 2), canvas.ribbon("lid_crease.r", 2))


def _mouth(canvas: Canvas, who: Identity) -> None:
    upper, lower = canvas.curve("lip_upper"), canvas.curve("lip_lower")
    gap = int((lower - upper)[len(upper) // 2, 1])
    if gap > canvas.unit // 25:
        canvas.fill(_opaque(_MOUTH), canvas.between("lip_upper", "lip_lower"))
        edge = (upper * 9 + lower * 7) >> 4
        canvas.fill(_opaque(_TEETH), np.concatenate([upper[4:-4], edge[4:-4][::-1]]))
    canvas.fill(_opaque(mix(who.lips, (40, 10, 14), 14)), canvas.between("lip_top", "lip_upper"))
    canvas.fill(_opaque(who.lips), canvas.between("lip_lower", "lip_bottom"))
    canvas.fill(_opaque(mix(who.lips, _MOUTH, 72)), canvas.ribbon("lip_upper", -2))


def _beard(canvas: Canvas, who: Identity) -> None:
    colour = mix(who.skin, who.hair_colour, 28 if who.beard == "stubble" else 88)
    if who.beard in ("beard", "stubble"):
        canvas.fill(_opaque(colour), canvas.between("beard_top", "beard_low"))
    if who.beard in ("beard", "moustache"):
        canvas.fill(_opaque(colour), canvas.curve("moustache"))


def _nose(canvas: Canvas, who: Identity) -> None:
    canvas.fill_pair(_opaque(mix(who.skin, (48, 16, 12), 62)), "nostril")
    wing = _opaque(mix(who.skin, (64, 28, 18), 26))
    canvas.fill(wing, canvas.ribbon("ala.l", 3, True), canvas.ribbon("ala.r", -3, True))


def _cover(canvas: Canvas, who: Identity) -> tuple[Points, ...]:
    """Outlines of the hair or cloth in front of the head; none for the bald."""
    if who.hair.line == "scarf_line":
        return canvas.curve("scarf_back"), canvas.curve("scarf_line")
    return (canvas.between(who.hair.top, who.hair.line),) if who.hair.top else ()


def _hair(canvas: Canvas, who: Identity) -> None:
    colour = who.cloth if who.hair.cloth else who.hair_colour
    cover = _cover(canvas, who)
    if cover:
        canvas.fill(_opaque(colour), *cover)
    if who.hair.top:
        top = canvas.curve(who.hair.top)
        shine = top[len(top) // 4 : -(len(top) // 4)] + np.array([0, canvas.unit // 6], dtype=np.int32)
        lower = shine.copy()
        lower[:, 1] += (_taper(len(shine)) * (canvas.unit // 12)) >> 8
        canvas.fill(_opaque(mix(colour, (255, 244, 226), 8)), np.concatenate([shine, lower[::-1]]))


def _glasses(canvas: Canvas, who: Identity) -> None:
    outlines = []
    for side in "lr":
        rim = canvas.curve(f"rim.{side}")
        centre = (rim.min(axis=0) + rim.max(axis=0)) // 2
        outlines += [rim, centre + (rim - centre) * 7 // 8, canvas.ribbon(f"temple.{side}", 5)]
    canvas.fill(_opaque(who.frame), *outlines, canvas.ribbon("glass_bridge", 5))


def paint_face(points: Points, who: Identity, unit: int, size: int) -> NDArray[np.int32]:
    """The layer (S, S, 4): colours times cover and cover, 1020 at full."""
    canvas = Canvas(np.zeros((2 * size, 2 * size, 4), dtype=np.uint8), points, unit)
    skin = _opaque(who.skin)
    if who.hair.back and not who.hair.cloth:
        canvas.fill(_opaque(mix(who.hair_colour, (0, 0, 0), 22)), canvas.curve(who.hair.back))
    canvas.fill(skin, canvas.curve("neck"))
    canvas.fill(_opaque(who.shirt), canvas.curve("shoulders"))
    canvas.fill_pair(skin, "ear")
    canvas.fill(skin, canvas.curve("outline"))
    if who.beard:
        _beard(canvas, who)
    _nose(canvas, who)
    _eyes(canvas, who)
    canvas.fill_between(_opaque(who.brow_colour), "brow_top", "brow_bottom")
    _mouth(canvas, who)
    _hair(canvas, who)
    if who.glasses:
        _glasses(canvas, who)
    return halve(canvas.image)


def _owed() -> tuple[list[tuple[str, bool]], NDArray[np.float64], NDArray[np.float64]]:
    """The lines of both sides (name, upright), their darkness (L,) for age 1 and (26, L) for AUs at full."""
    names, ages, owed = [], [], []
    for line, (age, levels, upright) in LINES.items():
        for curve, shares in ((f"{line}.l", (1.0, 0.0)), (f"{line}.r", (0.0, 1.0)), (line, (0.5, 0.5))):
            if curve in ANATOMY.spans:
                names.append((curve, upright))
                ages.append(age)
                owed.append([share * levels.get(au, 0) for share in shares for au in AUS])
    return names, np.array(ages, dtype=np.float64), np.array(owed).T


_NAMES, _AGES, _OWED = _owed()


def _lines(canvas: Canvas, who: Identity, intensities: NDArray[np.float64]) -> None:
    dark = _AGES * who.age + intensities.reshape(-1) @ _OWED
    for number in np.flatnonzero(dark >= 8).tolist():
        curve, upright = _NAMES[number]
        depth = min(int(dark[number]), 150)
        canvas.fill((255 - depth,), canvas.ribbon(curve, 3 if depth < 60 else 4, upright))


def paint_shade(
    points: Points, who: Identity, intensities: NDArray[np.float64], unit: int, size: int, side: int
) -> NDArray[np.int32]:
    """How light the skin is (S, S), 256 where it is even: soft shadows and lines; `side` is -1 where light comes
    from the image's left, 1 from its right."""
    soft = Canvas(np.full((size, size), 128, dtype=np.uint8), (points >> 1) - 8, unit >> 1)
    raised = int(14 * (intensities[:, AUS.index(6)].sum() + intensities[:, AUS.index(12)].sum() / 2))
    soft.fill((92,), soft.curve("neck"))
    soft.fill((128,), soft.curve("shoulders"))
    soft.fill((124,), soft.curve("outline"))
    soft.fill((137,), soft.curve("brow_bone"))
    soft.fill_pair((104,), "socket")
    soft.fill_pair((136 + raised,), "cheek")
    soft.fill((98,), soft.curve("flank.l" if side > 0 else "flank.r"))
    soft.fill((158,), soft.curve("bridge"))
    soft.fill((98,), soft.curve("nose_base"))
    soft.fill((96,), soft.ribbon("under_lip", 8))
    blurred = box_blur(box_blur(soft.image, max(1, size // 40)), max(1, size // 48)).astype(np.int32)
    sharp = Canvas(np.full((2 * size, 2 * size), 255, dtype=np.uint8), points, unit)
    _lines(sharp, who, intensities)
    cover = _cover(sharp, who)
    if cover:
        sharp.fill((255,), *cover)
    return (blurred * 2 * halve(sharp.image)) // 1020
