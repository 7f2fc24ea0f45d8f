"""How figures with their intervals are written, in the terminal and on the page; a dash where undefined.

>>> p_words(0.0004), p_words(0.0312)
('< .001', '= .031')
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..statistics import Interval
    from ..statistics.estimates import Estimate

__all__ = ["DASH", "NO_INTERVAL", "faces_of", "is_drawn", "number", "p_words", "percent", "points", "span"]

DASH = "–"
NO_INTERVAL = "no useful interval"
"""Stands for an interval wider than 50 points: see `statistics.Interval.useful`."""
DRAWN = "drawn"
"""The corpus that mien draws."""


def faces_of(corpus: str) -> str:
    """Whose faces these are: `drawn faces`, `ferplus`."""
    return "drawn faces" if is_drawn(corpus) else corpus


def is_drawn(corpus: str) -> bool:
    """Whether a corpus is of drawn faces, by its name, after which digits of its hash may stand."""
    return corpus.split(" ")[0] == DRAWN


def percent(figure: "Estimate") -> str:
    """A share: `61.2 [58.9–63.4]`, in per cent."""
    if not math.isfinite(figure.value):
        return DASH
    return f"{100 * figure.value:.1f} {span(figure.interval)}"


def points(value: float, interval: "Interval") -> str:
    """A difference of shares: `−4.2 [−8.1 to −0.3]`, in points."""
    return _minus(f"{_round(value):+.1f} {span(interval, '+')}") if math.isfinite(value) else DASH


def number(figure: "Estimate") -> str:
    """A figure that is no share: `0.412 [0.389–0.435]`."""
    if not math.isfinite(figure.value):
        return DASH
    return f"{figure.value:.3f} [{figure.interval.low:.3f}–{figure.interval.high:.3f}]"


def span(interval: "Interval", sign: str = "") -> str:
    """`[58.9–63.4]`, in per cent; `[−1.0 to 3.4]` where a sign is wanted or needed; words where it is of no use."""
    if not interval.useful:
        return f"[{NO_INTERVAL}]"
    between = " to " if sign or interval.low < 0 else "–"
    return _minus(f"[{_round(interval.low):{sign}.1f}{between}{_round(interval.high):{sign}.1f}]")


def p_words(p: float) -> str:
    """`< .001` or `= .031`, to stand behind "p"."""
    if p >= 0.9995:
        return "= 1"
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".", 1)


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _round(value: float) -> float:
    """In per cent, one digit, and no minus before a 0."""
    return round(100 * value, 1) + 0.0
