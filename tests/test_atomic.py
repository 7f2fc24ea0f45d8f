"""Whole files or none."""

import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mortal
from mien import atomic, temporary
from mien.data.store import Store
from mien.exchange import exchange
from mien.temporary import sweep


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_nothing_takes_the_place_of_a_device_or_of_what_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can rename a file onto `/dev/null`, and every program that writes there fills the disk from then on."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for path, words in ((Path("pipe"), "a device, a pipe or a socket"), (Path(), "Is a directory")):
        with pytest.raises(OSError, match=words):
            atomic.write_text(path, "x")
        with pytest.raises(OSError, match=words), atomic.new_folder(path, replace=True):
            pass
    assert Path("pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
@pytest.mark.parametrize("target", ["/dev/null", "/proc/self/fd/1", "pipe", "again"])
def test_nothing_takes_the_place_of_a_link_to_a_device(tmp_path: Path, target: str) -> None:
    """`/dev/stdout` is one: as root, `--out /dev/stdout` would take it from every program that runs after."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "again").symlink_to("pipe")
    link = tmp_path / "stdout"
    link.symlink_to(target)
    with pytest.raises(OSError, match="a device, a pipe or a socket"):
        atomic.write_text(link, "a page")
    assert os.readlink(link) == target


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


# Killed, at any moment


@pytest.mark.parametrize("swaps", [True, False], ids=["exchanged", "in two steps"])
def test_killed_at_any_moment_the_old_folder_or_the_new_one_is_there_whole(tmp_path: Path, swaps: bool) -> None:
    if swaps and not can_swap(tmp_path):
        pytest.skip("this disk cannot exchange folders")
    seen = set()
    for moment in range(1, 100):
        path = tmp_path / str(moment) / "s"
        path.mkdir(parents=True)
        for name in ("a", "b"):
            (path / name).write_bytes(b"old")
        code = mortal.replace_folder(path, dies_at=moment, swaps=swaps)
        if swaps:
            assert names(path) == ["a", "b"], "there is no moment without a folder"
        sweep(path.parent)
        seen.add(content := tuple((path / name).read_bytes() for name in names(path)))
        assert content in {(b"old", b"old"), (b"new", b"new")}
        assert names(path.parent) == ["s"]
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert moment > 10
    assert len(seen) == 2


def can_swap(folder: Path) -> bool:
    one, other = folder / "one", folder / "other"
    one.mkdir()
    other.mkdir()
    return exchange(one, other)


def test_two_names_are_swapped_or_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    assert not exchange(tmp_path / "file", tmp_path / "missing")
    assert names(tmp_path) == ["file", "folder"]
    if exchange(tmp_path / "file", tmp_path / "folder"):
        assert (tmp_path / "folder").read_bytes() == b"1"
        assert (tmp_path / "file").is_dir()


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), KeyboardInterrupt()])
def test_a_second_step_that_fails_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "old").write_bytes(b"old")
    rename = os.rename

    def fail(source: Path, target: Path) -> None:
        if target == tmp_path / "s" and source.parent.name != "old":
            raise error
        rename(source, target)

    monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(type(error)), atomic.new_folder(tmp_path / "s", replace=True) as folder:
        (folder / "new").write_bytes(b"new")
    assert names(tmp_path) == ["s"]
    assert names(tmp_path / "s") == ["old"]


def test_a_store_that_was_killed_between_the_steps_opens_again(tmp_path: Path, store: Store) -> None:
    left = tmp_path / f".s.partial-{temporary._system()}-{dead()}-{'0' * 16}"
    shutil.copytree(store.path, left / "old" / "s")
    (left / "s").mkdir()
    assert Store.open(tmp_path / "s").meta == store.meta
    assert names(tmp_path) == ["s"]


def test_another_process_that_was_faster_is_not_overwritten(tmp_path: Path) -> None:

    def write(word: str, meanwhile: Callable[[], None]) -> None:
        with atomic.new_folder(tmp_path / "s") as folder:
            (folder / word).write_bytes(b"")
            meanwhile()

    with pytest.raises(FileExistsError):
        write("late", lambda: write("first", lambda: None))
    assert names(tmp_path / "s") == ["first"]
    assert names(tmp_path) == ["s"]


# Leftovers


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait(60)
    return process.pid


def test_leftovers_of_dead_owners_are_swept_and_all_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere, digits = temporary._system(), "0123456789", "0" * 16
    gone = [f".s.partial-{here}-{dead()}-{digits}", f".s.partial-{here}-{os.getpid()}-{digits}"]
    stale = f".s.partial-{elsewhere}-{os.getpid()}-{digits}"
    kept = [
        f".s.partial-{here}-{os.getppid()}-{digits}",
        f".s.partial-{elsewhere}-1-{digits}",
        ".s.partial-mine",
        ".s.partial-12",
        f".s.partial-{here}-{dead()}-{digits}.txt",
        "notes",
    ]
    for name in (*gone, stale, *kept):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(b"x")
    long_ago = time.time() - 2 * temporary.ABANDONED_SECONDS
    for path in (tmp_path / stale / "x", tmp_path / stale):
        os.utime(path, (long_ago, long_ago))
    link = tmp_path / f".s.partial-{here}-{dead()}-{'1' * 16}"
    link.symlink_to(tmp_path / "notes")
    monkeypatch.setattr(temporary, "_swept", set())
    atomic.write_bytes(tmp_path / "a", b"a")
    assert names(tmp_path) == sorted([*kept, link.name, "a"])
    assert names(tmp_path / "notes") == ["x"]


def test_two_containers_with_equal_process_numbers_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers of one store under way at once, as two containers on one disk see each other."""
    with atomic.new_folder(tmp_path / "s", replace=True) as one:
        (one / "a").write_bytes(b"one")
        monkeypatch.setattr(temporary, "_system", lambda: "fedcba9876")
        monkeypatch.setattr(temporary, "_swept", set())
        with atomic.new_folder(tmp_path / "s", replace=True) as other:
            assert other != one
            (other / "a").write_bytes(b"other")
            (other / "b").write_bytes(b"other")
        (one / "b").write_bytes(b"one")
    assert [(tmp_path / "s" / name).read_bytes() for name in ("a", "b")] == [b"one", b"one"]
    assert names(tmp_path) == ["s"]


def test_a_folder_that_stands_in_the_way_is_not_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody guessed the name, and planted a link."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / "precious").mkdir()
    planted = tmp_path / f".a.partial-{temporary._system()}-{os.getpid()}-{'0' * 16}"
    planted.symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        atomic.write_bytes(tmp_path / "a", b"a")
    assert planted.is_symlink()
    assert names(tmp_path / "precious") == []


def test_a_name_of_any_length_and_alphabet_is_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "😀" * 63, "two\nlines"):
        atomic.write_bytes(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    assert len(names(tmp_path)) == 3


def test_a_name_that_is_no_utf8_is_written_with_its_bytes_escaped(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "x", os.fsdecode(b"caf\xe9.png"))
    assert json.loads((tmp_path / "x").read_text("utf-8")) == "caf\\udce9.png"
