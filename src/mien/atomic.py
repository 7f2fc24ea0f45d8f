"""Atomic writes: write to a temporary folder, fsync, move into place, fsync the folder.

A reader never sees half a file, and a full disk leaves the old file in place. A process that is killed leaves its
temporary folder behind; the next writer removes it (`mien.temporary`).
"""

import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .exchange import exchange
from .temporary import OLD, folder_beside

__all__ = ["json_text", "move", "new_file", "new_folder", "write_bytes", "write_json", "write_text"]

ATTEMPTS = 50
"""Tries of `move`, a fiftieth of a second apart."""
HALF_LETTERS = re.compile("[\ud800-\udfff]")
"""The code points by which Python represents bytes of a file name that are not UTF-8."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path. The file that the body writes there becomes `path` when the body ends without an error.

    It has the name of `path`, in a folder of its own: the body may put other files beside it. Raises `OSError` if it
    cannot be written, and the errors of `folder_beside`.
    """
    with folder_beside(path) as room:
        temporary = room / path.name
        yield temporary
        _sync(temporary)
        move(temporary, path)
        _sync(path.parent)


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder. It becomes `path` when the body ends without an error; otherwise it is removed.

    An old folder at `path` is exchanged for the new one in one step if the system can do that. Otherwise it is moved
    away first; if the process is killed before the next step, the next `sweep` brings the old folder back. Raises
    `FileExistsError` at the end if `path` exists and `replace` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with folder_beside(path) as room:
        new = room / path.name
        new.mkdir()
        yield new
        for file in new.iterdir():
            _sync(file)
        _sync(new)
        if not os.path.lexists(path):
            _place(new, path)
        elif not replace:
            raise FileExistsError(errno.EEXIST, "it exists already", str(path))
        elif not exchange(new, path):
            (room / OLD).mkdir()
            os.rename(path, room / OLD / path.name)
            _place(new, path)
        _sync(path.parent)


def _place(new: Path, path: Path) -> None:
    try:
        os.rename(new, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
            raise FileExistsError(errno.EEXIST, "it exists already", str(path)) from None
        raise


def move(source: Path, target: Path) -> None:
    """Move a file to `target` and replace what is there.

    Windows refuses this while a reader has `target` open. Readers are quick, so the move is tried for a second.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32" or not left:
                raise
            time.sleep(1 / ATTEMPTS)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8 to `path`, whole or not at all. Bytes of file names that are not UTF-8 are escaped."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` as `json_text`."""
    write_text(path, json_text(content, indent=2))


def json_text(content: Any, indent: int) -> str:
    """`content` as indented JSON that any reader can open.

    NaN is refused. Bytes of file names that are not UTF-8 are written as readable escapes: JSON's own escapes would be
    lone surrogates, which strict readers refuse.
    """
    text = json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False)
    return HALF_LETTERS.sub(lambda half: f"\\\\u{ord(half[0]):x}", text) + "\n"


def _sync(path: Path) -> None:
    """Ask the disk to keep a file or folder. Windows syncs only files, and only those that are open for writing."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
