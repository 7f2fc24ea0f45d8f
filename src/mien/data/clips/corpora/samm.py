"""SAMM (Davison 2018, TAC): 159 micro-expressions of 29 subjects, 200 frames a second, grey, 960×650.

Frames are `006/006_1_2/006_05562.jpg`. The coding sheet is `SAMM_Micro_FACS_Codes_v2.xlsx`. Its header is in row 14, or
in row 1 in another version.
"""

from collections.abc import Iterator
from pathlib import Path

from ..sheets import Row, find_table
from .coded import FIELDS, Coded, clips_of, units
from .folders import Folders, find_sheet, scan
from .protocol import ClipCorpus, ClipOptions, LabelRule

__all__ = ["RULES", "read"]

FPS = 200.0
LICENCE = "SAMM: for academic research, under an agreement with its authors; frames must not be passed on."
NEGATIVE = ("anger", "contempt", "disgust", "fear", "sadness")
RULES = {
    "five": LabelRule(classes={name: name for name in ("anger", "contempt", "happiness", "other", "surprise")}),
    "megc2019": LabelRule(
        classes={**dict.fromkeys(NEGATIVE, "negative"), "happiness": "positive", "surprise": "surprise"},
        counts={"negative": 92, "positive": 26, "surprise": 15},
        subjects=28,
    ),
}


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheet and the folders of clips."""
    folders = scan(root, "samm")
    sheet = find_sheet(folders, "samm", options.sheet, "SAMM_Micro_FACS_Codes", "SAMM_Micro")
    table = find_table(sheet, FIELDS, ("subject", "clip", "onset", "offset", "label"), prefer="MICRO_ONLY")
    clips, irregular = clips_of(_coded(table.rows, folders), options.fps or FPS)
    return ClipCorpus(
        name="samm",
        licence=LICENCE,
        clips=tuple(clips),
        irregular=tuple(irregular),
        rules=RULES,
        notes=(f"{len(table.rows)} rows of {table.where}.",),
    )


def _coded(rows: tuple[Row, ...], folders: Folders) -> Iterator[Coded]:
    for row in rows:
        clip = row.text("clip")
        subject = clip.partition("_")[0].zfill(3)  # the column may have lost its zeros
        yield Coded(
            clip=clip,
            subject=subject,
            label={"others": "other"}.get(row.text("label").lower(), row.text("label").lower()),
            onset=row.number("onset"),
            apex=row.number("apex"),
            offset=row.number("offset"),
            folder=folders.find(subject, clip) or folders.find(clip),
            wanted=f"{subject}/{clip}",
            aus=units(row.text("aus")),
        )
