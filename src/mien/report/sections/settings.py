"""Curves of a setting: where a number has three levels or more, accuracy against it, a line a network."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...judge.questions import levels
from ...rows import NAME, Row, level_words
from ..figures import Drawing
from ..figures.settings import Line, Point, draw_setting
from ..findings import Findings
from ..parts import Section, panels

__all__ = ["sections"]

LIMIT = "data.train_limit"
"""The setting whose curve is over the number of training faces: a limit of 0 means all of them."""
FEWEST = 3
"""Fewest levels of a curve."""


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    drawn = [drawing for key in found.comparison.factors for drawing in _of(found, key)]
    if drawn:
        yield Section(id="settings", title="Along a setting", panels=panels(drawn))


def _of(found: Findings, key: str) -> Iterator[Drawing]:
    lines = [line for group in levels(found.comparison.rows, key) if (line := _line(found, key, group))]
    if key != NAME and lines:
        certainty = found.judgement.certainty
        seeds = max(len(row.scores) for row in found.comparison.rows) > 1
        over = ("test subjects" if certainty.by_subject else "test faces") + " and seeds" * seeds
        yield from draw_setting(key, lines, over)


def _line(found: Findings, key: str, group: Mapping[Any, Row]) -> Line | None:
    """Rows that differ only in the setting; None if too few of them have figures, or it is not a number."""
    points = sorted((p for level, row in group.items() if (p := _point(found, key, level, row))), key=lambda p: p.level)
    if len(points) < FEWEST:
        return None
    first = next(iter(group.values()))
    others = [level_words(name, value) for name, value in first.factors.items() if name not in (NAME, key)]
    look = found.every_look[next(row.name for row in group.values() if row.scores)]
    return Line(name=", ".join([first.network, *others]), look=look, points=tuple(points))


def _point(found: Findings, key: str, level: Any, row: Row) -> Point | None:
    """None for a level that is not a number, or a row without an interval."""
    interval = found.judgement.certainty.intervals.get((row.name, "accuracy"))
    if isinstance(level, bool) or not isinstance(level, int | float) or interval is None or not row.scores:
        return None
    mean = sum(score.accuracy for score in row.scores) / len(row.scores)
    if key == LIMIT:
        level = row.runs[0].data.counts["train"]
    return Point(level=float(level), mean=mean, low=min(interval.low, mean), high=max(interval.high, mean))
