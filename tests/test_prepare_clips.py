"""A corpus of clips becomes a store: samples, subjects, what was repaired, and one sentence for what cannot be used."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clips_made as made
from made_videos import numbered, write_video
from mien.cli import main
from mien.config.tables import DataSettings
from mien.crop import CropSpec
from mien.data.clips.corpora import ClipOptions
from mien.data.clips.motion import MotionOptions
from mien.data.clips.prepare import prepare_clips, read_clips
from mien.data.prepare import PrepareOptions
from mien.data.splits import fold_count
from mien.data.store import Store
from mien.errors import BadSample, ConfigError, DataError
from mien.faces import find_detector

MOTION = MotionOptions(size=16, crop=CropSpec(size=24))


def prepared(root: Path, name: str, **options: Any) -> Store:
    out = root.parent / f"{root.name}-store"
    prepare_clips(root, name, out, detector=find_detector("none"), motion=MOTION, **options)
    return Store.open(out)


def test_a_corpus_becomes_a_store(tmp_path: Path) -> None:
    store = prepared(made.casme2(tmp_path / "casme2"), "casme2", labels="megc2019")
    assert store.meta.corpus == "casme2"
    assert store.meta.labels == ("negative", "positive", "surprise")
    assert store.samples.source.tolist() == ["sub01/EP02_01f", "sub01/EP19_05f", "sub24/EP10_02"]
    assert store.samples.subject.tolist() == ["sub01", "sub01", "sub24"]
    assert store.samples.label.tolist() == [1, 0, 2]
    assert set(store.samples.split) == {"train"}
    assert store.array("flow")[0].any()
    notes = " ".join(store.meta.notes)
    for words in (
        "1 clip: the sheet gives no apex; its apex is found in the frames: sub04/EP12_01f.",
        "megc2019 has 145 clips of 24 subjects",
        "Flow by dis, from onset to apex",
        "Faces were found by none.",
        "data.protocol=loso",
    ):
        assert words in notes
    with (store.path / "irregular.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    assert rows["sub05/EP09_05f"]["details"] == "onset 69, apex 69, offset 78"
    assert set(rows) == {"sub04/EP12_01f", "sub05/EP09_05f", "sub05/EP16_04f"}


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    root = made.samm(tmp_path / "samm")
    first = prepared(root, "samm").meta.sha256
    assert prepared(root, "samm", options=PrepareOptions(force=True)).meta.sha256 == first
    assert len(prepared(root, "samm", options=PrepareOptions(force=True, limit=3, skip_bad=True))) == 3


def table(root: Path, *rows: str) -> Path:
    """Good clips of two classes, and more."""
    made.frames(root / "a", range(1, 11))
    made.frames(root / "b", range(1, 11))
    lines = ["path,subject,label,onset,apex,offset,fps", "a,p1,joy,1,5,9,100", "b,p2,anger,,,,100", *rows]
    (root / "clips.csv").write_text("\n".join(lines) + "\n")
    return root


def test_videos_and_folders_of_ones_own(tmp_path: Path) -> None:
    root = table(tmp_path / "own", "film.mp4,p3,joy,2,6,9,", "film.mp4,p3,joy,,,,")
    write_video(root / "film.mp4", numbered(12), 25.0)
    store = prepared(root, "clips")
    assert store.samples.source.tolist()[2] == "clips.csv:4: film.mp4"
    assert store.samples.subject.tolist() == ["p1", "p2", "p3", "p3"]
    assert store.meta.labels == ("anger", "joy")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,p3,joy,5,3,9,100", r"the apex \(frame 2\) is not after the onset \(4\)"),
        ("a,p3,joy,5,,5,100", r"the offset \(frame 4\) is not after the onset \(frame 4\)"),
        ("film.mp4,p3,joy,2,40,9,25", "the apex is frame 40 of a clip of 12"),
        ("mixed,p3,joy,,,,100", "mixed/10.jpg: a frame of 20×20 where others of its clip have 48×48"),
        ("torn,p3,joy,,,,100", "torn/10.jpg: "),
    ],
)
def test_a_clip_that_cannot_be_used_is_one_sentence(tmp_path: Path, row: str, words: str) -> None:
    root = table(tmp_path / "own", row)
    write_video(root / "film.mp4", numbered(12), 25.0)
    for name in ("mixed", "torn"):
        made.frames(root / name, range(1, 10), "{}.jpg")
    Image.new("RGB", (20, 20)).save(root / "mixed" / "10.jpg")
    (root / "torn" / "10.jpg").write_bytes((root / "torn" / "9.jpg").read_bytes()[:300])
    with pytest.raises(BadSample, match=words):
        prepared(root, "clips")
    assert not (tmp_path / "own-store").exists()
    store = prepared(root, "clips", options=PrepareOptions(skip_bad=True))
    assert len(store) == 2
    assert store.meta.skipped == 1
    assert store.meta.skipped_examples[0].startswith("clips.csv:4")


def test_what_the_user_says_is_checked(tmp_path: Path) -> None:
    root = made.casme2(tmp_path / "casme2")
    with pytest.raises(ConfigError, match="--fps is above 0"):
        read_clips(root, "casme2", ClipOptions(fps=0.0))
    with pytest.raises(DataError, match="no importer of clips for 'fer2013'; there are 4dme, cas2, casme2"):
        read_clips(root, "fer2013")
    with pytest.raises(DataError, match="gone does not exist"):
        read_clips(tmp_path / "gone", "casme2")
    with pytest.raises(DataError, match=r"CASME2-coding-20190701\.xlsx is a file; the casme2 corpus is a folder"):
        read_clips(root / "CASME2-coding-20190701.xlsx", "casme2")
    with pytest.raises(DataError, match=r"no\.xlsx is not a file; --sheet is the coding sheet of casme2"):
        read_clips(root, "casme2", ClipOptions(sheet=root / "no.xlsx"))
    assert read_clips(root, "casme2", ClipOptions(fps=60.0)).clips[0].fps == 60.0
    with pytest.raises(DataError, match=r"have the classes \['happiness'\]; two or more are needed"):
        prepared(made.casme2(tmp_path / "few", made.CASME2_ROWS[:1]), "casme2")


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_from_three_corpora_to_a_composite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.casme2(tmp_path / "casme2")
    made.samm(tmp_path / "samm")
    made.smic(tmp_path / "smic")
    how = ("--labels", "megc2019", "--faces", "none", "--skip-bad", "--size", 24, "--flow-size", 16)
    for name in ("casme2", "samm", "smic"):
        assert run("data", "prepare", tmp_path / name, "-c", name, *how, "--out", tmp_path / f"s-{name}") == 0
    assert "its apex is found in the frames: 028_4_1, 032_3_1." in " ".join(capsys.readouterr().out.split())
    stores = [tmp_path / f"s-{name}" for name in ("casme2", "samm", "smic")]
    assert run("data", "join", *stores, "--out", tmp_path / "all") == 0
    store = Store.open(tmp_path / "all")
    assert len(store) == 3 + 4 + 3
    assert {"casme2/sub01", "samm/006", "smic/s01", "smic/s12"} <= set(store.samples.subject)
    assert store.array("flow").shape == (10, 16, 16, 3)
    assert fold_count(store, DataSettings(protocol="loso")) == len(set(store.samples.subject)) == 8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("-c", "casme2", "--flow", "pwc"),
            "There is no optical flow 'pwc'; the methods are dis, farneback, tvl1, ilk.",
        ),
        (("-c", "casme2", "--labels", "seven"), "has the label sets own, five, megc2019; got --labels seven"),
        (("-c", "casme2", "--as-flow"), "--as-flow is for npz, and casme2 has no such thing"),
        (("-c", "folder", "--halves"), "--halves is for corpora of clips, and folder has no such thing"),
        (("-c", "folder", "--fps", "9"), "--fps is for corpora of clips, and folder has no such thing"),
        (("-c", "casme2", "--fps", "0"), "--fps is above 0 and at most 10,000 frames a second; got 0."),
        (("-c", "casme5"), "There is no importer for 'casme5'; the corpora are 4dme, affectnet, cas2,"),
    ],
)
def test_options_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    made.casme2(tmp_path / "casme2")
    assert run("data", "prepare", tmp_path / "casme2", *words, "--out", tmp_path / "store") == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_clip_without_a_face_is_one_sentence(tmp_path: Path) -> None:
    root = table(tmp_path / "own")
    for path in (root / "a").iterdir():
        Image.new("RGB", (64, 64), (90, 90, 90)).save(path)
    with pytest.raises(BadSample, match=r"clips.csv:2: a: no face was found in its onset frame"):
        prepare_clips(root, "clips", tmp_path / "store", detector=find_detector("haar"))


def test_an_apex_that_is_not_given_is_found(tmp_path: Path) -> None:
    root = table(tmp_path / "own")
    made.frames(root / "a", range(1, 13))
    store = prepared(root, "clips")
    assert np.abs(store.array("flow")[1]).max() > 0  # the clip b gives no apex
