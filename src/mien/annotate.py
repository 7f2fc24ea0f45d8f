"""Draw what was seen into the picture: a box, the label, a bar for each probability; and a video's timeline.

With OpenCV alone, which the base install has. In: RGB pictures and predictions. Out: new RGB pictures.
"""

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from .predict import Prediction, Seen
from .summary import Timeline

__all__ = ["annotate", "draw_timeline"]

COLOURS = (
    *((213, 94, 0), (0, 158, 115), (148, 103, 189), (230, 159, 0)),
    *((140, 140, 140), (0, 114, 178), (204, 121, 167), (86, 180, 233)),
)
"""Eight that differ for colour-blind eyes too (Okabe & Ito); class k takes colour k, and from the ninth on again."""
WHITE, INK, PAPER = (255, 255, 255), (40, 40, 40), (250, 250, 250)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALLEST_SIDE = 320
"""Pictures whose longer side is below this many pixels are enlarged, so that the writing can be read."""


def annotate(seen: Seen) -> NDArray[np.uint8]:
    """A copy of the picture with each face's box, label and bars; small pictures come back enlarged.

    The size depends on the size of the picture alone, so the frames of a video stay of one size.
    """
    if seen.picture is None:
        raise ValueError("there is no picture to draw on")
    factor = max(1, -(-SMALLEST_SIDE // max(seen.picture.shape[:2])))
    picture = np.repeat(np.repeat(seen.picture, factor, axis=0), factor, axis=1)
    unit = max(picture.shape[:2]) / 800
    for prediction in seen.predictions:
        _draw_face(picture, prediction, factor, max(0.4, unit))
    return picture


def draw_timeline(timeline: Timeline, labels: tuple[str, ...]) -> NDArray[np.uint8]:
    """One strip a track: the mean probability of each class over time, stacked; white where it was not seen."""
    curves = timeline.curves()
    width, strip, left, top = 1024, 96, 90, 40
    picture = np.full((top + max(1, len(curves)) * (strip + 16) + 24, left + width + 20, 3), PAPER, np.uint8)
    for place, name in enumerate(labels):
        x = left + place * (width // len(labels))
        cv2.rectangle(picture, (x, 12), (x + 12, 24), _colour(place), -1)
        _write(picture, name, (x + 18, 23), 0.42, INK)
    columns = (np.arange(width) * max(timeline.end_s, timeline.bin_s) / width / timeline.bin_s).astype(int)
    for row, (track, curve) in enumerate(curves.items()):
        y = top + row * (strip + 16)
        _write(picture, f"face {track}", (8, y + strip // 2), 0.45, INK)
        _stack(picture[y : y + strip, left : left + width], _filled(curve)[columns])
    bottom = picture.shape[0] - 8
    _write(picture, "0 s", (left, bottom), 0.42, INK)
    _write(picture, f"{timeline.end_s:.1f} s", (left + width - 50, bottom), 0.42, INK)
    return picture


def _filled(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spans shorter than a frame's time lie empty between two that were seen; they repeat the one before."""
    seen = np.flatnonzero(~np.isnan(curve[:, 0]))
    if len(seen) < 2:
        return curve
    usual = np.median(np.diff(seen))
    filled = curve.copy()
    for before, after in itertools.pairwise(seen):
        if after - before <= 2 * usual:
            filled[before + 1 : after] = curve[before]
    return filled


def _stack(strip: NDArray[np.uint8], probs: NDArray[np.float64]) -> None:
    height = strip.shape[0]
    strip[:] = WHITE
    edges = np.cumsum(np.nan_to_num(probs), axis=1) * height
    rows = np.arange(height)[::-1, None] + 0.5
    known = ~np.isnan(probs[:, 0])
    for place in reversed(range(probs.shape[1])):
        strip[(rows < edges[:, place]) & known] = _colour(place)


def _draw_face(picture: NDArray[np.uint8], prediction: Prediction, factor: int, unit: float) -> None:
    x, y, width, height = (round(v * factor) for v in prediction.box)
    best = max(prediction.probs, key=lambda name: prediction.probs[name])
    colour = _colour(list(prediction.probs).index(best))
    line = max(1, round(2 * unit))
    cv2.rectangle(picture, (x, y), (x + width, y + height), colour, line)
    name = prediction.label if prediction.track is None else f"{prediction.track} {prediction.label}"
    _label(picture, f"{name} {prediction.confidence:.0%}", (x, y), unit, colour)
    _bars(picture, prediction, (x, y, width, height), unit)


def _label(
    picture: NDArray[np.uint8], text: str, corner: tuple[int, int], unit: float, colour: tuple[int, ...]
) -> None:
    scale = 0.6 * unit
    (wide, tall), _ = cv2.getTextSize(text, FONT, scale, 1)
    pad = max(2, round(4 * unit))
    x = min(max(0, corner[0]), max(0, picture.shape[1] - wide - 2 * pad))
    y = max(tall + 2 * pad, corner[1])
    cv2.rectangle(picture, (x, y - tall - 2 * pad), (x + wide + 2 * pad, y), colour, -1)
    _write(picture, text, (x + pad, y - pad), scale, WHITE)


def _bars(picture: NDArray[np.uint8], prediction: Prediction, box: tuple[int, int, int, int], unit: float) -> None:
    """A row a class beside the box where there is room, else inside it, on a darkened ground."""
    x, y, width, _ = box
    step, wide = max(9, round(15 * unit)), max(60, round(150 * unit))
    left = x + width + 4 if x + width + 4 + wide <= picture.shape[1] else max(0, x + width - wide)
    top = min(max(0, y), max(0, picture.shape[0] - step * len(prediction.probs)))
    ground = picture[top : top + step * len(prediction.probs), left : left + wide]
    ground[:] = ground // 3
    for row, (name, share) in enumerate(prediction.probs.items()):
        base = top + (row + 1) * step
        end = left + round(wide * share)
        cv2.rectangle(picture, (left, base - step + 1), (end, base - 1), _colour(row), -1)
        _write(picture, name, (left + 3, base - max(2, step // 4)), 0.026 * step, WHITE)


def _write(picture: NDArray[np.uint8], text: str, at: tuple[int, int], scale: float, colour: tuple[int, ...]) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    cv2.putText(picture, plain, at, FONT, scale, colour, 1, cv2.LINE_AA)


def _colour(place: int) -> tuple[int, int, int]:
    return COLOURS[place % len(COLOURS)]
