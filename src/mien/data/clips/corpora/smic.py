"""SMIC (Li 2013, FG): 164 micro-expressions of 16 subjects, filmed at 100 frames a second (HS). No apex is given.

Two layouts are read:

- Clips: `HS/s1/micro/negative/s1_ne_01/image######.bmp`, or cropped `SMIC_all_cropped/HS/…`. There is no sheet; the
  name of the folder holds the class.
- Long clips, if there are no clips: `HS_long/SMIC-HS-E/s01/s01_ne_01/image######.jpg` with `SMIC-HS-E_annotation.xlsx`.
  Seven of them hold two micro-expressions. The numbers in the sheet are those of a counter of the camera, and FirstF is
  the number of the first file.

The long clips of the slower cameras, `VIS` and `NIR`, are read if the path holds nothing else.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ....errors import BadSample, DataError
from ..clip import FEWEST_FRAMES, Clip
from ..frames import ImageFrames, numbered
from ..sheets import Row, find_table
from .coded import FIELDS, Coded, clips_of, left_out
from .folders import Folders, find_sheet, scan
from .protocol import ClipCorpus, ClipOptions, Irregular, LabelRule

__all__ = ["RULES", "read"]

FPS, SLOW_FPS = 100.0, 25.0
LICENCE = "SMIC: for academic research, under an agreement with its authors; frames must not be passed on."
NAME = re.compile(r"s(\d{1,2})_(ne|po|sur)_(\d{1,3})", re.IGNORECASE)
CLASSES = {"ne": "negative", "po": "positive", "sur": "surprise"}
SUBJECTS = tuple(f"s{number:02}" for number in range(1, 21) if number not in (7, 10, 16, 17))
RULES = {
    "megc2019": LabelRule(
        classes={name: name for name in CLASSES.values()},
        counts={"negative": 70, "positive": 51, "surprise": 43},
        subjects=16,
        of_subject=dict(zip(SUBJECTS, (6, 6, 39, 19, 2, 4, 13, 4, 7, 9, 10, 10, 4, 7, 2, 22), strict=True)),
    )
}
LONG = {
    **FIELDS,
    "first": ("firstf", "firstframe"),
    "onset2": ("onset2f", "onsetf2"),
    "offset2": ("offset2f", "offsetf2"),
}
CAMERAS = ("HS", "VIS", "NIR")
NOT_SHORT = ("non_micro", *(f"SMIC-{camera}-E" for camera in CAMERAS), *(f"{camera}_long" for camera in CAMERAS))


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the folders of clips, or the long clips by their sheet."""
    folders = scan(root, "smic")
    short = [] if options.sheet else folders.named(NAME.pattern, without=(*NOT_SHORT, *CAMERAS[1:]))
    return _short(short, options) if short else _long(folders, options)


def _short(paths: list[Path], options: ClipOptions) -> ClipCorpus:
    clips: list[Clip] = []
    irregular: list[Irregular] = []
    for path in sorted(paths, key=lambda path: _official(path.name)):
        name = _official(path.name)
        try:
            frames = tuple(numbered(path).values())
        except BadSample as bad:
            irregular.append(left_out(name, "its frames cannot be listed", bad.reason))
            continue
        if len(frames) < FEWEST_FRAMES:
            irregular.append(left_out(name, "fewer than two of its frames are on disk", f"{len(frames)} frames"))
            continue
        clips.append(
            Clip(
                name=name,
                subject=name[:3],
                label=CLASSES[name.split("_")[1]],
                frames=ImageFrames(frames),
                onset=0,
                apex=None,
                offset=len(frames) - 1,
                fps=options.fps or FPS,
            )
        )
    notes = (f"{len(paths)} folders of clips; onset and offset are their first and last frames.",)
    return ClipCorpus(
        name="smic", licence=LICENCE, clips=tuple(clips), irregular=tuple(irregular), rules=RULES, notes=notes
    )


def _long(folders: Folders, options: ClipOptions) -> ClipCorpus:
    try:
        sheet = find_sheet(folders, "smic", options.sheet, "SMIC-HS-E", "SMIC-VIS-E", "SMIC-NIR-E", "SMIC")
    except DataError:
        raise DataError(
            f"{folders.root} has neither folders of clips (HS/s1/micro/negative/s1_ne_01) nor a sheet of the long "
            "clips (SMIC-HS-E_annotation.xlsx). Give the path of SMIC, or name the sheet with --sheet."
        ) from None
    camera = next((name for name in ("VIS", "NIR") if name in sheet.stem.upper()), "HS")
    table = find_table(sheet, LONG, ("subject", "clip", "onset", "offset"))
    fps = options.fps or (FPS if camera == "HS" else SLOW_FPS)
    clips, irregular = clips_of(_coded(table.rows, folders, camera), fps)
    notes = [f"{len(table.rows)} rows of {table.where}; {table.text} more hold text."]
    notes += [f"{SLOW_FPS:g} fps, unverified."] if not options.fps and camera != "HS" else []
    return ClipCorpus(
        name="smic",
        licence=LICENCE,
        clips=tuple(clips),
        irregular=tuple(irregular),
        rules=RULES,
        notes=tuple(notes),
    )


def _coded(rows: tuple[Row, ...], folders: Folders, camera: str) -> Iterator[Coded]:
    others = [name for name in CAMERAS if name != camera]
    without = [word for name in others for word in (f"{name}_long", f"SMIC-{name}-E")]
    for row in rows:
        name = _official(row.text("clip"))
        folder = folders.find(name, without=without) or folders.find(_unpadded(name), without=without)
        for which in ("", "2"):
            onset, offset = row.number(f"onset{which}"), row.number(f"offset{which}")
            if which and not (onset and offset):
                continue  # most clips hold one
            yield Coded(
                clip=f"{name}.{which}" if which else name,
                subject=name[:3],
                label=CLASSES[name.split("_")[1]],
                onset=onset,
                apex=None,
                offset=offset,
                folder=folder,
                wanted=name,
                without_apex=True,
                first=row.number("first"),
            )


def _official(name: str) -> str:
    """The official name of a clip: `s01_ne_01` for the folder `s1_ne_01`. Raises `DataError` for any other name."""
    found = NAME.fullmatch(name.strip())
    if found is None:
        raise DataError(f"SMIC: a clip is called {name!r}, expected a name such as s01_ne_01.")
    return f"s{int(found[1]):02}_{found[2].lower()}_{int(found[3]):02}"


def _unpadded(name: str) -> str:
    return f"s{int(name[1:3])}{name[3:]}"
