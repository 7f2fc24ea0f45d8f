"""The timeline of one video as an SVG: how far the face is from rest, and the intervals that were found."""

from collections.abc import Iterator

import numpy as np

from ..shown import tagless
from .spotter import Spotted

__all__ = ["timeline_svg"]

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1080, 190, 46, 30, 34
COLOURS = {"micro": "#d55e00", "macro": "#1f82c4"}
STEPS_S = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
MOST_MARKS = 12


def timeline_svg(name: str, spotted: Spotted) -> str:
    """One video; time in seconds to the right, pixels of a face 128 pixels wide upwards."""
    return "\n".join(_parts(name, spotted)) + "\n"


def _parts(name: str, spotted: Spotted) -> Iterator[str]:
    seconds = max(spotted.frames / spotted.fps, 1e-9)
    high = max(1.0, float(spotted.scores.max(initial=0.0)))
    across, down = (WIDTH - LEFT - 12) / seconds, (HEIGHT - TOP - BOTTOM) / high
    floor = HEIGHT - BOTTOM
    title = tagless(f"{name}: {len(spotted.intervals)} expressions in {seconds:.1f} s")
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
    yield "<style>text{font:12px system-ui,sans-serif;fill:#1b1b1a}.soft{fill:#5c5b57}</style>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{LEFT}" y="18">{title}</text>'
    for one in spotted.intervals:
        left, width = LEFT + one.onset / spotted.fps * across, max(2.0, one.length / spotted.fps * across)
        words = tagless(" ".join(filter(None, [one.kind, one.label])))
        yield (
            f'<rect x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{floor - TOP}" fill="{COLOURS[one.kind]}" '
            f'fill-opacity="0.3"><title>{words}, frames {one.onset} to {one.offset}</title></rect>'
        )
    points = " ".join(f"{LEFT + x * across:.1f},{floor - y * down:.1f}" for x, y in _outline(spotted, seconds))
    yield f'<polyline points="{points}" fill="none" stroke="#1b1b1a" stroke-width="1"/>'
    yield f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{floor}" y2="{floor}" stroke="#5c5b57"/>'
    step = next((step for step in STEPS_S if seconds / step <= MOST_MARKS), seconds)
    for mark in np.arange(0, seconds + 1e-9, step):
        x = LEFT + mark * across
        yield f'<text class="soft" x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{mark:g} s</text>'
    yield f'<text class="soft" x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{high:.1f} px</text>'
    for place, (kind, colour) in enumerate(COLOURS.items()):
        x = WIDTH - 12 - 70 * (len(COLOURS) - place)
        yield f'<rect x="{x}" y="8" width="10" height="10" fill="{colour}" fill-opacity="0.5"/>'
        yield f'<text class="soft" x="{x + 15}" y="18">{kind}</text>'
    yield "</svg>"


def _outline(spotted: Spotted, seconds: float) -> list[tuple[float, float]]:
    """The highest score of each column of pixels, against seconds."""
    columns = min(WIDTH, max(1, len(spotted.scores)))
    edges = np.linspace(0, len(spotted.scores), columns + 1).astype(int)[:-1]
    highest = np.maximum.reduceat(spotted.scores, edges) if len(spotted.scores) else np.zeros(1)
    return [(float(edge) / spotted.fps, float(value)) for edge, value in zip(edges, highest, strict=True)]
