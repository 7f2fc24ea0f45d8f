"""MMEW (Ben 2021, TPAMI): micro-expressions in folders of their class, 231×231, 90 frames a second (unverified).

Frames are `Micro_Expression/<emotion>/S13-07-001/1.jpg`. The coding sheet is `MMEW_Micro_Exp.xlsx`. The subject is the
first part of the name of the clip.
"""

from collections.abc import Iterator
from pathlib import Path

from ..sheets import Row, find_table
from .coded import FIELDS, Coded, clips_of, units
from .folders import Folders, find_sheet, scan
from .protocol import ClipCorpus, ClipOptions

__all__ = ["read"]

FPS = 90.0
LICENCE = "MMEW: for academic research, under an agreement with its authors; frames must not be passed on."
MACRO = ("macro_expression",)


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheet and the folders of clips."""
    folders = scan(root, "mmew")
    sheet = find_sheet(folders, "mmew", options.sheet, "MMEW_Micro", "MMEW")
    table = find_table(sheet, FIELDS, ("subject", "clip", "onset", "offset", "label"))
    clips, irregular = clips_of(_coded(table.rows, folders), options.fps or FPS)
    return ClipCorpus(
        name="mmew",
        licence=LICENCE,
        clips=tuple(clips),
        irregular=tuple(irregular),
        notes=(f"{len(table.rows)} rows of {table.where}.", *(() if options.fps else (f"{FPS:g} fps, unverified.",))),
    )


def _coded(rows: tuple[Row, ...], folders: Folders) -> Iterator[Coded]:
    for row in rows:
        clip = row.text("clip")
        yield Coded(
            clip=clip,
            subject=clip.partition("-")[0].upper(),
            label=row.text("label").lower(),
            onset=row.number("onset"),
            apex=row.number("apex"),
            offset=row.number("offset"),
            folder=folders.find(clip, without=MACRO),
            wanted=clip,
            aus=units(row.text("aus")),
        )
