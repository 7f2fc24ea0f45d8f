"""Tables as spreadsheets, other systems and bad luck leave them: read right, or refused in one sentence."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import corpora_made as made
from mien.arrays import MOST_BYTES
from mien.cli import main
from mien.data.corpora.stored import MOST_PIXELS
from mien.data.corpora.tables import CHUNK, count_lines, lines
from mien.data.store import Store

Change = Callable[[bytes], bytes]


def prepared(root: Path, corpus: str, out: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["data", "prepare", str(root), "--corpus", corpus, "--out", str(out), *more])
    return int(end.value.code or 0)


def mixed(content: bytes) -> bytes:
    """Each line ends in another way."""
    endings = (b"\n", b"\r\n", b"\r")
    return b"".join(line + endings[place % 3] for place, line in enumerate(content.splitlines()))


SAME: dict[str, Change] = {
    "CR": lambda content: content.replace(b"\n", b"\r"),
    "CR LF": lambda content: content.replace(b"\n", b"\r\n"),
    "mixed": mixed,
    "a byte-order mark": lambda content: b"\xef\xbb\xbf" + content,
    "semicolons": lambda content: content.replace(b",", b";"),
    "semicolons after a byte-order mark": lambda content: b"\xef\xbb\xbf" + content.replace(b",", b";"),
    "tabs and CR": lambda content: content.replace(b",", b"\t").replace(b"\n", b"\r"),
    "tabs after a blank line": lambda content: b"\n" + content.replace(b",", b"\t"),
    "semicolons and quoted cells": lambda content: content.replace(b"Training", b'"Training"').replace(b",", b";"),
    "blank lines": lambda content: content.replace(b"\n", b"\n\n"),
    "no last line end": lambda content: content.rstrip(b"\n"),
    "quoted cells": lambda content: b"\n".join(
        b",".join(b'"' + cell + b'"' for cell in line.split(b",")) for line in content.splitlines()
    ),
}


@pytest.mark.parametrize("limit", [(), ("--limit", "3")], ids=["all", "limit"])
@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_same_table_in_other_bytes_is_the_same_store(
    change: Change, limit: tuple[str, ...], tmp_path: Path
) -> None:
    path = made.fer_csv(tmp_path / "c" / "fer2013.csv")
    assert prepared(path, "fer2013", tmp_path / "plain", *limit) == 0
    path.write_bytes(change(path.read_bytes()))
    assert prepared(path, "fer2013", tmp_path / "other", *limit) == 0
    plain, other = Store.open(tmp_path / "plain"), Store.open(tmp_path / "other")
    assert plain.samples.label.tolist() == other.samples.label.tolist()
    np.testing.assert_array_equal(plain.images, other.images)


WRONG: dict[str, tuple[Change, str]] = {
    "UTF-16": (lambda content: content.decode().encode("utf-16"), "is not UTF-8 text but UTF-16. Save the table as"),
    "UTF-16 without its mark": (lambda content: content.decode().encode("utf-16-le"), "NUL bytes"),
    "Latin-1": (lambda content: content + b"\xe9,1,Training\n", "is not UTF-8 text. Save the table as CSV in UTF-8."),
    "NUL bytes": (lambda content: content.replace(b"Training", b"Train\0ing", 1), "csv:2: not a row of a CSV file (it"),
    "an open quote": (lambda content: content.replace(b"Training", b'"Training', 1), "not a row of a CSV file"),
    "a quote inside": (lambda content: content.replace(b"Training", b'"Tr"aining', 1), "expected after"),
    "a cell of 200 kB": (lambda content: content.replace(b"Training", b"x" * 200_000, 1), "field larger than field"),
    "a line of 3 MB": (lambda content: content.replace(b"Training", b"x" * 3_000_000, 1), "is longer than 1,048,576"),
    "a column twice": (lambda content: content.replace(b"pixels", b"usage", 1), "missing"),
    "the same column twice": (lambda content: b"usage," + content, "more than one column 'usage'"),
    "one line end only": (lambda content: content.replace(b"\n", b" "), "fer2013.csv"),
}


@pytest.mark.parametrize(("change", "says"), WRONG.values(), ids=WRONG)
def test_a_table_that_is_none_is_one_sentence(
    change: Change, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = made.fer_csv(tmp_path / "c" / "fer2013.csv")
    path.write_bytes(change(path.read_bytes()))
    assert prepared(path, "fer2013", tmp_path / "s") == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert len(said) < 600
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_counted_as_they_are_read(ending: bytes, last: bool, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    row = b"a" * (CHUNK // 4 - 1) + ending  # line ends fall on the border of two blocks
    path.write_bytes(b"".join([b"x" + ending, *([row] * 9)]).removesuffix(b"" if last else ending))
    assert count_lines(path)[0] == 10
    path.write_bytes(b"a,b" + ending + b"1,2" + (ending if last else b""))
    assert [cells for _, cells in lines(path)] == [["a", "b"], ["1", "2"]]  # type: ignore[misc]


def deflated(path: Path, **arrays: tuple[str, int]) -> Path:
    """An `.npz` of zeros, by the header and the number of bytes of each array: gigabytes in a few megabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, (declared, size) in arrays.items():
            text = ("{" + declared + ", 'fortran_order': False, }").ljust(117) + "\n"
            with archive.open(f"{name}.npy", "w") as file:
                file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
                for start in range(0, size, 1 << 20):
                    file.write(bytes(min(1 << 20, size - start)))
    return path


BOMBS = {
    "large pictures": ({"images": ("'descr': '|u1', 'shape': (40, 9000, 9000, 3)", 1 << 20)}, "Larger ones are"),
    "many pictures": ({"images": ("'descr': '|u1', 'shape': (10000000, 1, 1)", 10**7)}, "at most 5,000,000 of"),
    "long subjects": (
        {
            "images": ("'descr': '|u1', 'shape': (9000, 8, 8)", 9000 * 64),
            "subjects": ("'descr': '<U130000', 'shape': (9000,)", 1 << 20),
        },
        "subjects is <U130000 (9000,); expected texts of at most 1024 letters",
    ),
    "all subjects together": (
        {
            "images": ("'descr': '|u1', 'shape': (900000, 1, 1)", 900_000),
            "subjects": ("'descr': '<U1000', 'shape': (900000,)", 1 << 20),
        },
        f"at most {MOST_BYTES >> 20} MB beside the images",
    ),
    "declared alone": ({"images": ("'descr': '|u1', 'shape': (90, 1000, 1000)", 4096)}, "the file is truncated"),
    "more than declared": ({"images": ("'descr': '|u1', 'shape': (9, 8, 8)", 5 << 20)}, "images holds more than the 9"),
}


@pytest.mark.parametrize(("arrays", "says"), BOMBS.values(), ids=BOMBS)
def test_an_archive_that_unpacks_to_gigabytes_is_refused(
    arrays: dict[str, tuple[str, int]], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    count = int(arrays["images"][0].partition("(")[2].partition(",")[0])
    labels = {"labels": (f"'descr': '|u1', 'shape': ({count},)", count)}
    path = deflated(tmp_path / "bomb.npz", **labels, **arrays)
    names = io.BytesIO()
    np.save(names, np.array(["a", "b"]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("class_names.npy", names.getvalue())
        assert archive.testzip() is None
    assert path.stat().st_size < 1 << 20
    assert prepared(path, "npz", tmp_path / "s", "--labels", "own") == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_pictures_up_to_the_limit_are_taken(tmp_path: Path) -> None:
    side = int(MOST_PIXELS**0.5)
    images = np.zeros((4, side, side), np.uint8)
    images[:, ::7] = 200
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images, labels=np.array(["a", "b", "a", "b"]))
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    assert prepared(tmp_path / "a.npz", "npz", tmp_path / "s", "--labels", "own") == 0
    assert len(Store.open(tmp_path / "s")) == 4
