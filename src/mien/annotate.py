"""Draw predictions into a picture (a box, the label, a bar for each probability), and the timeline of a video.

It needs only OpenCV, which the base install has. In: RGB pictures and predictions. Out: new RGB pictures.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .faces import Box
from .predict import UNCERTAIN, Prediction, Seen
from .summary import Timeline, TrackSummary

__all__ = ["annotate", "draw_timeline"]

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    *((213, 94, 0), (0, 158, 115), (148, 103, 189), (230, 159, 0)),
    *((140, 140, 140), (0, 114, 178), (204, 121, 167), (86, 180, 233)),
)
"""Eight colours that colour-blind people can tell apart (Okabe & Ito). Class k has colour k; the ninth class has the
first colour again.
"""
WHITE, INK, FAINT, PAPER = (255, 255, 255), (45, 45, 45), (215, 215, 215), (252, 252, 252)
DARK = 0.28
"""Share of the picture's brightness that remains under a panel."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
READABLE_SIDE = 640
"""A picture whose longer side has fewer pixels is enlarged to at least this, so that the text is legible."""
KEY = 22
"""Height of the key, in units."""
MOST_STRIPS = 12
STRIP, GAP, LEFT, RIGHT, TOP, BOTTOM, WIDE = 90, 34, 20, 24, 56, 44, 1000
"""Size of the timeline in pixels."""
TICKS = 8


def annotate(seen: Seen) -> Picture:
    """A copy of the picture with each face's box, label and bars. A small picture is enlarged.

    Bars stand beside a face if there is room that no other face needs. Otherwise they are drawn in one line along its
    box, with a key at the bottom. In a video they always are, because they would jump from place to place. The size
    depends only on that of the picture, so all frames of a video have one size.
    """
    if seen.picture is None:
        raise ValueError("there is no picture to draw on")
    factor = max(1, math.ceil(READABLE_SIDE / max(seen.picture.shape[:2])))
    picture = _enlarged(seen.picture, factor)
    unit = max(1.0, max(picture.shape[:2]) / 900)
    boxes = [_scaled(prediction.box, factor) for prediction in seen.predictions]
    tags = [_tag_place(picture, p, box, unit) for p, box in zip(seen.predictions, boxes, strict=True)]
    taken, in_line = [*boxes, *tags], False
    for prediction, box in zip(seen.predictions, boxes, strict=True):
        panel = _panel_place(picture, prediction, box, taken, unit) if seen.time_s is None else None
        if panel is not None:
            taken.append(panel)
            _draw_panel(picture, prediction, panel, unit)
        else:
            in_line = True
            _draw_line(picture, prediction, box, unit)
        _draw_box(picture, prediction, box, unit)
    if in_line:
        _draw_key(picture, list(seen.predictions[0].probs), unit)
    for prediction, tag in zip(seen.predictions, tags, strict=True):
        _draw_tag(picture, prediction, tag, unit)
    return picture


def draw_timeline(timeline: Timeline, labels: Sequence[str]) -> Picture:
    """One strip for each track: the mean probability of each class over time, stacked.

    It is white where the face was not seen. If there are many tracks, those seen in the most frames are drawn, in order
    of appearance.
    """
    curves = timeline.curves()
    summaries = [track for track in timeline.tracks() if track.track in curves]
    shown = sorted(sorted(summaries, key=lambda t: -t.frames)[:MOST_STRIPS], key=lambda t: t.track)
    height = TOP + max(1, len(shown)) * (STRIP + GAP) + BOTTOM
    picture = np.full((height, LEFT + WIDE + RIGHT, 3), PAPER, np.uint8)
    _draw_legend(picture, labels)
    end_s = max(timeline.end_s, timeline.span_s)
    columns = (np.arange(WIDE) * end_s / WIDE / timeline.span_s).astype(int)
    for row, track in enumerate(shown):
        y = TOP + row * (STRIP + GAP) + 22
        _write(picture, _headline(track), (LEFT, y - 8), 0.45, INK)
        _draw_strip(picture[y : y + STRIP, LEFT : LEFT + WIDE], _filled(curves[track.track])[columns])
        cv2.rectangle(picture, (LEFT, y), (LEFT + WIDE, y + STRIP), FAINT, 1)
    if not shown:
        _write(picture, "no face found", (LEFT, TOP + 22), 0.5, INK)
    _draw_ticks(picture, end_s)
    return picture


def _enlarged(picture: Picture, factor: int) -> Picture:
    if factor == 1:
        return picture.copy()
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _scaled(box: Box, factor: int) -> tuple[int, int, int, int]:
    x, y, width, height = (round(value * factor) for value in box)
    return x, y, width, height


def _name(prediction: Prediction) -> str:
    track = "" if prediction.track is None else f"{prediction.track}  "
    return f"{track}{prediction.label} {prediction.confidence:.0%}"


def _best_colour(prediction: Prediction) -> Colour:
    if prediction.label == UNCERTAIN:
        return INK
    return _colour(list(prediction.probs).index(prediction.label))


def _tag_place(picture: Picture, prediction: Prediction, box: Sequence[int], unit: float) -> tuple[int, int, int, int]:
    """Position of the label: on the box, inside the picture."""
    wide, tall = _text_size(_name(prediction), 0.55 * unit)
    width, height = wide + round(12 * unit), tall + round(11 * unit)
    x = min(max(0, box[0]), max(0, picture.shape[1] - width))
    return x, max(0, box[1] - height), width, height


def _panel_place(
    picture: Picture, prediction: Prediction, box: Sequence[int], taken: Sequence[Sequence[int]], unit: float
) -> tuple[int, int, int, int] | None:
    """A free place inside the picture, to the right or left of the box, below or above it. None if there is none."""
    names = max(_text_size(name, 0.42 * unit)[0] for name in prediction.probs)
    width, height = names + round(118 * unit), round((17 * len(prediction.probs) + 8) * unit)
    x, y, wide, tall = box
    gap = round(6 * unit)
    inside = min(max(0, y), picture.shape[0] - height)
    places = [(x + wide + gap, inside), (x - gap - width, inside), (x, y + tall + gap), (x, y - height - 5 * gap)]
    for left, top in places:
        fits = 0 <= left <= picture.shape[1] - width and 0 <= top <= picture.shape[0] - height
        if fits and not any(_meet((left, top, width, height), other) for other in taken):
            return left, top, width, height
    return None


def _meet(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(one[i] < other[i] + other[i + 2] and other[i] < one[i] + one[i + 2] for i in (0, 1))


def _draw_box(picture: Picture, prediction: Prediction, box: Sequence[int], unit: float) -> None:
    x, y, width, height = box
    line = max(2, round(2.2 * unit))
    cv2.rectangle(picture, (x, y), (x + width, y + height), _best_colour(prediction), line, cv2.LINE_AA)


def _draw_tag(picture: Picture, prediction: Prediction, tag: Sequence[int], unit: float) -> None:
    x, y, width, height = tag
    cv2.rectangle(picture, (x, y), (x + width, y + height), _best_colour(prediction), -1)
    _write(picture, _name(prediction), (x + round(6 * unit), y + height - round(6 * unit)), 0.55 * unit, WHITE)


def _draw_panel(picture: Picture, prediction: Prediction, panel: Sequence[int], unit: float) -> None:
    """One line for each class, on a darkened background: name, bar, per cent."""
    x, y, width, height = panel
    ground = picture[y : y + height, x : x + width]
    ground[:] = (ground * DARK).astype(np.uint8)
    step, pad, wide = 17 * unit, round(6 * unit), round(64 * unit)
    start = x + width - wide - round(44 * unit)
    for row, (name, share) in enumerate(prediction.probs.items()):
        base = y + round((row + 1) * step)
        _write(picture, name, (x + pad, base), 0.42 * unit, WHITE)
        _write(picture, f"{share:4.0%}", (x + width - round(38 * unit), base), 0.42 * unit, WHITE)
        top = base - round(9 * unit)
        cv2.rectangle(picture, (start, top), (start + wide, base), (80, 80, 80), -1)
        cv2.rectangle(picture, (start, top), (start + round(wide * share), base), _colour(row), -1)


def _draw_line(picture: Picture, prediction: Prediction, box: Sequence[int], unit: float) -> None:
    """All probabilities side by side along the lower edge of the box, above the key."""
    x, y, width, height = box
    thick = max(4, round(min(9 * unit, height / 8)))
    end_y = min(y + height, picture.shape[0] - round(KEY * unit))
    edges = x + np.cumsum([0.0, *prediction.probs.values()]) * width
    for place, (start, end) in enumerate(itertools.pairwise(edges.round().astype(int).tolist())):
        if end > start:
            cv2.rectangle(picture, (start, end_y - thick), (end - 1, end_y - 1), _colour(place), -1)


def _draw_key(picture: Picture, labels: Sequence[str], unit: float) -> None:
    """The colours of the classes along the lower edge, on a darkened background."""
    height, scale = round(KEY * unit), 0.42 * unit
    ground = picture[-height:]
    ground[:] = (ground * DARK).astype(np.uint8)
    step = picture.shape[1] / len(labels)
    scale *= min(1.0, 0.8 * step / (max(_text_size(name, scale)[0] for name in labels) + 20 * unit))
    bottom, side = picture.shape[0] - round(7 * unit), round(24 * scale)
    for place, name in enumerate(labels):
        x = round(place * step + 8 * unit)
        cv2.rectangle(picture, (x, bottom - side), (x + side, bottom), _colour(place), -1)
        _write(picture, name, (x + side + round(12 * scale), bottom), scale, WHITE)


def _headline(track: TrackSummary) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in itertools.islice(track.shares.items(), 3))
    return f"face {track.track}   {track.first_s:.1f} to {track.last_s:.1f} s   {shares}"


def _draw_legend(picture: Picture, labels: Sequence[str]) -> None:
    x = LEFT
    for place, name in enumerate(labels):
        cv2.rectangle(picture, (x, 18), (x + 14, 32), _colour(place), -1)
        _write(picture, name, (x + 20, 30), 0.48, INK)
        x += 20 + _text_size(name, 0.48)[0] + 24


def _draw_ticks(picture: Picture, end_s: float) -> None:
    base = picture.shape[0] - BOTTOM + 6
    for time_s in _ticks(end_s):
        x = LEFT + round(WIDE * time_s / end_s)
        cv2.line(picture, (x, base), (x, base + 5), INK, 1)
        text = f"{time_s:g} s"
        wide = _text_size(text, 0.42)[0]
        _write(picture, text, (min(max(2, x - wide // 2), picture.shape[1] - wide - 2), base + 20), 0.42, INK)


def _ticks(end_s: float) -> Iterator[float]:
    """At most about eight round times, from 0 to the end."""
    power = 10.0 ** math.floor(math.log10(end_s / TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * TICKS >= end_s)
    yield from (round(number * step, 9) for number in range(int(end_s / step) + 1))


def _filled(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill empty spans that are shorter than a frame and lie between two seen ones: they repeat the one before."""
    seen = np.flatnonzero(~np.isnan(curve[:, 0]))
    if len(seen) < 2:
        return curve
    usual = np.median(np.diff(seen))
    filled = curve.copy()
    for before, after in itertools.pairwise(seen):
        if after - before <= 2 * usual:
            filled[before + 1 : after] = curve[before]
    return filled


def _draw_strip(strip: Picture, probs: NDArray[np.float64]) -> None:
    height = strip.shape[0]
    strip[:] = WHITE
    edges = np.cumsum(np.nan_to_num(probs), axis=1) * height
    rows = np.arange(height)[::-1, None] + 0.5
    known = ~np.isnan(probs[:, 0])
    for place in reversed(range(probs.shape[1])):
        strip[(rows < edges[:, place]) & known] = _colour(place)


def _text_size(text: str, scale: float) -> tuple[int, int]:
    (wide, tall), _ = cv2.getTextSize(text, FONT, scale, 1)
    return wide, tall


def _write(picture: Picture, text: str, at: tuple[int, int], scale: float, colour: Colour) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    cv2.putText(picture, plain, at, FONT, scale, colour, max(1, round(1.6 * scale)), cv2.LINE_AA)


def _colour(place: int) -> Colour:
    return COLOURS[place % len(COLOURS)]
