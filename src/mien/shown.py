"""Escapes foreign text for the place where it is shown: a message, a terminal, CSV, HTML.

File names, class names and the cards of models come from strangers. A name can move a terminal's cursor, turn the
direction of reading, begin a formula in a spreadsheet, or be a tag in a page. In: any text or value. Out: the same
text where it does no harm, and escapes such as `\\u202e` where it would.

>>> brief("x" * 1_000_000)
"'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…' (1,000,000 letters)"
>>> visible("gpj.\\u202eexe"), csv_cell("=1+1"), tagless("<b>")
('gpj.\\\\u202eexe', "'=1+1", '&lt;b&gt;')
"""

import html
import re
import reprlib
from typing import Any

__all__ = ["brief", "csv_cell", "first_line", "sentence", "tagless", "visible"]

LETTERS = 80
"""Longest value in a message."""
PART = 40
"""Characters that remain of a text that is too long."""
LINE = 200
"""Most characters of a line that a message repeats."""
LONGEST = 3000
"""Letters of a message; the longest of mien's own names every setting there is."""
TOO_LONG = re.compile(r"\S{301,}")
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters except the line break, marks that change the reading direction, and lone surrogates."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that a spreadsheet takes for a formula."""
FIGURE = re.compile(r"[+-][\d.,% \[\]–−+to-]*")
"""A figure with its sign, maybe with its interval: "+5 [+3 to +6]". No spreadsheet computes these letters alone."""
_short = reprlib.Repr()
_short.maxstring = _short.maxother = PART
_short.maxdict = _short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = 4


def brief(value: object, most: int = LETTERS) -> str:
    """A value as a message names it: in one line of some `most` letters, however large the value is.

    Arrays are named by type and shape, long texts and bytes by their beginning and length.
    """
    if isinstance(value, str | bytes) and len(value) > most:
        words, unit = repr(value[:PART]), "letters" if isinstance(value, str) else "bytes"
        return f"{words[: PART + 1]}…{words[-1]} ({len(value):,} {unit})"
    shape = getattr(value, "shape", None)
    if hasattr(value, "dtype") and isinstance(shape, tuple):
        return _cut(f"{type(value).__name__} of {value.dtype} {tuple(shape)}", most)
    try:
        words = repr(value) if isinstance(value, str | bytes) else _short.repr(value)
    except Exception:  # Python writes no number of 5,000 digits, and other objects may fail too
        words = "a number of thousands of digits" if isinstance(value, int) else f"a {type(value).__name__}"
    return _cut(visible(words.replace("\n", " ")), most)


def first_line(seen: object) -> str:
    """The first line of a text, or of what stands for another object, cut to a length that fits into a message."""
    return _cut(next(iter(str(seen).splitlines()), ""), LINE)


def sentence(message: str) -> str:
    """A message of readable length: words longer than any path are shortened."""
    short = TOO_LONG.sub(lambda seen: f"{seen[0][:PART]}… ({len(seen[0]):,} letters)", message)
    return short if len(short) <= LONGEST else f"{short[: LONGEST - PART]}… ({len(message):,} letters in all)"


def visible(text: str) -> str:
    """`text` with each character that a terminal would obey or hide written as `\\uXXXX`; line breaks stay.

    JSON stays the same JSON.
    """
    return UNSEEN.sub(lambda seen: f"\\u{ord(seen[0]):04x}", text)


def csv_cell(value: Any) -> Any:
    """A value for a CSV file: a text that a spreadsheet would evaluate gets an apostrophe before it.

    Numbers stay as they are. The exact names are in JSON.
    """
    if not isinstance(value, str):
        return value
    computed = value.startswith(FORMULA) and not FIGURE.fullmatch(value)
    return visible(f"'{value}" if computed else value)


def tagless(text: str) -> str:
    """A text for HTML with all markup escaped."""
    return html.escape(visible(text))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
