"""SAMM Long Videos (Yap 2020, FG): 147 videos of 30 subjects with 343 macro- and 159 micro-expressions, 200 fps.

Frames are `SAMM_longvideos/006_1/006_1_0001.jpg`. The coding sheet is `SAMM_LongVideos_V…_Release.xlsx`, sheet
`FACS_Movement_Only`, with its header in row 10. Of several versions the last by name is taken. Ten macro-expressions
have the onset 0. They are taken to begin with the video, which keeps the official count. The sheet has no classes, so
the label of a clip is micro or macro.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..sheets import Row, find_table
from .coded import FIELDS, Coded, clips_of, units
from .folders import find_sheet, scan
from .long import FROM_START, Spotted, Video, kind_of, videos_of
from .protocol import ClipCorpus, ClipOptions, Irregular

__all__ = ["read"]

FPS = 200.0
LICENCE = "SAMM Long Videos: for academic research, under an agreement with its authors; frames must not be passed on."
COLUMNS = {**FIELDS, "kind": ("type",)}
FOLDER = r"\d{3}_\d{1,2}"


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheet, the long videos, and their expressions as clips."""
    folders = scan(root, "samm-long")
    sheet = find_sheet(folders, "samm-long", options.sheet, "SAMM_LongVideos", "SAMM_Long")
    table = find_table(sheet, COLUMNS, ("clip", "onset", "offset", "kind"), prefer="FACS_Movement_Only")
    videos = [Video(name=path.name, subject=path.name[:3], folder=path) for path in folders.named(FOLDER)]
    spotted = list(_spotted(table.rows, {video.name: video for video in videos}))
    fps = options.fps or FPS
    begun, irregular = _begun(spotted)
    longs, odd = videos_of(videos, begun, fps)
    clips, more = clips_of([replace(row.coded, label=row.kind) for row in begun], fps)
    return ClipCorpus(
        name="samm-long",
        licence=LICENCE,
        clips=tuple(clips),
        videos=tuple(longs),
        irregular=tuple(dict.fromkeys((*irregular, *more, *odd))),
        notes=(f"{len(table.rows)} rows of {table.where}; {len(longs)} long videos.",),
    )


def _begun(rows: list[Spotted]) -> tuple[list[Spotted], list[Irregular]]:
    """The rows with onset 0 replaced by 1: the movement is under way when the video begins."""
    found, irregular = [], []
    for row in rows:
        if row.coded.onset == 0:
            seen = "the sheet gives the onset 0"
            irregular.append(Irregular(clip=row.coded.clip, seen=seen, done=FROM_START))
        found.append(replace(row, coded=replace(row.coded, onset=1)) if row.coded.onset == 0 else row)
    return found, irregular


def _spotted(rows: tuple[Row, ...], videos: dict[str, Video]) -> Iterator[Spotted]:
    for row in rows:
        kind = kind_of(row.text("kind"))
        if kind is None:
            continue  # remarks below the table
        clip = row.text("clip")
        name = "_".join(clip.split("_")[:2])
        video = videos.get(name)
        apex = row.number("apex")
        coded = Coded(
            clip=clip,
            subject=name[:3],
            label="",
            onset=row.number("onset"),
            apex=None if apex is None or apex < 0 else apex,
            offset=row.number("offset"),
            folder=video.folder if video else None,
            wanted=name,
            aus=units(row.text("aus")),
        )
        yield Spotted(coded=coded, kind=kind)
