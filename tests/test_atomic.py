"""Whole files or none."""

import errno
import json
import os
from pathlib import Path

import pytest

from mien import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a.txt", "ä\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\n"
    assert names(tmp_path) == ["a.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a.txt", "old")

    def fail_halfway() -> None:
        with atomic.new_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write_text(tmp_path / "a.txt", "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "a.json", {"uar": float("nan")})
    assert names(tmp_path) == []
    atomic.write_json(tmp_path / "a.json", {"uar": 0.5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"uar": 0.5}


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with atomic.new_folder(tmp_path / "s") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "s").exists()
    assert names(tmp_path / "s") == ["x"]
    with pytest.raises(KeyboardInterrupt), atomic.new_folder(tmp_path / "t") as folder:
        raise KeyboardInterrupt
    assert names(tmp_path) == ["s"]


def test_a_folder_is_replaced_only_when_told(tmp_path: Path) -> None:
    for word in ("old", "new"):
        with atomic.new_folder(tmp_path / "s", replace=True) as folder:
            (folder / word).write_text(word)
    assert names(tmp_path / "s") == ["new"]
    with pytest.raises(FileExistsError), atomic.new_folder(tmp_path / "s"):
        pass
    assert names(tmp_path) == ["s"]
    assert names(tmp_path / "s") == ["new"]


def test_what_a_killed_process_of_the_same_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    for word in ("partial", "old"):
        left = tmp_path / f".s.{word}-{os.getpid()}"
        left.mkdir()
        (left / "x").write_text("left")
    for _ in range(2):
        with atomic.new_folder(tmp_path / "s", replace=True) as folder:
            assert names(folder) == []
            (folder / "y").write_text("new")
    assert names(tmp_path) == ["s"]


def test_a_name_that_is_no_utf8_is_written_with_its_bytes_escaped(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "x", os.fsdecode(b"caf\xe9.png"))
    assert (tmp_path / "x").read_text("utf-8") == '"caf\\udce9.png"\n'
