"""What `mien predict` is to look at: files, folders, globs, cameras and stdin become one list in the order given.

A file is a video or a picture by its first bytes; in a folder, where a look into each would be slow, by its suffix.
What is absent, empty or unreadable stays in the list with its reason, so that the rest of the batch goes on.
"""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mien.data.corpora.pictures import SUFFIXES
from mien.images import NO_URLS, is_url
from mien.video import CAMERA, HEAD_BYTES, VIDEO_SUFFIXES, is_video

__all__ = ["STDIN", "Input", "find_inputs", "in_turns"]

STDIN = "-"


@dataclass(frozen=True, kw_only=True)
class Input:
    """One picture or video."""

    name: str
    """Its path, `camera:0`, or `-`."""
    place: Path
    """Path under which a drawing of it is kept, from the folder of drawings."""
    is_video: bool = False
    failure: str = ""
    """Why it cannot be looked at, a sentence."""


def find_inputs(words: Sequence[str], leave_out: Path | None = None) -> list[Input]:
    """The inputs that the command line's words stand for.

    Args:
        words: paths, folders, globs, `camera:0`, `-`.
        leave_out: a folder that is not searched, the one that drawings go to.
    """
    return [found for word in words for found in _of_word(word, leave_out)]


def _of_word(word: str, leave_out: Path | None) -> Iterator[Input]:
    path = Path(word)
    if word == STDIN and (sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()):
        yield _failed(word, "Nothing is piped into mien. Pass a picture: cat photo.jpg | mien predict -")
    elif word == STDIN:
        yield Input(name=word, place=Path("stdin"))
    elif is_url(word):
        yield _failed(word, f"{word}: {NO_URLS}.")
    elif word.startswith(CAMERA):
        yield Input(name=word, place=Path(word.replace(":", "-")), is_video=True)
    elif not os.path.lexists(path) and glob.has_magic(word):
        matches = sorted(glob.glob(word, recursive=True))
        for match in matches:
            yield from _of_path(Path(match), leave_out)
        if not matches:
            yield _failed(word, f"{word} matches no file.")
    else:
        yield from _of_path(path, leave_out)


def _of_path(path: Path, leave_out: Path | None) -> Iterator[Input]:
    try:
        if path.is_dir():
            yield from _of_folder(path, leave_out)
        elif not path.is_file():
            yield _failed(str(path), f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
        else:
            yield Input(name=str(path), place=Path(path.name), is_video=_is_video(path))
    except OSError as error:
        yield _failed(str(path), f"{path} cannot be read ({error.strerror}).")


def _is_video(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return is_video(head) or path.suffix.lower() in VIDEO_SUFFIXES


def _of_folder(folder: Path, leave_out: Path | None) -> Iterator[Input]:
    found, problems = [], list[OSError]()
    for path in _walk(folder, leave_out, problems):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES | VIDEO_SUFFIXES and not path.name.startswith("."):
            place = path.relative_to(folder)
            found.append(Input(name=str(path), place=place, is_video=suffix in VIDEO_SUFFIXES))
    yield from found
    for problem in problems:
        yield _failed(problem.filename, f"{problem.filename} cannot be read ({problem.strerror}).")
    if not found and not problems:
        yield _failed(str(folder), f"{folder} has no pictures or videos in it.")


def _walk(folder: Path, leave_out: Path | None, problems: list[OSError]) -> Iterator[Path]:
    """Files below a folder, by name; links to folders are followed, but no folder is entered twice."""
    entered = {_identity(leave_out)} if leave_out and leave_out.is_dir() else set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=problems.append):
        identity = _identity(Path(root))
        if identity in entered:
            folders.clear()
            continue
        entered.add(identity)
        folders.sort()
        yield from (Path(root, name) for name in sorted(names))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _failed(name: str, failure: str) -> Input:
    return Input(name=name, place=Path("failed"), failure=failure)


def in_turns(inputs: Iterable[Input]) -> Iterator[list[Input]]:
    """Pictures that stand together as one list, to be classified together; videos and failures one by one."""
    for _, group in groupby(inputs, key=lambda each: id(each) if each.is_video or each.failure else 0):
        yield list(group)
