"""Each corpus of clips in its layout: what is read, what is repaired by which rule, what is left out; by clip name."""

import csv
import os
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import clips_made as made
from mien.data.clips.corpora import CLIP_CORPORA, ClipCorpus, ClipOptions
from mien.data.clips.labelled import irregular_words, labelled
from mien.data.clips.sheets import find_table, plain, read_sheets
from mien.errors import ConfigError, DataError, MissingExtra

MEGC = Path(os.environ.get("MIEN_MEGC2019", Path(__file__).parents[2] / "shared/data/micro/megc2019.csv"))
"""Corpus, subject, clip and class of the 442 clips."""
COUNTS = {"casme2": (145, 24), "samm": (133, 28), "smic": (164, 16)}


def read(name: str, root: Path, **options: Any) -> ClipCorpus:
    found = CLIP_CORPORA[name](root, ClipOptions(**options))
    for clip in found.clips:
        clip.check()
    for video in found.videos:
        video.check()
    return found


def clip_of(corpus: ClipCorpus, name: str) -> Any:
    return next(clip for clip in corpus.clips if clip.name == name)


def said(corpus: ClipCorpus) -> dict[str, tuple[str, str]]:
    return {odd.clip: (odd.seen, odd.done) for odd in corpus.irregular}


def ends(corpus: ClipCorpus, name: str) -> tuple[int, int | None, int, int]:
    clip = clip_of(corpus, name)
    return clip.onset, clip.apex, clip.offset, len(clip.frames)


def test_casme2(tmp_path: Path) -> None:
    corpus = read("casme2", made.casme2(tmp_path / "casme2"))
    assert len(corpus.clips) == len(made.CASME2_ROWS)
    clip = clip_of(corpus, "sub01/EP02_01f")
    assert (clip.subject, clip.label, clip.fps, clip.aus) == ("sub01", "happiness", 200.0, ("12",))
    assert ends(corpus, "sub01/EP02_01f") == (0, 4, 10, 11)
    assert [path.name for path in clip.frames.paths][:2] == ["img46.jpg", "img47.jpg"]  # raw, and by number
    assert clip.frames[0].shape == (made.SIDE, made.SIDE, 3)
    assert clip_of(corpus, "sub05/EP09_05f").aus == ()
    assert ends(corpus, "sub04/EP12_01f")[1] is None
    assert said(corpus) == {
        "sub04/EP12_01f": ("the sheet gives no apex", "its apex is found in the frames"),
        "sub05/EP09_05f": ("the apex is the onset", "its apex is found in the frames"),
        "sub05/EP16_04f": ("the apex is the offset", "it is kept: the movement ends at its apex"),
    }
    assert "1 clip: the sheet gives no apex; its apex is found in the frames: sub04/EP12_01f." in irregular_words(
        corpus.irregular
    )


def test_the_cropped_frames_serve_where_there_are_no_others(tmp_path: Path) -> None:
    root = made.casme2(tmp_path / "casme2")
    (root / "CASME2_RAW_selected").rename(tmp_path / "elsewhere")
    corpus = read("casme2", root)
    assert clip_of(corpus, "sub01/EP02_01f").frames.paths[0].name == "reg_img46.jpg"


def test_the_newest_sheet_is_taken_unless_one_is_named(tmp_path: Path) -> None:
    root = made.casme2(tmp_path / "casme2")
    old = made.workbook(
        root / "CASME2-coding-20140508.xlsx",
        {"Sheet1": [made.CASME2_HEADER[:9], *(row[:9] for row in made.CASME2_ROWS[:2])]},
    )
    assert "20190701" in read("casme2", root).notes[0]
    corpus = read("casme2", root / "CASME2_RAW_selected", sheet=old)
    assert len(corpus.clips) == 2


def test_label_sets_of_casme2(tmp_path: Path) -> None:
    corpus = read("casme2", made.casme2(tmp_path / "casme2"))
    three = labelled(corpus, "megc2019")
    assert three.names == ("negative", "positive", "surprise")
    names = [(clip.name, three.names[label]) for clip, label in three.clips]
    assert names == [
        ("sub01/EP02_01f", "positive"),
        ("sub01/EP19_05f", "negative"),
        ("sub24/EP10_02", "surprise"),  # not EP07_01, which the labels of 2019 made a surprise
    ]
    assert "megc2019 has 145 clips of 24 subjects" in three.notes[-1]
    assert labelled(corpus, "five").names == ("disgust", "happiness", "others", "repression", "surprise")
    assert labelled(corpus, "own").names == ("disgust", "happiness", "others", "repression", "surprise")
    with pytest.raises(ConfigError, match=r"the label sets own, five, megc2019; got --labels four"):
        labelled(corpus, "four")


@pytest.mark.parametrize("text", [13, 0])
def test_samm_finds_its_header_wherever_it_stands(tmp_path: Path, text: int) -> None:
    corpus = read("samm", made.samm(tmp_path / "samm", text=text))
    clip = clip_of(corpus, "006_1_2")
    assert (clip.subject, clip.label, clip.aus) == ("006", "contempt", ("L12 or L14",))
    assert clip.frames.paths[0].name == "006_05562.jpg"
    assert clip_of(corpus, "028_4_1").apex is None
    bad = ("the apex is not between onset and offset", "its apex is found in the frames")
    assert said(corpus) == {
        "028_4_1": bad,
        "032_3_1": bad,
        "009_1_9": ("its frames are not on disk", "it is left out"),
    }
    three = labelled(corpus, "megc2019")
    assert Counter(three.names[label] for _, label in three.clips) == {"negative": 3, "positive": 1}
    assert "Left out: 009_1_9." in three.notes[-1]


def test_smic_short_clips(tmp_path: Path) -> None:
    corpus = read("smic", made.smic(tmp_path / "SMIC_all_raw"))
    assert [(clip.name, clip.subject, clip.label) for clip in corpus.clips] == [
        ("s01_ne_01", "s01", "negative"),
        ("s01_po_02", "s01", "positive"),
        ("s12_sur_01", "s12", "surprise"),
    ]
    assert ends(corpus, "s01_ne_01") == (0, None, 4, 5)
    assert corpus.clips[0].fps == 100.0
    few = labelled(corpus, "megc2019").notes[-1]
    assert few.startswith("Clips of single subjects: s01 2 of 6, s02 0 of 6, s03 0 of 39")
    assert not corpus.irregular


def test_smic_long_clips_may_hold_two(tmp_path: Path) -> None:
    corpus = read("smic", made.smic_long(tmp_path / "SMIC-E"))
    assert [clip.name for clip in corpus.clips] == ["s01_ne_01", "s02_po_01", "s02_po_01.2"]
    assert clip_of(corpus, "s01_ne_01").frames.paths[0].name == "image000006.jpg"  # the counter minus FirstF
    assert clip_of(corpus, "s02_po_01.2").frames.paths[0].name == "image000015.jpg"
    assert ends(corpus, "s02_po_01.2") == (0, None, 5, 6)
    assert "2 rows of SMIC-HS-E_annotation.xlsx!Sheet1; 1 more hold text." in corpus.notes
    assert not corpus.irregular


@pytest.mark.parametrize("inside", ["", "HS_long", "HS_long/SMIC-HS-E"])
def test_the_path_may_begin_anywhere(tmp_path: Path, inside: str) -> None:
    root = made.smic_long(tmp_path / "SMIC-E")
    corpus = read("smic", root / inside, sheet=root / "SMIC-HS-E_annotation.xlsx")
    assert len(corpus.clips) == 3
    made.smic(tmp_path / "raw")
    assert len(read("smic", tmp_path / "raw" / "HS" / "s1").clips) == 2


def test_rows_without_a_class_or_an_onset_are_named(tmp_path: Path) -> None:
    rows = [("01", "EP02_01f", None, 46, 50, 56, None, 12, None), ("01", "EP03_02", None, None, 5, 9, None, 12, "fear")]
    root = made.casme2(tmp_path / "casme2")
    made.workbook(root / "CASME2-coding-20190701.xlsx", {"Sheet1": [made.CASME2_HEADER, *rows]})
    made.frames(root / "CASME2_RAW_selected/sub01/EP03_02", range(1, 5))
    assert [(odd.clip, odd.seen, odd.kept) for odd in read("casme2", root).irregular] == [
        ("sub01/EP02_01f", "the sheet gives no class", False),
        ("sub01/EP03_02", "the sheet gives no onset (or 0)", False),
    ]


def test_cas2_is_long_videos_and_clips(tmp_path: Path) -> None:
    corpus = read("cas2", made.cas2(tmp_path / "cas2"))
    videos = {video.name: video for video in corpus.videos}
    assert sorted(videos) == [
        *("s15/15_0101disgustingteeth", "s15/15_0401girlcrashing", "s16/16_0102eatingworms", "s16/16_0502funnyerrors"),
    ]
    assert videos["s16/16_0102eatingworms"].intervals == ()  # counts in spotting too
    first, second = videos["s15/15_0101disgustingteeth"].intervals
    assert (first.onset, first.apex, first.offset, first.kind, first.label) == (1, 5, 5, "micro", "disgust")
    assert (second.onset, second.apex, second.offset) == (8, None, 12)
    assert said(corpus) == {
        "s15/disgust1_1": ("the sheet gives no offset (or 0)", "the apex is taken"),
        "s15/disgust1_2": ("the sheet gives no apex", "its apex is found in the frames"),
        "s16/happy1_1": ("the apex is not between onset and offset", "its apex is found in the frames"),
        "s19/anger2_1": ("its frames are not on disk", "it is left out"),
    }
    own = labelled(corpus, "own")
    assert own.names == ("disgust", "happiness", "sadness")
    assert len(own.clips) == 3  # micro-expressions
    kind = labelled(corpus, "kind")
    assert Counter(kind.names[label] for _, label in kind.clips) == {"micro": 3, "macro": 1}


def test_casme3(tmp_path: Path) -> None:
    corpus = read("casme3", made.casme3(tmp_path / "casme3"))
    assert [clip.name for clip in corpus.clips] == [
        *("spNO.1/b/175", "spNO.1/b/190", "spNO.149/d/112", "spNO.3/J/10", "spNO.40/e/112"),
    ]
    assert ends(corpus, "spNO.1/b/175") == (0, 4, 8, 9)
    assert len(clip_of(corpus, "spNO.1/b/190").frames) == 8  # 190 to 198 without 192
    assert clip_of(corpus, "spNO.3/J/10").apex is None
    rows = [(odd.clip, odd.seen, odd.kept) for odd in corpus.irregular]
    assert rows == [
        ("spNO.1/b/190", "frames between onset and offset are not on disk", True),
        ("spNO.149/d/112", "the apex is not between onset and offset", True),
        ("spNO.216/d/3647", "the offset is not after the onset", False),
        ("spNO.216/e/0", "the sheet gives no onset (or 0)", False),
        ("spNO.3/J/10", "the apex is the onset", True),
        ("spNO.40/e/112", "the sheet gives no offset (or 0)", True),
        ("spNO.40/e/112", "the frame of the onset is not on disk", True),
    ]
    assert labelled(corpus, "three").names == ("negative", "positive", "surprise")
    assert labelled(corpus, "four").names == ("negative", "others", "positive", "surprise")


def test_casme3_for_spotting(tmp_path: Path) -> None:
    root = made.casme3(tmp_path / "casme3")
    header = ("Subject", "Filename", "Expression type", "Onset", "Apex", "Offset", "AU", "Objective class", "Emotion")
    rows = [
        ("spNO.1", "b", "Micro-expression", "175", "179", "183", "4", "I", "disgust"),
        ("spNO.1", "b", "Macro-expression", "185", "188", "191", "12", "I", "happy"),
    ]
    made.workbook(root / "CAS(ME)3_part_A_v2.xlsx", {"eye blink": [("Subject",)], "AU+Emotion": [header, *rows]})
    videos = {video.name: video for video in read("casme3", root).videos}
    assert [(i.onset, i.offset, i.kind) for i in videos["spno.1/b"].intervals] == [(5, 13, "micro"), (15, 21, "macro")]
    assert videos["spno.149/d"].intervals == ()


def test_mmew_and_4dme(tmp_path: Path) -> None:
    corpus = read("mmew", made.mmew(tmp_path / "mmew"))
    assert [(clip.name, clip.subject, clip.label) for clip in corpus.clips] == [
        ("S13-07-001", "S13", "disgust"),
        ("S01-01-002", "S01", "happiness"),
    ]
    assert "90 fps, unverified." in corpus.notes
    corpus = read("4dme", made.fourdme(tmp_path / "4dme"))
    assert [(clip.name, clip.label) for clip in corpus.clips] == [("01/ME_1", "negative"), ("02/ME_1", "positive")]
    assert said(corpus) == {"01/ME_2": ("it has several classes at once", "it is left out")}


def test_samm_long(tmp_path: Path) -> None:
    corpus = read("samm-long", made.samm_long(tmp_path / "samm-long"))
    first, second = corpus.videos
    assert (first.name, first.subject, first.fps) == ("006_1", "006", 200.0)
    assert [(i.onset, i.apex, i.offset, i.kind) for i in first.intervals] == [
        (0, 2, 7, "macro"),
        (2, 5, 11, "macro"),
        (13, 17, 19, "micro"),
    ]
    assert [(i.onset, i.apex, i.offset, i.kind) for i in second.intervals] == [(4, None, 11, "micro")]
    assert said(corpus)["006_1_3"] == ("the sheet gives the onset 0", "it is taken to begin with the video")
    assert not next(odd for odd in corpus.irregular if odd.clip == "007_2_2").kept
    assert labelled(corpus, "own").names == ("macro", "micro")


def composite(root: Path, rows: list[dict[str, str]]) -> None:
    """The 442 clips of MEGC-2019 as sheets and two-frame folders, and clips that it leaves out."""
    back = {"negative": "disgust", "positive": "happiness", "surprise": "surprise"}
    left = (("04", "EP12_01f", "repression"), ("05", "EP09_05f", "disgust"), ("24", "EP07_01", "surprise"))
    left += (("24", "EP07_04f", "surprise"), ("24", "EP10_03", "surprise"), ("10", "EP01_01", "others"))
    first = [(r["subject"][3:], r["clip"], back[r["class"]]) for r in rows if r["corpus"] == "casme2"]
    coded = [(s, clip, None, 7, 8, 9, None, "4", label, 1) for s, clip, label in (*first, *left)]
    made.casme2(root / "casme2", coded)
    second = [(r["clip"], back[r["class"]]) for r in rows if r["corpus"] == "samm"]
    more = [("025_1_1", "Other"), ("006_9_9", "Other"), ("006_9_8", "Other")]
    samm = [(n[:3], n, 1, 7, 8, 9, 3, "Micro", "4", label, 1, None) for n, label in (*second, *more)]
    made.samm(root / "samm", samm)
    made.smic(root / "smic", [r["clip"].replace("s0", "s", 1) for r in rows if r["corpus"] == "smic"])


def test_megc2019_is_what_was_published(tmp_path: Path) -> None:
    if not MEGC.is_file():
        pytest.skip(f"needs {MEGC.name}, the list of the 442 clips")
    with MEGC.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    composite(tmp_path, rows)
    found, subjects = set(), set()
    for name, (count, people) in COUNTS.items():
        three = labelled(read(name, tmp_path / name), "megc2019")
        assert len(three.clips) == count
        assert three.notes[-1].startswith(f"These are the {count} clips of {people} subjects")
        found |= {(name, c.subject.lstrip("0"), c.name.rpartition("/")[2], three.names[k]) for c, k in three.clips}
        subjects |= {(name, clip.subject) for clip, _ in three.clips}
    assert found == {(row["corpus"], row["subject"], row["clip"], row["class"]) for row in rows}
    assert len(found) == 442
    assert len(subjects) == 68


def test_any_clips_by_a_table(tmp_path: Path) -> None:
    made.frames(tmp_path / "a", range(5, 15))
    table = tmp_path / "clips.csv"
    table.write_text(
        "path,subject,label,onset,apex,offset,fps,group:camera\na,p1,joy,6,8,12,100,one\na,p1,anger,,,,50,two\n"
    )
    corpus = read("clips", tmp_path)
    assert [(c.onset, c.apex, c.offset, c.fps) for c in corpus.clips] == [(1, 3, 7, 100.0), (0, None, 9, 50.0)]
    assert corpus.clips[0].groups == {"camera": "one"}
    assert corpus.clips[0].name == "clips.csv:2: a"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,p1,joy,5,40,9,100", r"there is no frame 40 \(apex\) in a; its frames are 5 to 14"),
        ("a,p1,joy,5,x,9,100", "the apex is 'x', expected a whole number"),
        ("a,p1,joy,5,6,9,", "nobody says how many frames a second; add a column fps, or say --fps"),
        ("a,p1,joy,5,6,9,fast", "fps is 'fast'"),
        ("a,p1,joy,5,6,9,Infinity", "fps is 'Infinity', expected a number above 0 and at most 10000"),
        ("a,p1,joy,5,6,9,nan", "fps is 'nan'"),
        ("a,p1,joy,5,6,9,-30", "fps is '-30'"),
        ("one,p1,joy,,,,100", "one holds 1 numbered frames, expected two or more"),
        ("gone,p1,joy,,,,100", "gone is neither a video nor a folder of frames"),
        ("../a,p1,joy,,,,100", "not a path inside the corpus"),
        ("a,,joy,,,,100", "the subject or the label is empty"),
        ("a,p1,joy", "3 columns where the table has 7"),
    ],
)
def test_a_row_that_cannot_be_used_names_its_line(tmp_path: Path, row: str, words: str) -> None:
    made.frames(tmp_path / "a", range(5, 15))
    made.frames(tmp_path / "one", [1])
    (tmp_path / "clips.csv").write_text(f"path,subject,label,onset,apex,offset,fps\n{row}\n")
    (bad,) = read("clips", tmp_path).bad
    assert bad.where == "clips.csv:2"
    with pytest.raises(Exception, match=words):
        raise bad


def test_a_sheet_of_another_version_says_what_is_there(tmp_path: Path) -> None:
    root = made.casme2(tmp_path / "casme2")
    sheet = made.workbook(root / "CASME2-coding-20190701.xlsx", {"Tabelle1": [("Proband", "Datei"), ("01", "EP")]})
    with pytest.raises(DataError) as caught:
        read("casme2", root)
    assert "has no header with the columns subject, filename, onsetframe, offsetframe" in str(caught.value)
    assert "Tabelle1: 'Proband', 'Datei'" in str(caught.value)
    sheet.write_bytes(sheet.read_bytes()[:500])
    with pytest.raises(DataError, match=r"is damaged .* Save it again as \.xlsx or \.csv"):
        read("casme2", root)
    sheet.unlink()
    with pytest.raises(
        DataError, match=r"has no coding sheet of casme2 \(CASME2-coding….xlsx, .xls or .csv; seen: none"
    ):
        read("casme2", root)


def test_frames_that_are_all_elsewhere_are_asked_for(tmp_path: Path) -> None:
    root = made.casme2(tmp_path / "casme2")
    for name in ("CASME2_RAW_selected", "Cropped"):
        (root / name).rename(tmp_path / name)
    with pytest.raises(DataError, match=r"None of the clips of casme2 was found on disk \(looked for sub01/EP02_01f\)"):
        labelled(read("casme2", root), "own")


def test_files_with_other_numbers_than_the_sheet_are_taken_in_order(tmp_path: Path) -> None:
    root = tmp_path / "casme2"
    made.casme2(root, made.CASME2_ROWS[:1])
    folder = root / "CASME2_RAW_selected/sub01/EP02_01f"
    for path in folder.iterdir():
        path.unlink()
    made.frames(folder, range(100, 111))
    corpus = read("casme2", root)
    assert ends(corpus, "sub01/EP02_01f") == (0, 4, 10, 11)
    assert corpus.irregular[0].seen == "its files have other numbers than the sheet"


def biff2(rows: list[list[object]]) -> bytes:
    """The oldest kind of .xls: one sheet of texts and numbers."""
    records = [(0x0009, struct.pack("<HH", 2, 0x0010))]
    for r, cells in enumerate(rows):
        for c, cell in enumerate(cells):
            place = struct.pack("<HH3x", r, c)
            if isinstance(cell, str):
                records.append((0x0004, place + bytes([len(cell)]) + cell.encode()))
            else:
                records.append((0x0003, place + struct.pack("<d", cell)))
    records.append((0x000A, b""))
    return b"".join(struct.pack("<HH", kind, len(body)) + body for kind, body in records)


def test_sheets_in_csv_and_xls(tmp_path: Path) -> None:
    text = tmp_path / "codes.csv"
    text.write_text("remarks,,\nSubject,on-set,Filename\n01,25.0,a\n,,below it\n")
    table = find_table(text, {"subject": ("subject",), "onset": ("onset",)}, ("subject", "onset"))
    assert [(row.text("subject"), row.number("onset")) for row in table.rows] == [("01", 25)]
    assert table.text == 1
    old = tmp_path / "codes.xls"
    old.write_bytes(biff2([["Subject", "Onset Frame'"], [7.0, 566.4]]))
    (row,) = find_table(old, {"subject": ("subject",), "onset": ("onsetframe",)}, ("subject", "onset")).rows
    assert (row.text("subject"), row.number("onset")) == ("7", 566)
    old.write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(DataError, match="is damaged"):
        read_sheets(old)
    assert plain("Onset_Frame'") == "onsetframe"


def test_sheets_need_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.workbook(tmp_path / "a.xlsx", {"S": [("Subject",)]})
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingExtra, match=r"Reading a.xlsx needs an optional part of mien.*mien\[micro\]"):
        read_sheets(path)
