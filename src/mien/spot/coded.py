"""Coded intervals of videos, read from a CSV: the truth that spotting is scored against.

In: a CSV with the columns video, onset, offset and, if wanted, apex, kind and label; frames from 0, ends inclusive. A
row without onset and offset names a video that has no expression, which counts too. Out: intervals by video.
"""

from pathlib import Path

from ..data.corpora.tables import Row, table
from ..errors import BadSample, DataError
from ..metrics.spotting import KINDS, Interval, Kind

__all__ = ["read_coded"]

REQUIRED = ("video", "onset", "offset")
MOST_FRAMES = 10**9


def read_coded(path: Path) -> dict[str, list[Interval]]:
    """Intervals by the name of their video, in the table's order; without `kind`, all are micro-expressions.

    Raises `DataError`, with the line, if the table cannot be read or a row is not an interval.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; a table of coded intervals has the columns {', '.join(REQUIRED)}.")
    found: dict[str, list[Interval]] = {}
    for row in table(path, REQUIRED):
        if isinstance(row, BadSample):
            raise DataError(str(row))
        own = found.setdefault(row.cells["video"], [])
        if row.cells["onset"] or row.cells["offset"]:
            own.append(_interval(row))
    return found


def _interval(row: Row) -> Interval:
    cells = row.cells
    try:
        return Interval(
            onset=_frame(cells["onset"]),
            offset=_frame(cells["offset"]),
            apex=_frame(cells["apex"]) if cells.get("apex") else None,
            kind=_kind(cells.get("kind") or "micro"),
            label=cells.get("label", ""),
        )
    except ValueError as error:
        raise DataError(f"{row.where}: {error}.") from None


def _frame(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:10]) < MOST_FRAMES and len(text) < 10):
        raise ValueError(f"a frame {text[:40]!r}, expected a whole number from 0")
    return int(text)


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if text.lower() == kind:
            return kind
    raise ValueError(f"the kind {text[:40]!r}, expected {' or '.join(KINDS)}")
