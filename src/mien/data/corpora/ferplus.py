"""FER+ (Barsoum et al. 2016, arXiv:1608.01041): the pictures of FER2013, each labelled again by ten annotators.

The input is a folder with `fer2013.csv` (or `icml_face_data.csv`) and `fer2013new.csv`. The two tables are joined by
row, because the image numbers in `fer2013new.csv` are not row numbers and some of them occur twice.

Labels follow the "majority" mode of the paper:

1. A class with a single vote is an outlier. Its vote is removed.
2. The label is the class with more than half of the remaining votes. Without such a class the label is "unknown".
3. Samples that are "unknown" or NF (no face) are left out and counted.

The soft label of a sample is its remaining votes for the kept expressions, divided by their sum.

With `original_votes`, no sample is left out. The label of FER2013 stays the label, and counts as that many votes beside
the ten. A network then learns from both annotations, and is tested on the one that results on FER2013 refer to.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from ...errors import BadSample, DataError
from ...labels import canonical_name
from . import fer2013
from .protocol import Corpus, Entry, ReadOptions
from .tables import Row, count_lines, table

__all__ = ["CLASSES", "label_of", "read"]

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
NOT_EXPRESSIONS = ("unknown", "NF")
VOTES = "fer2013new.csv"
RULE = (
    "FER+ labels: single votes are taken away, the label is the class with more than half of the rest; samples with "
    "no such class count as unknown; unknown and NF are left out (Barsoum et al. 2016, majority mode)."
)
BOTH = "The label is FER2013's; it counts as {} votes beside the FER+ votes, of which single ones are taken away."


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read the folder of `fer2013.csv` and `fer2013new.csv`."""
    folder = root.parent if root.is_file() else root
    pixels = fer2013.find_table(folder)
    votes = next((path for path in (folder / VOTES, folder / "ferplus" / VOTES) if path.is_file()), None)
    if pixels is None or votes is None:
        missing = VOTES if votes is None else fer2013.TABLES[0]
        raise DataError(f"{folder} holds no {missing}; FER+ needs {fer2013.TABLES[0]} and {VOTES} side by side.")
    count, found = count_lines(pixels, b"PrivateTest")
    splits, note = fer2013.usage_splits(bool(found), options)
    pixel_rows = table(pixels, ("emotion", "usage", "pixels"))
    vote_rows = table(votes, ("usage", *(name.lower() for name in CLASSES)))
    return Corpus(
        name="fer2013-ferplus" if options.original_votes else "ferplus",
        classes=CLASSES,
        licence=f"{fer2013.LICENCE} FER+ labels: MIT.",
        count=max(0, count - 1),
        entries=_joined(pixel_rows, vote_rows, splits, (pixels.name, votes.name), options.original_votes),
        not_expressions=NOT_EXPRESSIONS,
        notes=(note, BOTH.format(options.original_votes) if options.original_votes else RULE),
    )


def label_of(votes: tuple[int, ...]) -> tuple[int, tuple[float, ...]]:
    """The label (position in `CLASSES`) and the votes that count, from ten counts of votes."""
    counted = tuple(float(vote) if vote > 1 else 0.0 for vote in votes)
    most = max(counted)
    if most <= 0.5 * sum(counted):
        return CLASSES.index("unknown"), counted
    return counted.index(most), counted


def _joined(
    pixel_rows: Iterator[Row | BadSample],
    vote_rows: Iterator[Row | BadSample],
    splits: dict[str, str],
    names: tuple[str, str],
    original_votes: int,
) -> Iterator[Entry | BadSample]:
    for line, (pixels, votes) in enumerate(zip_longest(pixel_rows, vote_rows), start=2):
        if pixels is None or votes is None:
            short, long = names if pixels is None else names[::-1]
            raise DataError(f"{short} ends before {long}:{line}; FER+ is joined by row, so both need the same rows.")
        if isinstance(pixels, BadSample):
            yield pixels
        elif isinstance(votes, BadSample):
            yield votes
        else:
            yield _entry(pixels, votes, splits, original_votes)


def _entry(pixels: Row, votes: Row, splits: dict[str, str], original_votes: int) -> Entry | BadSample:
    usage, expected = votes.cells["usage"], pixels.cells["usage"]
    if usage != expected:
        raise DataError(
            f"{votes.where} says {usage!r} where {pixels.where} says {expected!r}: the rows do not belong together."
        )
    entry = fer2013.table_entry(pixels, splits)
    texts = [votes.cells[name.lower()] for name in CLASSES]
    if isinstance(entry, BadSample):
        return entry
    if not all(text.isdecimal() and len(text) < 4 for text in texts):
        return BadSample(votes.where, f"the votes are {texts}, expected ten whole numbers")
    label, counted = label_of(tuple(int(text) for text in texts))
    if original_votes:
        label = CLASSES.index(canonical_name(fer2013.CLASSES[entry.label]))
        counted = tuple(vote + original_votes * (place == label) for place, vote in enumerate(counted))
    return replace(entry, label=label, votes=counted)
