"""4DME (Li 2022, TAC): micro-expressions filmed in 4D. The grey videos are read; 60 frames a second (one source).

Frames are `gray_micro/<sub_ID>/<fold_name>/*`. The coding sheet is `4DME_Labelling_Micro_release v1.xlsx`; header words
of an earlier version end in an apostrophe. A clip may have several labels at once, such as "Surprise+Positive". These
clips are left out, because a sample has one class.
"""

from collections.abc import Iterator
from pathlib import Path

from ..sheets import Row, find_table, plain
from .coded import FIELDS, Coded, clips_of, left_out, units
from .folders import Folders, find_sheet, scan
from .protocol import ClipCorpus, ClipOptions, Irregular

__all__ = ["read"]

FPS = 60.0
GREY = "gray_micro"
LICENCE = "4DME: for academic research, under an agreement with its authors; frames must not be passed on."
CLASSES = ("positive", "negative", "surprise", "repression", "others")
MARKS = {"1", "x", "yes", "true"}


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheet and the folders of clips."""
    folders = scan(root, "4dme")
    sheet = find_sheet(folders, "4dme", options.sheet, "4DME_Labelling_Micro", "4DME")
    fields = {**FIELDS, **{name: (name,) for name in CLASSES}}
    table = find_table(sheet, fields, ("subject", "clip", "onset", "offset"))
    several = [row for row in table.rows if len(_labels(row)) != 1]
    clips, irregular = clips_of(_coded([row for row in table.rows if row not in several], folders), options.fps or FPS)
    return ClipCorpus(
        name="4dme",
        licence=LICENCE,
        clips=tuple(clips),
        irregular=(*(_several(row) for row in several), *irregular),
        notes=(f"{len(table.rows)} rows of {table.where}.", *(() if options.fps else (f"{FPS:g} fps, one source.",))),
    )


def _labels(row: Row) -> list[str]:
    """The classes of a row, from the column Emotion or, where that is blank, the columns of the classes."""
    labels = [part.strip().lower() for part in row.text("label").replace(",", "+").split("+") if part.strip()]
    return labels or [name for name in CLASSES if row.text(name).lower() in MARKS]


def _several(row: Row) -> Irregular:
    labels = _labels(row)
    seen = "it has several classes at once" if labels else "it has no class"
    return left_out(_name(row), seen, "+".join(labels))


def _name(row: Row) -> str:
    return f"{row.text('subject')}/{row.text('clip')}"


def _coded(rows: list[Row], folders: Folders) -> Iterator[Coded]:
    for row in rows:
        (label,) = _labels(row)
        yield Coded(
            clip=_name(row),
            subject=plain(row.text("subject")),
            label=label,
            onset=row.number("onset"),
            apex=row.number("apex"),
            offset=row.number("offset"),
            folder=folders.find(GREY, row.text("subject"), row.text("clip"))
            or folders.find(row.text("subject"), row.text("clip")),
            wanted=_name(row),
            aus=units(row.text("aus")),
        )
