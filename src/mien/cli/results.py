"""How `mien predict` prints its predictions: a table for people; JSON, JSON lines or CSV for programs.

Each form takes `Seen`s one by one and keeps none of them. After `end` the output is complete, whenever it is called.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mien.bundle import Bundle
from mien.cli.screen import json_text, literal
from mien.predict import Prediction, Seen, heading, record
from mien.shown import csv_cell
from mien.summary import Timeline, TrackSummary

__all__ = ["Csv", "Json", "JsonLines", "Results", "Tables", "track_rows"]

SHOWN = 3
"""Number of expressions of each face that the table lists by default."""
PIPE_WIDTH = 160
"""Width of the table in characters if stdout is not a terminal."""


class Results(Protocol):
    """A form of output."""

    def add(self, seen: Seen) -> None:
        """Take one picture or frame, or an input that could not be used."""

    def video(self, name: str, timeline: Timeline) -> None:
        """Take the end of a video."""

    def end(self) -> None:
        """Print the rest of the output."""


class Json:
    """One JSON object: the model, the detector, `results` and `failures`, as docs/predict.md defines."""

    def __init__(self, bundle: Bundle, detector: str, top_k: int | None) -> None:
        self._out, self._top_k = sys.stdout, top_k
        self._failures: list[dict[str, Any]] = []
        self._comma = ""
        self._out.write(json_text(heading(bundle, detector))[:-1] + ', "results": [')

    def add(self, seen: Seen) -> None:
        """See `Results`."""
        if seen.failure:
            self._failures.append(record(seen))
            return
        self._out.write(f"{self._comma}\n{json_text(record(seen, self._top_k))}")
        self._comma = ","

    def video(self, name: str, timeline: Timeline) -> None:
        """See `Results`."""

    def end(self) -> None:
        """See `Results`."""
        self._out.write(f'\n], "failures": {json_text(self._failures)}}}\n')
        self._out.flush()


class JsonLines:
    """One line of JSON for each picture or frame, as soon as it is classified."""

    def __init__(self, top_k: int | None) -> None:
        self._out, self._top_k = sys.stdout, top_k

    def add(self, seen: Seen) -> None:
        """See `Results`."""
        self._out.write(json_text(record(seen, self._top_k)) + "\n")
        self._out.flush()

    def video(self, name: str, timeline: Timeline) -> None:
        """See `Results`."""

    def end(self) -> None:
        """See `Results`."""


class Csv:
    """One row for each face, one column for each class. Pictures without a face have no row."""

    def __init__(self, labels: Sequence[str], top_k: int | None) -> None:
        self._out, self._top_k, self._labels = sys.stdout, top_k, labels
        facts = ("source", "frame", "time_s", "track", "label", "confidence", "x", "y", "width", "height", "score")
        self._rows = csv.writer(self._out, lineterminator="\n")
        self._rows.writerow((*facts, *(csv_cell(f"p_{name}") for name in labels)))

    def add(self, seen: Seen) -> None:
        """See `Results`."""
        found = record(seen, self._top_k)
        for face in found.get("faces", ()):
            facts = (found["source"], found.get("frame"), found.get("time_s"), face["track"], face["label"])
            probs = (face["probs"].get(name) for name in self._labels)
            self._rows.writerow((*map(csv_cell, facts), face["confidence"], *face["box"], face["score"], *probs))

    def video(self, name: str, timeline: Timeline) -> None:
        """See `Results`."""

    def end(self) -> None:
        """See `Results`."""
        self._out.flush()


class Tables:
    """One row for each face of the pictures, and one for each track of a video; printed at the end."""

    def __init__(self, top_k: int | None) -> None:
        self._top_k = top_k or SHOWN
        self._console = Console(highlight=False, file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH)
        self._pictures = _table("picture", "face", "expression", "", "then", "at")
        self._videos: list[Table] = []

    def add(self, seen: Seen) -> None:
        """See `Results`."""
        if seen.time_s is not None or seen.failure:
            return
        for number, prediction in enumerate(seen.predictions, start=1):
            self._pictures.add_row(literal(seen.source), str(number), *_cells(prediction, self._top_k))
        if not seen.predictions:
            self._pictures.add_row(literal(seen.source), "", "[dim]no face found[/]")

    def video(self, name: str, timeline: Timeline) -> None:
        """See `Results`."""
        title = f"{literal(name)}: {timeline.frames} frames, {timeline.end_s:.1f} s"
        table = _table("face", "from", "to", "frames", "expression", "shares of its frames", title=title)
        for track in timeline.tracks():
            table.add_row(*(literal(each) for each in _track_cells(track, self._top_k)))
        if not timeline.tracks():
            table.add_row("", "", "", "", "[dim]no face found[/]")
        self._videos.append(table)

    def end(self) -> None:
        """See `Results`."""
        if self._pictures.row_count:
            self._console.print(self._pictures)
        for table in self._videos:
            self._console.print(table)
        self._console.file.flush()


def _table(first: str, *others: str, title: str | None = None) -> Table:
    """A table whose first column wraps on a narrow terminal, so that no path is cut."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, no_wrap=True)
    return table


def track_rows(timeline: Timeline, labels: Sequence[str]) -> list[tuple[Any, ...]]:
    """The tracks of a video as rows of a CSV file, after a header. Each class has a column with its share of frames."""
    head = ("track", "first_s", "last_s", "frames", "label", *(f"share_{name}" for name in labels))
    rows = (
        (t.track, round(t.first_s, 3), round(t.last_s, 3), t.frames, t.label, *_shares(t.shares, labels))
        for t in timeline.tracks()
    )
    return [head, *rows]


def _shares(shares: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    return [round(shares.get(name, 0.0), 4) for name in labels]


def _cells(prediction: Prediction, top_k: int) -> tuple[str, ...]:
    best, *others = sorted(prediction.probs.items(), key=lambda item: -item[1])[:top_k]
    if prediction.label != best[0]:  # uncertain: show every candidate
        others = [best, *others]
    x, y, width, height = (round(value) for value in prediction.box)
    then = ", ".join(f"{name} {share:.0%}" for name, share in others)
    at = f"{x},{y} {width}×{height}"
    return literal(prediction.label), f"{prediction.confidence:.0%}", literal(then), at


def _track_cells(track: TrackSummary, top_k: int) -> tuple[str, ...]:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in list(track.shares.items())[:top_k])
    return str(track.track), f"{track.first_s:.1f} s", f"{track.last_s:.1f} s", str(track.frames), track.label, shares
