"""CAS(ME)² (Qu 2018, TAC): 98 long videos of 22 subjects with 300 macro- and 57 micro-expressions, 30 frames a second.

Frames are `rawpic/s15/15_0101disgustingteeth/img001.jpg`, or cropped `longVideoFaceCropped/…/img_1.jpg`. The workbook
`CAS(ME)^2code_final.xlsx` has three sheets:

- `CASFEcode_final`, without a header. Its columns are subject (1–22), video (`anger1_1`), onset, apex, offset, action
  units, class, kind and self-report.
- `naming rule1`: the folder of each subject.
- `naming rule2`: the code of each video (`0101` is `disgust1`).

As clips, the micro-expressions are read. With `--labels kind`, macro-expressions are read too.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ....errors import DataError
from ..sheets import Row, Sheet, plain, read_sheets
from .coded import Coded, clips_of, units
from .folders import Folders, find_sheet, scan
from .long import KIND, Spotted, Video, kind_of, videos_of
from .protocol import ClipCorpus, ClipOptions

__all__ = ["SUBJECTS", "read"]

FPS = 30.0
LICENCE = "CAS(ME)²: for academic research, under an agreement with its authors; frames must not be passed on."
SUBJECTS = tuple(number for number in range(15, 41) if number not in (17, 18, 28, 39))
"""The folders s15…s40 of subjects 1–22, if `naming rule1` lacks them."""
VIDEOS = {"disgust1": "0101", "disgust2": "0102", "anger1": "0401", "anger2": "0402", "happy1": "0502"}
"""Codes of videos that are known without `naming rule2`."""
COLUMNS = ("subject", "clip", "onset", "apex", "offset", "aus", "label", "kind")
FOLDER = re.compile(r"(\d{1,2})_(\d{4}).*")


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheets, the long videos, and their micro-expressions as clips."""
    folders = scan(root, "cas2")
    path = find_sheet(folders, "cas2", options.sheet, "CAS(ME)^2code", "CAS(ME)^2", "CASME2code")
    sheets = read_sheets(path)
    rows = _rows(path, sheets)
    videos = _videos(folders)
    spotted = list(_spotted(rows, _subjects(sheets), _codes(sheets), videos))
    fps = options.fps or FPS
    longs, irregular = videos_of(videos.values(), spotted, fps)
    clips, odd = clips_of([row.coded for row in spotted], fps)
    return ClipCorpus(
        name="cas2",
        licence=LICENCE,
        clips=tuple(clips),
        videos=tuple(longs),
        irregular=tuple(dict.fromkeys((*odd, *irregular))),
        rules={"kind": KIND},
        kinds={row.coded.clip: row.kind for row in spotted},
        notes=(f"{len(rows)} rows of {path.name}; {len(longs)} long videos.",),
    )


def _rows(path: Path, sheets: tuple[Sheet, ...]) -> list[Row]:
    """The rows of the sheet that has no header: those whose eighth column names a kind."""
    for sheet in sheets:
        rows = [Row(cells=dict(zip(COLUMNS, cells, strict=False))) for cells in sheet.rows]
        if found := [row for row in rows if kind_of(row.text("kind"))]:
            return found
    raise DataError(
        f"{path.name} has no sheet whose eighth column says macro-expression or micro-expression, as CASFEcode_final: "
        "it is a coding sheet of another version or corpus."
    )


def _subjects(sheets: tuple[Sheet, ...]) -> dict[int, int]:
    """Folder number by subject number; from `naming rule1`, or in ascending order."""
    found = {}
    for cells in (row for sheet in sheets if plain(sheet.name) == "namingrule1" for row in sheet.rows):
        named = [int(word[1:]) for word in map(str.lower, cells) if re.fullmatch(r"s\d{2}", word)]
        numbers = [int(word) for word in cells if re.fullmatch(r"\d{1,2}", word)]
        if len(named) == 1 and len(numbers) == 1:
            found[numbers[0]] = named[0]
    return found or dict(enumerate(SUBJECTS, start=1))


def _codes(sheets: tuple[Sheet, ...]) -> dict[str, str]:
    """Code by name of a video, `0101` by `disgust1`."""
    found = dict(VIDEOS)
    for cells in (row for sheet in sheets if plain(sheet.name) == "namingrule2" for row in sheet.rows):
        codes = [word.zfill(4) for word in cells if re.fullmatch(r"\d{3,4}", word)]
        names = [word.lower() for word in cells if re.fullmatch(r"[A-Za-z]+\d", word)]
        if len(codes) == 1 and len(names) == 1:
            found[names[0]] = codes[0]
    return found


def _videos(folders: Folders) -> dict[tuple[int, str], Video]:
    """The folders of long videos by subject and code."""
    found = {}
    for path in folders.named(FOLDER.pattern):
        named = FOLDER.fullmatch(path.name)
        assert named is not None
        subject, code = int(named[1]), named[2]
        found[subject, code] = Video(name=f"s{subject:02}/{path.name}", subject=f"s{subject:02}", folder=path)
    return found


def _spotted(
    rows: list[Row], subjects: dict[int, int], codes: dict[str, str], videos: dict[tuple[int, str], Video]
) -> Iterator[Spotted]:
    for row in rows:
        name = row.text("clip").partition("_")[0].lower()
        number = subjects.get(row.number("subject") or 0)
        if number is None:
            raise DataError(f"CAS(ME)²: the sheet has the subject {row.text('subject')!r}, expected 1 to 22.")
        video = videos.get((number, codes.get(name, "")))
        kind = kind_of(row.text("kind"))
        assert kind is not None
        coded = Coded(
            clip=f"s{number:02}/{row.text('clip')}",
            subject=f"s{number:02}",
            label=row.text("label").lower(),
            onset=row.number("onset"),
            apex=row.number("apex"),
            offset=row.number("offset"),
            folder=video.folder if video else None,
            wanted=f"s{number:02}/{number}_{codes.get(name, name)}…",
            aus=units(row.text("aus")),
        )
        yield Spotted(coded=coded, kind=kind)
