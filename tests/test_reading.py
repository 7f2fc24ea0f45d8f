"""What is read back is of its type, within its measure, or one sentence that names the file and says what to do."""

import io
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.arrays import Array, map_npy, read_header, read_npz
from mien.errors import DataError, RunError
from mien.reading import Count, Share, from_json, from_toml, given_path, read_bytes, read_rows, reading


@dataclass(frozen=True, kw_only=True)
class Fact:
    name: str
    count: Count
    share: Share = 0.5


# Text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"name": "a", "count": 1, "share": 2}', r"Expected `float` <= 1.0 - at `\$.share`"),
        ('{"name": "a", "count": true}', r"Expected `int`, got `bool` - at `\$.count`"),
        ('{"name": "a", "count": -1}', r"Expected `int` >= 0 - at `\$.count`"),
        ('{"name": "a"}', "missing required field `count`"),
        ('{"name": "a", "count": 1, "shore": 0.1}', r"unknown name `shore` - at `\$`"),
        ('{"name": "a", "count": 1, "share": NaN}', "malformed"),
        ('{"name": "a", "count": ' + "9" * 5000 + "}", "out of range"),
        ('{"name": ' + "[" * 100_000, "too deep"),
        ("", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"name": "\\ud800", "count": 1}', "surrogate"),
        ("\0" * 100, "malformed"),
    ],
    ids=lambda text: text[:40],
)
def test_json_of_another_type_is_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(RunError, match=rf"^{path} is damaged \(.*{says}.*\)\. Remove it\.$") as refused:
        read_fact(path)
    assert len(str(refused.value)) < 400


def read_fact(path: Path) -> Fact:
    with reading(path, RunError, "Remove it."):
        return from_json(read_bytes(path), Fact)


def test_json_comes_back_and_more_names_are_let_by_where_that_is_said() -> None:
    assert from_json('{"name": "a", "count": 3}', Fact) == Fact(name="a", count=3)
    assert from_json(b'{"name": "a", "count": 3, "new": [1]}', Fact, more=True) == Fact(name="a", count=3)


def test_what_is_missing_or_a_folder_or_too_large_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.json cannot be read \(No such file or directory\)\. Remove it\.$"):
        read_fact(tmp_path / "none.json")
    with pytest.raises(RunError, match=r"cannot be read \(Is a directory\)"):
        read_fact(tmp_path)
    large = tmp_path / "large.json"
    large.touch()
    os.truncate(large, 1 << 40)  # a sparse file, which costs no disk
    with pytest.raises(RunError, match=r"large\.json is damaged \(it has more than 16,777,216 bytes\)"):
        read_fact(large)


def test_an_error_of_the_kind_that_is_wanted_stays_as_it_is() -> None:
    with pytest.raises(RunError, match=r"^the sentence$"), reading("x", RunError, "Remove it."):
        raise RunError("the sentence")
    damage = r"^x is damaged \(the sentence\)\. Remove it\.$"
    with pytest.raises(RunError, match=damage), reading("x", RunError, "Remove it."):
        raise DataError("the sentence.")


def test_rows_are_typed_and_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("name,count,share\na,1,0.5\nb,2,1\n")
    assert read_rows(path, Fact) == [Fact(name="a", count=1), Fact(name="b", count=2, share=1)]
    for text, says in (
        ("", "its columns are"),
        ("name,share,count\n", "its columns are"),
        ("name,count,share\na,1\n", "line 2 has 2 cells, expected 3"),
        ("name,count,share\na,1,0.5\na,x,0.5\n", r"line 3: Expected `int`, got `str`"),
        ("name,count,share\na,1,nan\n", "line 2: Expected `float` >= 0.0"),
        ('name,count,share\n"a,1,0.5\n', "unexpected end of data"),
    ):
        path.write_text(text)
        with pytest.raises(RunError, match=says), reading(path, RunError, "Remove it."):
            read_rows(path, Fact)


def test_toml_has_a_measure() -> None:
    assert from_toml("a = [1, [2]]", 100) == {"a": [1, [2]]}
    with pytest.raises(ValueError, match="at most 5 are read"):
        from_toml("a = 123", 5)


# Arrays


def saved(path: Path, *, packed: bool = False, **arrays: Any) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


WANTED = {"ids": Array("i8", "n"), "logits": Array("f4", "n K"), "group:*": Array("U", "n")}


def test_arrays_come_back_in_any_order_of_memory(tmp_path: Path) -> None:
    logits = np.arange(12, dtype=np.float32).reshape(3, 4)
    ids, ages = np.arange(4), np.array(["old", "", "young", "é"])
    path = saved(tmp_path / "a.npz", packed=True, ids=ids, logits=logits.T, other=ids, **{"group:age": ages})
    found = read_npz(path, WANTED, K=3)
    assert found.keys() == {"ids", "logits", "group:age"}
    np.testing.assert_array_equal(found["logits"], logits.T)
    np.testing.assert_array_equal(found["group:age"], ages)
    assert found["ids"].flags.writeable


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"logits": np.zeros((4, 4), "f4")}, r"logits is float32 \(4, 4\), expected float32 \(4, 3\)"),
        ({"logits": np.zeros((5, 3), "f4")}, r"logits is float32 \(5, 3\), expected float32 \(4, 3\)"),
        ({"logits": np.zeros((4, 3))}, r"logits is float64 \(4, 3\), expected float32"),
        ({"logits": np.zeros(4, "f4")}, r"logits is float32 \(4,\), expected"),
        ({"ids": np.array(["a"] * 4)}, r"ids is <U1 \(4,\), expected int64"),
        ({"ids": np.array([None] * 4)}, "it holds object"),
        ({"ids": np.zeros(4, [("a", "f4")])}, "it holds .*expected an array of numbers or texts"),
        ({"group:age": np.array(["x" * 1025] * 4)}, r"group:age is <U1025 \(4,\), expected text \(4\)"),
        ({"group:age": np.array(["x"] * 3)}, r"group:age is <U1 \(3,\), expected text \(4\)"),
        ({"ids": None}, "it has no array ids"),
    ],
    ids=str,
)
def test_an_array_of_another_shape_or_type_is_refused(arrays: dict[str, Any], says: str, tmp_path: Path) -> None:
    fine = {"ids": np.arange(4), "logits": np.zeros((4, 3), "f4"), "group:age": np.array(["a"] * 4)}
    content = {name: array for name, array in (fine | arrays).items() if array is not None}
    path = saved(tmp_path / "a.npz", **content)
    with pytest.raises(RunError, match=says), reading(path, RunError, "Remove it."):
        read_npz(path, WANTED, K=3)


def lying(path: Path, header: str, content: bytes = b"") -> Path:
    """An archive with one array, `ids`, whose header says what is not true; packed so that zeros cost nothing."""
    text = header.ljust(117) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ids.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + content)
    return path


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }", "far larger than the file"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1000,), }", "holds fewer bytes than"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", "holds more bytes than"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }", "it holds int64"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "it holds object"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (2L,), }", "its header is not one of an array"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': " + "(" * 60, "its header is not one of an array"),
        ("__import__('os').system('x')", "its header is not one of an array"),
    ],
    ids=str,
)
def test_a_header_that_lies_asks_for_no_memory(header: str, says: str, tmp_path: Path) -> None:
    path = lying(tmp_path / "a.npz", header, bytes(16))
    with pytest.raises(RunError, match=says), reading(path, RunError, "Remove it."):
        read_npz(path, {"ids": Array("i8", "n")})


def test_an_archive_may_unpack_to_its_measure_and_not_beyond(tmp_path: Path) -> None:
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (40000000,), }"
    path = lying(tmp_path / "bomb.npz", header, bytes(320_000_000))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(RunError, match="far larger than the file"), reading(path, RunError, "Remove it."):
        read_npz(path, {"ids": Array("i8", "n")})


def test_texts_that_are_no_letters_are_refused(tmp_path: Path) -> None:
    for code in (0x110000, 0xD800):
        content = struct.pack("<II", 65, code)
        path = lying(tmp_path / "a.npz", "{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }", content)
        with pytest.raises(RunError, match="holds what is no letter"), reading(path, RunError, "Remove it."):
            read_npz(path, {"ids": Array("U", "n")})


def test_a_map_has_the_size_that_its_header_declares(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6, dtype="u1").reshape(2, 3))
    assert map_npy(path, "u1", (2, 3), 128).tolist() == [[0, 1, 2], [3, 4, 5]]
    for kind, shape, offset in (("u2", (2, 3), 128), ("u1", (3, 2), 128), ("u1", (2, 3), 64)):
        with pytest.raises(ValueError, match="expected"):
            map_npy(path, kind, shape, offset)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="it has 133 bytes, expected 134"):
        map_npy(path, "u1", (2, 3), 128)


def test_a_header_of_another_version_is_no_surprise() -> None:
    with pytest.raises(ValueError, match="its header is not one of an array"):
        read_header(io.BytesIO(b"\x93NUMPY\x03\x00" + bytes(100)))


@pytest.mark.parametrize("path", ["x" * 5000, "a/" * 3000])
def test_a_path_that_no_system_can_have_is_a_sentence(path: str) -> None:
    with pytest.raises(DataError, match=r"A store cannot be at .* \(File name too long\)"):
        given_path(path, "A store", DataError)


def test_what_is_absent_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    for name in ("gone", "file/below", "loop"):
        assert given_path(tmp_path / name, "A store", DataError) == tmp_path / name
