"""The inputs of `mien predict`: files, folders, globs, cameras and stdin become one list, in the given order.

The first bytes of a file decide whether it is a video or a picture; its name does not matter. An input that is absent,
empty or unreadable stays in the list with its reason, so that the rest of the batch goes on. Other files in folders are
counted and reported.
"""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mien.images import NO_URLS
from mien.media import VIDEO, PassedOver, file_kind, is_picture, is_url, kind_by_content
from mien.video import CAMERA

__all__ = ["DRAWN", "STDIN", "TIMELINE", "Input", "find_inputs", "in_turns"]

STDIN = "-"
DRAWN = "-mien"
"""End of a drawing's name, before its suffix."""
TIMELINE = "-timeline"
"""End of the name of a video's timeline."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One picture or video."""

    name: str
    """Its path, `camera:0`, or `-`."""
    place: Path
    """Path of its drawing, relative to the folder of drawings."""
    is_video: bool = False
    failure: str = ""
    """The reason why it cannot be used, in a sentence."""


def find_inputs(
    words: Sequence[str], leave_out: Path | None = None, passed_over: PassedOver | None = None
) -> list[Input]:
    """The inputs that the words of the command line name.

    Args:
        words: paths, folders, globs, `camera:0`, `-`.
        leave_out: the folder of drawings, which is not searched.
        passed_over: counts the files in folders that are not inputs, and the files in `leave_out` that are not
            drawings.
    """
    search = _Search(leave_out, PassedOver() if passed_over is None else passed_over)
    return [found for word in words for found in _of_word(word, search)]


@dataclass(frozen=True)
class _Search:
    leave_out: Path | None
    passed_over: PassedOver


def _of_word(word: str, search: _Search) -> Iterator[Input]:
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
            yield from _of_path(Path(match), search)
        if not matches:
            yield _failed(word, f"{word} matches no file.")
    else:
        yield from _of_path(path, search)


def _of_path(path: Path, search: _Search) -> Iterator[Input]:
    try:
        if path.is_dir():
            yield from _of_folder(path, search)
        elif not path.is_file():
            yield _failed(str(path), f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
        else:
            yield Input(name=str(path), place=Path(path.name), is_video=file_kind(path) == VIDEO)
    except OSError as error:
        yield _failed(str(path), f"{path} cannot be read ({error.strerror}).")


def _of_folder(folder: Path, search: _Search) -> Iterator[Input]:
    found, problems = [], list[OSError]()
    for path in _walk(folder, search, problems):
        if path.name.startswith("."):
            if is_picture(kind_by_content(path)):
                search.passed_over.add("hidden pictures", str(path))
        elif kind := file_kind(path):
            found.append(Input(name=str(path), place=path.relative_to(folder), is_video=kind == VIDEO))
        else:
            search.passed_over.add("files that are neither pictures nor videos", str(path))
    yield from found
    for problem in problems:
        yield _failed(problem.filename, f"{problem.filename} cannot be read ({problem.strerror}).")
    if not found and not problems:
        yield _failed(str(folder), f"{folder} has no pictures or videos in it.")


def _walk(folder: Path, search: _Search, problems: list[OSError]) -> Iterator[Path]:
    """Files below a folder, ordered by name. Links to folders are followed, but no folder is entered twice."""
    entered = set[tuple[int, int]]()
    drawings = _identity(search.leave_out) if search.leave_out and search.leave_out.is_dir() else None
    for root, folders, names in os.walk(folder, followlinks=True, onerror=problems.append):
        identity = _identity(Path(root))
        if identity == drawings and identity not in entered:
            _pass_over_drawings(Path(root), search.passed_over)
        if identity in entered or identity == drawings:
            folders.clear()
            entered.add(identity)
            continue
        entered.add(identity)
        folders.sort()
        yield from (Path(root, name) for name in sorted(names))


def _pass_over_drawings(folder: Path, passed_over: PassedOver) -> None:
    """Count the files among the drawings that mien did not draw: they are passed over too."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(root, name) for name in sorted(names)):
            if not path.stem.endswith((DRAWN, TIMELINE)) and file_kind(path):
                passed_over.add("pictures and videos in the folder for drawings", str(path))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _failed(name: str, failure: str) -> Input:
    return Input(name=name, place=Path("failed"), failure=failure)


def in_turns(inputs: Iterable[Input]) -> Iterator[list[Input]]:
    """Consecutive pictures as one list, to be classified together; videos and failures one by one."""
    for _, group in groupby(inputs, key=lambda each: id(each) if each.is_video or each.failure else 0):
        yield list(group)
