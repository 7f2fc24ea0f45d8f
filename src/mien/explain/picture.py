"""Maps drawn over faces, with OpenCV alone. In: explanations. Out: one RGB picture, rows of tiles under a legend.

Orange supports the class, blue opposes it, and the face stays grey where the map is 0. Every map has its own scale:
full colour begins at the 99th percentile of its absolute values. So colours compare places within one map, not two
maps. A map without values below 0, as Grad-CAM's, is drawn from its smallest value on. Where the truth is known (drawn
faces), a line marks the pixels that the action units moved.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from . import TITLES
from .explainer import Explained, Explanation

__all__ = ["SIDE", "overlay", "sheet"]

Picture = NDArray[np.uint8]
SIDE = 192
"""Pixels a tile's side."""
GAP, MARGIN, LINE = 10, 16, 22
FOR, AGAINST = (230, 97, 1), (30, 110, 210)
INK, SOFT, PAPER, BAR = (35, 35, 35), (110, 110, 110), (255, 255, 255), (214, 214, 214)
DEEPEST = 0.85
"""Opacity of full colour; the face remains visible below it."""
FULL = 99
"""Percentile of a map's absolute values from which colour is full, so that one bright pixel does not hide the others.
"""
AGAINST_WORDS, FOR_WORDS = "against", "for the class; each map in its own scale"
MOVED_WORDS = "pixels that the action units moved"
LEGEND_BAR = 120
LETTERS, SMALLEST_LETTERS = 0.43, 0.3
"""Sizes of OpenCV's font."""
FONT = cv2.FONT_HERSHEY_SIMPLEX


def sheet(explanations: Sequence[Explanation]) -> Picture:
    """`(H, W, 3)` RGB: one block for each face, with the face at the left and a row of maps for each requested
    class.
    """
    methods = list(dict.fromkeys(method for one in explanations for _, method in one.maps))
    columns = 1 + len(methods)
    known = any(one.face.moved is not None for one in explanations)
    width = max(2 * MARGIN + columns * SIDE + (columns - 1) * GAP, _legend_width(known))
    parts = [_heads(methods, width), *(_block(one, methods, width) for one in explanations)]
    return np.concatenate([*parts, _legend(width, known)])


def overlay(image: Picture, values: NDArray[np.floating], side: int = SIDE) -> Picture:
    """`(side, side, 3)` RGB: a map `(H, W)` in colours over a face `(H, W, C)` in grey."""
    face = _enlarged(image, side)
    grey = (face.mean(axis=2, keepdims=True) * 0.7 + 60).astype(np.float64)
    strength = cv2.resize(_scaled(values), (side, side), interpolation=cv2.INTER_LINEAR)
    colour = np.where(strength[..., None] > 0, FOR, AGAINST)
    cover = DEEPEST * np.abs(strength[..., None])
    return np.asarray(grey * (1 - cover) + colour * cover, np.uint8)


def _scaled(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """The map in [-1, 1]."""
    above = values - max(float(values.min()), 0.0)
    full = float(np.percentile(np.abs(above), FULL)) or float(np.abs(above).max())
    return np.asarray(np.clip(above / max(full, 1e-12), -1, 1), np.float32)


def _block(one: Explanation, methods: Sequence[str], width: int) -> Picture:
    classes = list(dict.fromkeys(name for name, _ in one.maps))
    rows = [_row(one, name, methods, width) for name in classes]
    _put(rows[0], _enlarged(one.face.image, SIDE), 0)
    _write(rows[0], _caption(one), (MARGIN, LINE - 7), INK, SIDE)
    if len(rows) > 1:
        _bars(rows[1], one)
    return np.concatenate(rows)


def _row(one: Explanation, name: str, methods: Sequence[str], width: int) -> Picture:
    row = np.full((LINE + SIDE + GAP, width, 3), 255, np.uint8)
    for place, method in enumerate(methods, start=1):
        tile = overlay(one.face.image, one.maps[name, method])
        _outline(tile, one.face)
        _put(row, tile, place)
    left = MARGIN + SIDE + GAP
    _write(row, f"what speaks for {name} ({one.probs[name]:.0%})", (left, LINE - 7), INK)
    return row


def _bars(row: Picture, one: Explanation) -> None:
    """The probability of each class at the left of a row, under the face."""
    step = min(LINE, SIDE // len(one.probs))
    for place, (name, share) in enumerate(one.probs.items()):
        base = LINE + (place + 1) * step
        cv2.rectangle(row, (MARGIN, base - step + 3), (MARGIN + round(SIDE * share), base - 1), BAR, -1)
        _write(row, f"{name} {share:.0%}", (MARGIN + 3, base - step // 3), INK, SIDE - 3)


def _caption(one: Explanation) -> str:
    caption = f"{one.label} {one.probs[one.label]:.0%}"
    return caption if one.face.label in ("", one.label) else f"{caption}, label {one.face.label}"


def _heads(methods: Sequence[str], width: int) -> Picture:
    head = np.full((MARGIN + LINE, width, 3), 255, np.uint8)
    for place, title in enumerate(("the face", *(TITLES[method] for method in methods))):
        _write(head, title, (MARGIN + place * (SIDE + GAP), MARGIN + LINE - 8), SOFT, SIDE)
    return head


def _legend(width: int, known: bool) -> Picture:
    foot = np.full((LINE + MARGIN, width, 3), 255, np.uint8)
    scale = np.linspace(-1, 1, LEGEND_BAR)[None, :, None]
    cover = DEEPEST * np.abs(scale)
    colours = 150.0 * (1 - cover) + np.where(scale > 0, FOR, AGAINST) * cover
    start = MARGIN + _wide(AGAINST_WORDS) + 8
    foot[4:16, start : start + LEGEND_BAR] = colours.astype(np.uint8)
    _write(foot, AGAINST_WORDS, (MARGIN, 15), INK)
    _write(foot, FOR_WORDS, (start + LEGEND_BAR + 8, 15), INK)
    if known:
        x = start + LEGEND_BAR + 8 + _wide(FOR_WORDS) + 30
        foot[2:18, x - 3 : x + 21] = 110
        cv2.rectangle(foot, (x + 1, 6), (x + 16, 13), PAPER, 1)
        _write(foot, MOVED_WORDS, (x + 26, 15), INK)
    return foot


def _legend_width(known: bool) -> int:
    """Pixels that the legend needs."""
    texts = [AGAINST_WORDS, FOR_WORDS, *([MOVED_WORDS] if known else [])]
    return 2 * MARGIN + sum(map(_wide, texts)) + LEGEND_BAR + 16 + (56 if known else 0)


def _outline(tile: Picture, face: Explained) -> None:
    """A white line around the pixels that moved."""
    if face.moved is None:
        return
    large = cv2.resize(face.moved.astype(np.uint8), (len(tile), len(tile)), interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, lines, -1, PAPER, 1, cv2.LINE_AA)


def _enlarged(image: Picture, side: int) -> Picture:
    large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, -1)
    return np.ascontiguousarray(np.broadcast_to(large, (side, side, 3)), dtype=np.uint8)


def _put(row: Picture, tile: Picture, place: int) -> None:
    left = MARGIN + place * (SIDE + GAP)
    row[LINE : LINE + SIDE, left : left + SIDE] = tile


def _write(
    picture: Picture, text: str, at: tuple[int, int], colour: tuple[int, int, int], room: int | None = None
) -> None:
    """Write within `room` pixels, or up to the margin. Long text is first made smaller, then shortened."""
    room = picture.shape[1] - MARGIN - at[0] if room is None else room
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    size = max(SMALLEST_LETTERS, min(LETTERS, LETTERS * room / max(1, _wide(plain))))
    while len(plain) > 1 and _wide(plain, size) > room:
        plain = plain.removesuffix("...")[:-1] + "..."
        if plain == "...":
            break
    cv2.putText(picture, plain, at, FONT, size, colour, 1, cv2.LINE_AA)


def _wide(text: str, size: float = LETTERS) -> int:
    """Pixels that a text takes."""
    return int(cv2.getTextSize(text, FONT, size, 1)[0][0])
