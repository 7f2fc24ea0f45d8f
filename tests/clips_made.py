"""Corpora of clips in the layouts of the real ones, irregular rows included, made of one drawn clip."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from mien.data.drawn.clips import draw_clip

SIDE = 48
CASME2_HEADER = (
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units"),
    *("Estimated Emotion", "Objective Classes"),
)
CASME2_ROWS = (
    ("01", "EP02_01f", None, 46, 50, 56, None, 12, "happiness", 1),
    ("01", "EP19_05f", None, 1, 5, 9, None, "4+9", "disgust", 4),
    (4, "EP12_01f", None, 21, "/", 29, None, "R14", "repression", 4),
    (5, "EP09_05f", None, 69, 69, 78, None, "?", "disgust", 4),
    (5, "EP16_04f", None, 10, 19, 19, None, 4, "others", 7),
    ("10", "EP01_2", None, 10, 14, 19, None, 4, "others", 7),
    (24, "EP07_01", None, 10, 14, 19, None, 1, "surprise", 3),
    (24, "EP10_02", None, 10, 14, 19, None, 1, "surprise", 3),
)
SAMM_HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro"),
    *("Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
)
SAMM_ROWS = (
    ("006", "006_1_2", 1, 5562, 5566, 5573, "=F15-D15", "Micro - 1/2", "L12 or L14", "Contempt", 1, None),
    (28, "028_4_1", 4, 1071, 1143, 1080, 10, "Micro - 1/2", "10A/B", "Disgust", 4, None),
    ("032", "032_3_1", 3, 4896, 1930, 4907, 10, "Micro - 1/2", "ref(7B)+43", "Anger", 4, "!"),
    ("025", "025_3_1", 3, 100, 104, 108, 10, "Micro - 1/2", "T23", "Other", 7, None),
    ("009", "009_1_1", 3, 100, 104, 108, 10, "Micro - 1/2", "12", "Happiness", 3, None),
    ("009", "009_1_9", 3, 100, 104, 108, 10, "Micro - 1/2", "R14+17+soft focus", "Surprise", 3, None),
)
CAS2_ROWS = (
    (1, "anger1_1", 3, 6, 9, "4+9", "anger", "macro-expression", "anger"),
    (1, "disgust1_1", 2, 6, 0, 4, "disgust", "micro-expression", "disgust"),
    (1, "disgust1_2", 9, 0, 13, 4, "sadness", "micro-expression", "disgust"),
    (2, "happy1_1", 2, 15, 10, 12, "happiness", "micro-expression", "happy"),
    (3, "anger2_1", 2, 4, 10, 12, "anger", "macro-expression", "anger"),
)
CASME3_HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
CASME3_ROWS = (
    ("spNO.1", "b", "175", "179", "183", "4", "I", "disgust"),
    ("spNO.1", "b", "190", "194", "198", "12", "I", "happy"),
    ("spNO.149", "d", "112", "83", "120", "4", "I", "fear"),
    ("spNO.216", "d", "3647", "2668", "2700", "4", "I", "others"),
    ("spNO.216", "e", "0", "30", "60", "4", "I", "Others"),
    ("spNO.40", "e", "112", "118", "0", "4", "I", "surprise"),
    ("spNO.3", "J", "10", "10", "20", "4", "I", "sad"),
)
MMEW_HEADER = (
    *("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion"),
    "remarks",
)
MMEW_ROWS = (
    (13, "S13-07-001", 1, 5, 9, "4", "disgust", None),
    (1, "S01-01-002", 1, 5, 9, "12", "happiness", None),
)
FOURDME_HEADER = (
    *("sub_ID'", "fold_name'", "Emotion'", "Onset'", "Apex'", "Offset'", "AUs'"),
    *("Positive'", "Negative'", "Surprise'", "Repression'", "Others'"),
)
FOURDME_ROWS = (
    ("01", "ME_1", "Negative", 1, 5, 9, "4", 0, 1, 0, 0, 0),
    ("01", "ME_2", "Surprise+Positive", 1, 5, 9, "1+12", 1, 0, 1, 0, 0),
    ("02", "ME_1", None, 1, 5, 9, "12", 1, 0, 0, 0, 0),
)
SAMM_LONG_HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units", "Notes"),
)
SAMM_LONG_ROWS = (
    (6, "006_1_1", 1, 3, 6, 12.4, 10, "Macro", "12", None),
    (6, "006_1_2", 1, 14, 17.6, 20, 10, "Micro - 1/2", "4", None),
    (6, "006_1_3", 1, 0, 3, 8, 10, "Macro", "4", None),
    (7, "007_2_1", 1, 5, -1, 12, 10, "Micro - 1/2", "4", None),
    (7, "007_2_2", 1, 500, 520, 540, 10, "Macro", "4", None),
)


@cache
def drawn(kind: str) -> tuple[bytes, ...]:
    """The twelve frames of a drawn clip, encoded."""
    encoded = []
    for frame in draw_clip(1, "disgust", seed=0, index=0, size=SIDE, frames=12).frames:
        file = BytesIO()
        Image.fromarray(frame).save(file, kind)
        encoded.append(file.getvalue())
    return tuple(encoded)


def frames(folder: Path, numbers: Iterable[int], name: str = "img{}.jpg") -> Path:
    """Frames of the drawn clip, which begins anew after its twelfth, under these numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded = drawn("JPEG" if name.endswith("jpg") else "BMP")
    for place, number in enumerate(numbers):
        (folder / name.format(number)).write_bytes(encoded[place % len(encoded)])
    return folder


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Path:
    """An .xlsx file."""
    from openpyxl import Workbook

    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def casme2(root: Path, rows: Sequence[Sequence[Any]] = CASME2_ROWS, sheet: str = "CASME2-coding-20190701") -> Path:
    """Raw and cropped frames; a few frames around each clip, as the real folders have them."""
    workbook(root / f"{sheet}.xlsx", {"Sheet1": [CASME2_HEADER, *rows]})
    for subject, clip, _, onset, _, offset, *_ in rows:
        place = f"sub{int(subject):02}/{clip}"
        frames(root / "CASME2_RAW_selected" / place, range(max(1, onset - 2), offset + 3))
        frames(root / "Cropped" / place, range(onset, offset + 1), "reg_img{}.jpg")
    return root


def samm(root: Path, rows: Sequence[Sequence[Any]] = SAMM_ROWS, text: int = 13) -> Path:
    """With `text` rows before the header; the clip of the last row is not on disk."""
    before = [("These are the FACS codes",), *[()] * 4, *[("please cite", None, "us")] * 8][:text]
    workbook(
        root / "SAMM_Micro_FACS_Codes_v2.xlsx", {"Read me": [("hello",)], "MICRO_ONLY": [*before, SAMM_HEADER, *rows]}
    )
    for _, clip, _, onset, _, offset, *_ in rows[:-1]:
        frames(root / clip[:3] / clip, range(onset, offset + 1), clip[:3] + "_{:05}.jpg")
    return root


def smic(root: Path, clips: Iterable[str] = ("s1_ne_01", "s1_po_02", "s12_sur_01")) -> Path:
    """The short clips, with a sibling that is none."""
    classes = {"ne": "negative", "po": "positive", "su": "surprise"}
    for clip in clips:
        subject, kind, _ = clip.split("_")
        frames(root / "HS" / subject / "micro" / classes[kind[:2]] / clip, range(170001, 170006), "image{}.bmp")
    frames(root / "HS" / "s1" / "non_micro" / "s1_ne_01", range(1, 6), "image{}.bmp")
    frames(root / "VIS" / "s1" / "micro" / "negative" / "s1_ne_01", range(1, 6), "image{}.bmp")
    return root


def smic_long(root: Path) -> Path:
    """The long clips: numbers of the sheet are a camera's counter, one clip holds two, text stands below."""
    header = ("Subject", "Filename", "OnsetF", "OffsetF", "Onset2F", "Offset2F", "FirstF", "Emotion")
    rows = [
        ("s01", "s01_ne_01", 17581005, 17581015, None, None, 17581000, "negative"),
        ("s02", "s02_po_01", 5005, 5010, 5014, 5019, 5000, "positive"),
        (),
        ("7 clips hold two",),
    ]
    workbook(root / "SMIC-HS-E_annotation.xlsx", {"Sheet1": [header, *rows]})
    frames(root / "HS_long/SMIC-HS-E/s01/s01_ne_01", range(1, 21), "image{:06}.jpg")
    frames(root / "HS_long/SMIC-HS-E/s02/s02_po_01", range(1, 25), "image{:06}.jpg")
    frames(root / "VIS_long/SMIC-VIS-E/s01/s01_ne_01", range(1, 6), "image{:06}.jpg")
    return root


def cas2(root: Path) -> Path:
    """Three subjects; one video without an expression, one that the disk lacks."""
    first = [(1, "s15"), (2, "s16"), (3, "s19")]
    second = [("0101", "disgust1"), ("0102", "disgust2"), ("0401", "anger1"), ("0402", "anger2"), (502, "happy1")]
    sheets = {"CASFEcode_final": CAS2_ROWS, "naming rule1": first, "naming rule2": second}
    workbook(root / "CAS(ME)^2code_final.xlsx", sheets)
    for place in (
        "s15/15_0401girlcrashing",
        "s15/15_0101disgustingteeth",
        "s16/16_0502funnyerrors",
        "s16/16_0102eatingworms",
    ):
        frames(root / "rawpic" / place, range(1, 15), "img{:03}.jpg")
    return root


def casme3(root: Path) -> Path:
    """One clip in the newer layout, the others in whole recordings; folders and sheet differ in case."""
    workbook(root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", {"label": [CASME3_HEADER, *CASME3_ROWS]})
    frames(root / "part_A/spNo.1/b/color", [*range(170, 192), *range(193, 201)], "{}.jpg")  # 192 is lost
    frames(root / "part_A/spNo.149/d/color", range(108, 125), "{}.jpg")
    frames(root / "part_A/spNo.216/d/color", range(2660, 2670), "{}.jpg")
    frames(root / "part_A/spNo.216/e/color", range(1, 70), "{}.jpg")
    frames(root / "part_A/spNo.40/e/color", range(114, 125), "{}.jpg")  # the onset, 112, is two frames off
    frames(root / "Part_A_ME_clip/frame/spNo.3_J_10", range(10, 21), "{}.jpg")
    return root


def mmew(root: Path) -> Path:
    """Two clips in folders of their classes."""
    workbook(root / "MMEW_Micro_Exp.xlsx", {"Sheet1": [MMEW_HEADER, *MMEW_ROWS]})
    frames(root / "Micro_Expression/disgust/S13-07-001", range(1, 10), "{}.jpg")
    frames(root / "Micro_Expression/happiness/S01-01-002", range(1, 10), "{}.jpg")
    return root


def fourdme(root: Path) -> Path:
    """Three clips, one with two labels."""
    workbook(root / "4DME_Labelling_Micro_release v1.xlsx", {"Sheet1": [FOURDME_HEADER, *FOURDME_ROWS]})
    for subject, clip, *_ in FOURDME_ROWS:
        frames(root / "gray_micro" / subject / clip, range(1, 10), "{}.jpg")
    return root


def samm_long(root: Path) -> Path:
    """Two videos."""
    before = [("SAMM Long Videos",), *[()] * 8]
    workbook(
        root / "SAMM_LongVideos_V2_Release.xlsx",
        {"FACS_Movement_Only": [*before, SAMM_LONG_HEADER, *SAMM_LONG_ROWS, ("343 macro",)]},
    )
    workbook(root / "SAMM_LongVideos_V1_Release.xlsx", {"Old": [("nothing",)]})
    for name in ("006_1", "007_2"):
        frames(root / "SAMM_longvideos" / name, range(1, 31), name + "_{:04}.jpg")
    return root
