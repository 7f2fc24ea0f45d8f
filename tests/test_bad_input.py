"""Every bad input is one clear sentence with the file and the line, exit code 2, and no store.

With `--skip-bad` the same corpus becomes a store that counts and lists what was left out, where one sample is bad;
a corpus that is bad as a whole is refused either way.
"""

import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import cv2
import numpy as np
import pytest

import corpora_made as made
from mien.cli import main
from mien.data.store import Store


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(side: int = 30_000) -> bytes:
    """A whole PNG of side × side black pixels, of one bit each: a few hundred KB that decode to gigabytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + (side + 7) // 8)) for _ in range(side)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def in_folder(change: Callable[[Path], None], suffix: str = ".png") -> Callable[[Path], Path]:
    """A folder corpus, one picture of which (train/happy/train_1) is changed."""

    def build(tmp: Path) -> Path:
        root = made.folders(tmp / "c", suffix=suffix)
        change(root / f"train/happy/train_1{suffix}")
        return root

    return build


def in_fer(change: Callable[[list[list[str]]], None]) -> Callable[[Path], Path]:
    """fer2013.csv, the rows of which are changed."""

    def build(tmp: Path) -> Path:
        rows = made.fer_rows()
        change(rows)
        return made.fer_csv(tmp / "c/fer2013.csv", rows).parent

    return build


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)]) and None


def write(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-30] ^= 0xFF
    path.write_bytes(data)


def link_out(path: Path) -> None:
    made.save(path.parents[3] / "elsewhere.png", 5)
    path.unlink()
    path.symlink_to(path.parents[3] / "elsewhere.png")


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "gone.png")


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def gif() -> bytes:
    return cv2.imencode(".gif", cv2.cvtColor(made.picture(5), cv2.COLOR_GRAY2BGR))[1].tobytes()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def linked_class(tmp: Path) -> Path:
    root = made.folders(tmp / "c")
    for path in (root / "train/happy").iterdir():
        path.unlink()
    (root / "train/happy").rmdir()
    made.save(tmp / "elsewhere/train_0.png", 5)
    (root / "train/happy").symlink_to(tmp / "elsewhere")
    return root


def empty_class(tmp: Path) -> Path:
    root = made.folders(tmp / "c")
    for path in (root / "test/disgust").iterdir():
        path.unlink()
    return root


def zero_images(tmp: Path) -> Path:
    for name in made.FER_CLASSES:
        (tmp / "c/train" / name).mkdir(parents=True)
    return tmp / "c"


def a_file(tmp: Path) -> Path:
    return made.save(tmp / "face.png", 1)


def missing_label_file(tmp: Path) -> Path:
    root = made.rafdb(tmp / "c")
    (root / "basic/EmoLabel/list_patition_label.txt").unlink()
    return root


def raf_line(line: str) -> Callable[[Path], Path]:
    def build(tmp: Path) -> Path:
        root = made.rafdb(tmp / "c")
        with (root / "basic/EmoLabel/list_patition_label.txt").open("a") as file:
            file.write(line + "\n")
        return root

    return build


def packed_disagrees(tmp: Path) -> Path:
    root = made.rafdb_packed(tmp / "c")
    table = root / "train_labels.csv"
    table.write_text(table.read_text().replace("train_30_aligned.jpg,3", "train_30_aligned.jpg,4"))
    return root


def affect_labels(change: Callable[[Path], None]) -> Callable[[Path], Path]:
    def build(tmp: Path) -> Path:
        root = made.affectnet(tmp / "c")
        change(root / "train_set/annotations/3_exp.npy")
        return root

    return build


def pickled(path: Path) -> None:
    np.save(path, np.array([{"label": 3}], dtype=object), allow_pickle=True)


def row_of_table(row: str) -> Callable[[Path], Path]:
    return lambda tmp: made.listed(tmp / "c", [row])


def arrays(**changes: object) -> Callable[[Path], Path]:
    return lambda tmp: made.npz(tmp / "c.npz", **changes)


def truncated_npz(tmp: Path) -> Path:
    path = made.npz(tmp / "c.npz")
    path.write_bytes(path.read_bytes()[:20_000])
    return path


def with_text(name: str, text: bytes, corpus_root: str = "c") -> Callable[[Path], Path]:
    def build(tmp: Path) -> Path:
        path = tmp / corpus_root / name
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
        return path.parent

    return build


def set_cell(row: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    return lambda rows: rows[row].__setitem__(column, value)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bad corpus, and the sentence it earns."""

    name: str
    corpus: str
    build: Callable[[Path], Path]
    says: str
    """Part of the sentence; {c} is the corpus folder."""
    skippable: int = 1
    """How many samples `--skip-bad` leaves out; 0 where the corpus is refused as a whole."""


SHORT = " ".join(["7"] * 2303)
LONG = " ".join(["7"] * 2303 + ["256"])
WORD = " ".join(["7"] * 2303 + ["x"])
PICTURE = "train/happy/train_1"

CASES = [
    Case(
        name="truncated JPEG",
        corpus="folder",
        build=in_folder(cut(0.6), ".jpg"),
        says=f"{PICTURE}.jpg: a truncated, damaged or unusual JPEG",
    ),
    Case(
        name="JPEG cut in its header",
        corpus="folder",
        build=in_folder(cut(0.05), ".jpg"),
        says=f"{PICTURE}.jpg: a truncated, damaged or unusual JPEG",
    ),
    Case(
        name="truncated PNG",
        corpus="folder",
        build=in_folder(cut(0.7)),
        says=f"{PICTURE}.png: a truncated, damaged or unusual PNG",
    ),
    Case(
        name="PNG with a flipped byte",
        corpus="folder",
        build=in_folder(flip_a_byte),
        says=f"{PICTURE}.png: a truncated, damaged or unusual PNG",
    ),
    Case(
        name="truncated BMP",
        corpus="folder",
        build=in_folder(cut(0.5), ".bmp"),
        says=f"{PICTURE}.bmp: a truncated, damaged or unusual BMP",
    ),
    Case(
        name="truncated WebP",
        corpus="folder",
        build=in_folder(cut(0.5), ".webp"),
        says=f"{PICTURE}.webp: a truncated, damaged or unusual WebP",
    ),
    Case(name="truncated TIFF", corpus="folder", build=in_folder(cut(0.5), ".tif"), says=f"{PICTURE}.tif: "),
    Case(
        name="truncated PGM",
        corpus="folder",
        build=in_folder(cut(0.5), ".pgm"),
        says=f"{PICTURE}.pgm: a truncated, damaged or unusual PNM",
    ),
    Case(
        name="truncated GIF",
        corpus="folder",
        build=in_folder(write(gif()[:600])),
        says=f"{PICTURE}.png: a truncated, damaged or unusual GIF",
    ),
    Case(
        name="empty file",
        corpus="folder",
        build=in_folder(write(b"")),
        says=f"{PICTURE}.png: an empty file",
    ),
    Case(
        name="text named .png",
        corpus="folder",
        build=in_folder(write(b"no picture at all")),
        says=f"{PICTURE}.png: not a picture, expected PNG, JPEG, BMP, GIF, WebP, TIFF, "
        "PNM, JPEG 2000, AVIF, PCX, SGI or TGA",
    ),
    Case(
        name="30,000 x 30,000 PNG",
        corpus="folder",
        build=in_folder(write(huge_png())),
        says=f"{PICTURE}.png: 30000×30000 pixels, expected at most 16,384 a side and 65 megapixels",
    ),
    Case(
        name="PNG of 12,000 x 12,000",
        corpus="folder",
        build=in_folder(write(huge_png(12_000))),
        says="12000×12000 pixels, expected at most 16,384 a side and 65 megapixels",
    ),
    Case(
        name="link out of the tree",
        corpus="folder",
        build=in_folder(link_out),
        says=f"{PICTURE}.png: 'train/happy/train_1.png' is a link that leaves the corpus; copy the file into it",
    ),
    Case(
        name="linked class folder",
        corpus="folder",
        build=linked_class,
        says="is a link that leaves the corpus",
    ),
    Case(
        name="link to nothing",
        corpus="folder",
        build=in_folder(link_to_nothing),
        says=f"{PICTURE}.png: cannot be read (No such file or directory)",
    ),
    Case(
        name="link to itself",
        corpus="folder",
        build=in_folder(link_to_itself),
        says=f"{PICTURE}.png: ",
    ),
    Case(
        name="pipe named .png",
        corpus="folder",
        build=in_folder(pipe),
        says=f"{PICTURE}.png: cannot be read (not a file)",
    ),
    Case(
        name="folder named .png",
        corpus="folder",
        build=in_folder(directory),
        says=f"{PICTURE}.png: ",
    ),
    Case(
        name="empty class",
        corpus="folder",
        build=empty_class,
        says="test/disgust: an empty class: the folder holds no picture",
    ),
    Case(
        name="class without pictures",
        corpus="fer2013",
        build=in_fer(lambda rows: [rows.remove(row) for row in list(rows) if row[0] == "1"] and None),
        says="class 'disgust': an empty class: the corpus has no usable picture of it",
    ),
    Case(
        name="zero images",
        corpus="folder",
        build=zero_images,
        says="{c} holds no pictures in class folders; expected c/[train|valid|test]/CLASS/*.",
        skippable=0,
    ),
    Case(
        name="a path that is a file",
        corpus="folder",
        build=a_file,
        says="face.png is a file; the folder corpus is a folder.",
        skippable=0,
    ),
    Case(
        name="a path that is not there",
        corpus="rafdb",
        build=lambda tmp: tmp / "gone",
        says="gone does not exist.",
        skippable=0,
    ),
    Case(
        name="short pixel row",
        corpus="fer2013",
        build=in_fer(set_cell(5, 1, SHORT)),
        says="fer2013.csv:7: 2303 pixels, expected 2304 (48×48)",
    ),
    Case(
        name="pixel of 256",
        corpus="fer2013",
        build=in_fer(set_cell(5, 1, LONG)),
        says="fer2013.csv:7: a pixel of 256, expected 0 to 255",
    ),
    Case(
        name="pixel that is no number",
        corpus="fer2013",
        build=in_fer(set_cell(5, 1, WORD)),
        says="fer2013.csv:7: the pixels hold 'x', expected numbers",
    ),
    Case(
        name="row with two columns",
        corpus="fer2013",
        build=in_fer(lambda rows: rows[5].pop() and None),
        says="fer2013.csv:7: 2 columns where the table has 3",
    ),
    Case(
        name="label out of range",
        corpus="fer2013",
        build=in_fer(set_cell(5, 0, "7")),
        says="fer2013.csv:7: the label is '7', expected 0 to 6",
    ),
    Case(
        name="unknown Usage",
        corpus="fer2013",
        build=in_fer(set_cell(5, 2, "Test")),
        says="fer2013.csv:7: the Usage is 'Test', expected one of Training, PublicTest, PrivateTest",
    ),
    Case(
        name="table without its columns",
        corpus="fer2013",
        build=with_text("fer2013.csv", b"emotion,pixels\n1,2\n"),
        says="fer2013.csv has the columns ['emotion', 'pixels'], but needs ['emotion', 'usage', 'pixels']",
        skippable=0,
    ),
    Case(
        name="table with a header alone",
        corpus="fer2013",
        build=with_text("fer2013.csv", b"emotion,pixels,Usage\n"),
        says="empty class",
        skippable=0,
    ),
    Case(
        name="table that is a picture",
        corpus="fer2013",
        build=with_text("fer2013.csv", b"\x89PNG\r\n\x1a\n\xff\xfe" * 10),
        says="is not UTF-8 text",
        skippable=0,
    ),
    Case(
        name="missing label file",
        corpus="rafdb",
        build=missing_label_file,
        says="list_patition_label.txt is missing; RAF-DB's labels are in EmoLabel/list_patition_label.txt.",
        skippable=0,
    ),
    Case(
        name="RAF-DB code 8",
        corpus="rafdb",
        build=raf_line("train_00001.jpg 8"),
        says="list_patition_label.txt:29: the label is '8', expected 1 to 7",
    ),
    Case(
        name="RAF-DB picture missing",
        corpus="rafdb",
        build=raf_line("train_99999.jpg 3"),
        says="list_patition_label.txt:29: Image/aligned/train_99999_aligned.jpg: cannot be read",
    ),
    Case(
        name="RAF-DB name with ..",
        corpus="rafdb",
        build=raf_line("train_/../../../../x.jpg 3"),
        says="list_patition_label.txt:29: the path",
    ),
    Case(
        name="RAF-DB table and folder disagree",
        corpus="rafdb",
        build=packed_disagrees,
        says="train_labels.csv:6: the label is '4', but the picture is train/3/train_30_aligned.jpg",
    ),
    Case(
        name="AffectNet label missing",
        corpus="affectnet",
        build=affect_labels(Path.unlink),
        says="train_set/annotations/3_exp.npy: the label file is missing",
    ),
    Case(
        name="AffectNet label 11",
        corpus="affectnet",
        build=affect_labels(lambda path: np.save(path, np.array("11"))),
        says="train_set/annotations/3_exp.npy: the label is '11', expected 0 to 10",
    ),
    Case(
        name="AffectNet pickle",
        corpus="affectnet",
        build=affect_labels(pickled),
        says="train_set/annotations/3_exp.npy: not an array that can be read",
    ),
    Case(
        name="path with ..",
        corpus="csv",
        build=row_of_table("../secret.png,happy,s0,train,"),
        says="labels.csv:16: the path '../secret.png' is not a path inside the corpus",
    ),
    Case(
        name="absolute path",
        corpus="csv",
        build=row_of_table("/etc/passwd,happy,s0,train,"),
        says="labels.csv:16: the path '/etc/passwd' is not a path inside the corpus",
    ),
    Case(
        name="path of 5,000 letters",
        corpus="csv",
        build=row_of_table(f"{'x' * 5000}.png,happy,s0,train,"),
        says="labels.csv:16: ",
    ),
    Case(
        name="path with a NUL",
        corpus="csv",
        build=row_of_table("pictures/\0.png,happy,s0,train,"),
        says="labels.csv:16: ",
    ),
    Case(
        name="box outside the picture",
        corpus="csv",
        build=row_of_table("pictures/train_happy.png,happy,s0,train,200 0 48 48"),
        says="labels.csv:16: the box 200, 0, 48, 48 (x, y, width, height) is not in the picture of 96×96",
    ),
    Case(
        name="box of a billion pixels",
        corpus="csv",
        build=row_of_table("pictures/train_happy.png,happy,s0,train,0 0 1e9 1e9"),
        says="is not in the picture of 96×96",
    ),
    Case(
        name="box that is no box",
        corpus="csv",
        build=row_of_table("pictures/train_happy.png,happy,s0,train,1 2 nan 4"),
        says="labels.csv:16: the box is '1 2 nan 4', expected 'x y width height'",
    ),
    Case(
        name="unknown split",
        corpus="csv",
        build=row_of_table("pictures/train_happy.png,happy,s0,holdout,"),
        says="labels.csv:16: the split is 'holdout', expected train, valid or test",
    ),
    Case(
        name="empty label",
        corpus="csv",
        build=row_of_table("pictures/train_happy.png,,s0,train,"),
        says="labels.csv:16: the label is empty",
    ),
    Case(
        name="unmapped class",
        corpus="csv",
        build=row_of_table("pictures/train_happy.png,others,s0,train,"),
        says="Cannot map the classes ['others']",
        skippable=0,
    ),
    Case(
        name="code out of range",
        corpus="npz",
        build=arrays(labels=np.array([*(np.arange(13) % 7), 9])),
        says="c.npz:13: the label is 9, expected 0 to 6",
    ),
    Case(
        name="float images",
        corpus="npz",
        build=arrays(images=np.zeros((14, 48, 48))),
        says="c.npz has images float64 (14, 48, 48); expected uint8 (N, H, W) or (N, H, W, 1 or 3).",
        skippable=0,
    ),
    Case(
        name="arrays of different length",
        corpus="npz",
        build=arrays(labels=np.arange(13) % 7),
        says="c.npz has 14 images, but labels of shape (13,).",
        skippable=0,
    ),
    Case(
        name="zero images in arrays",
        corpus="npz",
        build=arrays(images=np.zeros((0, 48, 48), np.uint8), labels=np.zeros(0, int)),
        says="c.npz holds zero images.",
        skippable=0,
    ),
    Case(
        name="pickled arrays",
        corpus="npz",
        build=arrays(labels=np.array([{}] * 14, dtype=object)),
        says="c.npz is damaged (it holds object; expected an array of numbers or texts)",
        skippable=0,
    ),
    Case(
        name="truncated npz",
        corpus="npz",
        build=truncated_npz,
        says="c.npz is damaged (File is not a zip file). Write it again with numpy.savez",
        skippable=0,
    ),
    Case(
        name="unknown corpus",
        corpus="fer2012",
        build=in_fer(lambda rows: None),
        says="There is no importer for 'fer2012'; the corpora are 4dme, affectnet, cas2,",
        skippable=0,
    ),
]


def run(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command line, OpenCV's own chatter included."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capfd.readouterr()
    return int(end.value.code or 0), out, err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = case.build(tmp_path)
    command = ["data", "prepare", str(root), "--corpus", case.corpus, "--out", str(tmp_path / "s")]
    code, out, err = run(command, capfd)
    assert (code, out) == (2, "")
    assert err.startswith("mien: ")
    assert err.count("\n") == 1, "one sentence, one line"
    assert case.says.replace("{c}", str(root)) in err
    assert not list(tmp_path.glob("*s.partial*"))
    assert not (tmp_path / "s").exists()

    code, out, err = run([*command, "--skip-bad", "--json"], capfd)
    if not case.skippable:
        assert (code, out) == (2, "")
        return
    assert code == 0
    meta = json.loads(out)["meta"]
    assert meta["skipped"] >= case.skippable
    assert any(case.says in example for example in meta["skipped_examples"])
    listed = (tmp_path / "s/skipped.csv").read_text().splitlines()
    assert len(listed) == meta["skipped"] + 1
    assert Store.open(tmp_path / "s").meta.skipped == meta["skipped"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = in_folder(lambda path: path.chmod(0))(tmp_path)
    code, _, err = run(["data", "prepare", str(root), "-c", "folder", "-o", str(tmp_path / "s")], capfd)
    assert code == 2
    assert f"{PICTURE}.png: cannot be read (Permission denied)" in err


def test_a_folder_that_the_system_refuses(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class folder without permission is named; also for root, who may read every folder."""
    root = made.folders(tmp_path / "c")

    def refuse(folder: Path) -> Never:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("mien.data.corpora.folder.os.scandir", refuse)
    code, _, err = run(["data", "prepare", str(root), "-c", "folder", "-o", str(tmp_path / "s")], capfd)
    assert (code, err) == (2, f"mien: {root}/test/angry cannot be read (Permission denied).\n")


def test_unreadable_as_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for root, who may read everything: the system's refusal becomes the sentence."""
    from mien.data.corpora.pictures import load_picture
    from mien.errors import BadSample

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(BadSample, match=r"^a/b\.png: cannot be read \(Permission denied\)$"):
        load_picture(tmp_path / "b.png", "a/b.png")


def test_a_name_with_dots_that_stays_inside_is_fine(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c", each=1)
    made.save(root / "train/happy/face..1.png", 3)
    inner = root / "train/happy/linked.png"
    inner.symlink_to(root / "train/happy/face..1.png")
    with pytest.raises(SystemExit) as end:
        main(["data", "prepare", str(root), "-c", "folder", "-o", str(tmp_path / "s"), "--json"])
    assert end.value.code == 0
    assert len(Store.open(tmp_path / "s")) == 16


def test_bytes_after_the_end_of_a_jpeg_are_fine() -> None:
    from mien.data.corpora.pictures import decode

    data = cv2.imencode(".jpg", made.picture(1))[1].tobytes()
    assert decode(data + b"maker notes", "x").shape == (48, 48, 3)
