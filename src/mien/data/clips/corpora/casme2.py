"""CASME II (Yan 2014, PLOS ONE): 255 micro-expressions of 26 subjects, 200 frames a second, 640×480.

Frames are `CASME2_RAW_selected/sub01/EP02_01f/img46.jpg`, or `Cropped/…/reg_img46.jpg`. The coding sheet is
`CASME2-coding-20140508.xlsx` or `…-20190701.xlsx`. Its header is in row 1, and two of its columns have no name. Frame
numbers count the frames of the long recording.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ....errors import DataError
from ..sheets import Row, find_table
from .coded import FIELDS, Coded, clips_of, units
from .folders import Folders, find_sheet, scan
from .protocol import ClipCorpus, ClipOptions, LabelRule

__all__ = ["RULES", "read"]

FPS = 200.0
LICENCE = "CASME II: for academic research, under an agreement with its authors; frames must not be passed on."
RULES = {
    "five": LabelRule(classes={name: name for name in ("disgust", "happiness", "others", "repression", "surprise")}),
    "megc2019": LabelRule(
        classes={"disgust": "negative", "repression": "negative", "happiness": "positive", "surprise": "surprise"},
        without=frozenset(
            # the first two are in none of the 145; the others became surprise with the labels of 2019
            ("sub04/EP12_01f", "sub05/EP09_05f", "sub24/EP07_01", "sub24/EP07_04f", "sub24/EP10_03")
        ),
        counts={"negative": 88, "positive": 32, "surprise": 25},
        subjects=24,
    ),
}


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheet and the folders of clips."""
    folders = scan(root, "casme2")
    sheet = find_sheet(folders, "casme2", options.sheet, "CASME2-coding")
    table = find_table(sheet, FIELDS, ("subject", "clip", "onset", "offset", "label"))
    clips, irregular = clips_of(_coded(table.rows, folders), options.fps or FPS)
    return ClipCorpus(
        name="casme2",
        licence=LICENCE,
        clips=tuple(clips),
        irregular=tuple(irregular),
        rules=RULES,
        notes=(f"{len(table.rows)} rows of {table.where}.",),
    )


def _coded(rows: tuple[Row, ...], folders: Folders) -> Iterator[Coded]:
    for row in rows:
        digits = re.search(r"\d+", row.text("subject"))
        if digits is None:
            raise DataError(f"CASME II: a row of the sheet has the subject {row.text('subject')!r}, expected a number.")
        subject, clip = f"sub{int(digits[0]):02}", row.text("clip")
        yield Coded(
            clip=f"{subject}/{clip}",
            subject=subject,
            label=row.text("label").lower(),
            onset=row.number("onset"),
            apex=row.number("apex"),
            offset=row.number("offset"),
            folder=folders.find(subject, clip),
            wanted=f"{subject}/{clip}",
            aus=units(row.text("aus")),
        )
