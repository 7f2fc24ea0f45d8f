"""Formats counts, shares, differences and lists for the terminal, the page and every message.

There is one function for each form, so that a number looks the same everywhere. An undefined value is a dash, never a
0.

>>> listed(["happy", "sad", "angry"]), p_words(0.0312), p_words(0.0004)
('happy, sad and angry', '= .031', '< .001')
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from .shown import csv_cell

__all__ = ["DASH", "NO_INTERVAL", "as_csv", "decimal", "duration", "ended", "faces_of", "in_percent", "is_drawn"]
__all__ += [
    "listed",
    "many",
    "number",
    "p_words",
    "percent",
    "plus",
    "points",
    "rough",
    "span",
    "three",
    "times",
    "yes",
]

DASH = "–"
NO_INTERVAL = "no useful interval"
"""Stands for an interval wider than 50 points: see `statistics.Interval.useful`."""
DRAWN = "drawn"
"""The corpus that mien draws."""


class Ends(Protocol):
    """An interval, such as `statistics.Interval`."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def useful(self) -> bool: ...


class Figure(Protocol):
    """A value with its interval, such as `statistics.estimates.Estimate`."""

    @property
    def value(self) -> float: ...
    @property
    def interval(self) -> Ends: ...


# Lists, counts and sentences


def listed(items: Iterable[object], last: str = "and") -> str:
    """`a, b and c`; `last` is the word before the last one."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def number(value: object) -> str:
    """The value of a setting: `1,200`, `0.001`, `yes`, `a and b`."""
    if isinstance(value, bool):
        return yes(value)
    if isinstance(value, tuple):
        return listed(value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def many(count: int | float, thing: str) -> str:
    """`1 epoch`, `1,200 epochs`."""
    return f"{number(count)} {thing}" + "s" * (count != 1)


def rough(count: int) -> str:
    """A count rounded to two digits, `5,200`, for planning."""
    return f"{float(f'{count:.2g}'):,.0f}"


def yes(value: bool) -> str:
    """`yes` or `no`."""
    return "yes" if value else "no"


def ended(sentence: str) -> str:
    """The sentence with a full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def duration(seconds: float) -> str:
    """`2 h 5 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


# Shares and differences of shares


def percent(share: float, digits: int | None = None) -> str:
    """`10 %`, `12.5 %`, with `digits` digits after the point."""
    return f"{100 * share:.4g}\u00a0%" if digits is None else f"{100 * share:.{digits}f}\u00a0%"


def in_percent(figure: Figure) -> str:
    """A share with its interval, `61.2 [58.9–63.4]`, in per cent."""
    return f"{100 * figure.value:.1f} {span(figure.interval)}" if math.isfinite(figure.value) else DASH


def plus(share: float) -> str:
    """A difference of shares without its interval, `−4.2`, in points."""
    return _minus(f"{100 * share:+.1f}")


def points(value: float, interval: Ends) -> str:
    """A difference of shares with its interval, `−4.2 [−8.1 to −0.3]`, in points."""
    return _minus(f"{_round(value):+.1f} {span(interval, '+')}") if math.isfinite(value) else DASH


def span(interval: Ends, sign: str = "") -> str:
    """`[58.9–63.4]`, in per cent; `[−1.0 to 3.4]` if a sign is wanted or needed; words if the interval is too wide
    to be useful.
    """
    if not interval.useful:
        return f"[{NO_INTERVAL}]"
    between = " to " if sign or interval.low < 0 else "–"
    return _minus(f"[{_round(interval.low):{sign}.1f}{between}{_round(interval.high):{sign}.1f}]")


# Other figures


def decimal(figure: Figure) -> str:
    """A figure that is no share: `0.412 [0.389–0.435]`."""
    if not math.isfinite(figure.value):
        return DASH
    return f"{figure.value:.3f} [{figure.interval.low:.3f}–{figure.interval.high:.3f}]"


def p_words(p: float, *, bare: bool = False) -> str:
    """`< .001` or `= .031`, to stand behind "p"; `bare` leaves the equals sign out, to stand under it."""
    if p < 0.001:
        return "< .001"
    return "= " * (not bare) + ("1" if p >= 0.9995 else f"{p:.3f}".replace("0.", ".", 1))


# Files, which hold every digit


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their heads; floats keep every digit, and undefined values are empty."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(map(csv_cell, heads))
    lines.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def three(figure: Figure) -> tuple[float, float, float]:
    """A figure as value, low, high."""
    return figure.value, figure.interval.low, figure.interval.high


# Corpora


def faces_of(corpus: str) -> str:
    """The faces of a corpus in words: `drawn faces`, `ferplus`."""
    return "drawn faces" if is_drawn(corpus) else corpus


def is_drawn(corpus: str) -> bool:
    """Whether a corpus is of drawn faces, by its name, after which digits of its hash may stand."""
    return corpus.split(" ")[0] == DRAWN


def _cell(value: object) -> str:
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else ""
    return str(csv_cell(value))


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _round(value: float) -> float:
    """In per cent, one digit, and no minus before a 0."""
    return round(100 * value, 1) + 0.0


def times(value: float, digits: int = 1) -> str:
    """A multiple, `× 1.2`; a dash for one that is not known."""
    return f"× {value:.{digits}f}" if math.isfinite(value) else DASH
