"""Finds the folders of frames and the coding sheet of a corpus, at, above or inside the path that the user gave.

A folder is found by the last parts of its path, without regard to case (sheets write `spNO.1`, disks have `spNo.1`).
The coding sheet is found by how its name begins. Raw frames are preferred to cropped ones, because mien finds and
aligns faces itself, in the same way for training and for prediction.
"""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ....errors import DataError
from ..sheets import SUFFIXES, plain

__all__ = ["Folders", "find_sheet", "scan"]

DEEPEST = 8
MOST_FOLDERS = 200_000
CROPPED = "cropped"


class Folders:
    """All folders below a root, by their last part in lower case."""

    def __init__(self, root: Path, paths: Sequence[Path], files: Sequence[Path]) -> None:
        self.root = root
        self.sheets = tuple(path for path in files if path.suffix.lower() in SUFFIXES)
        """Files that may be coding sheets."""
        self.files = tuple(files)
        """Files that are no pictures."""
        self._by_name: dict[str, list[tuple[tuple[str, ...], Path]]] = defaultdict(list)
        for path in paths:
            parts = (root.name, *path.relative_to(root).parts)
            self._by_name[path.name.lower()].append((tuple(map(str.lower, parts)), path))

    def find(self, *parts: str, without: Sequence[str] = ()) -> Path | None:
        """The folder whose path ends in `parts`.

        Folders that have one of `without` among their parts below the root are passed over. Of several, raw
        ones go first, then those that are less deep.
        """
        wanted, banned = tuple(map(str.lower, parts)), {name.lower() for name in without}
        found = [
            (any(CROPPED in part for part in above), len(above), str(path), path)
            for above, path in self._by_name.get(wanted[-1], ())
            if above[-len(wanted) :] == wanted and banned.isdisjoint(above[1:])
        ]
        return min(found)[-1] if found else None

    def named(self, pattern: str, *, without: Sequence[str] = ()) -> list[Path]:
        """The folders whose name fits a regular expression, sorted; raw ones alone where there are any.

        Those that have one of `without` among their parts, the root's own name included, are passed over.
        """
        fits, banned = re.compile(pattern, re.IGNORECASE).fullmatch, {name.lower() for name in without}
        found = [
            (any(CROPPED in part for part in above), path)
            for name, folders in self._by_name.items()
            if fits(name)
            for above, path in folders
            if banned.isdisjoint(above)
        ]
        raw = [path for cropped, path in found if not cropped]
        return sorted(raw or [path for _, path in found])


def scan(root: Path, corpus: str) -> Folders:
    """List the folders below `root`, and the files that are no frames; raises `DataError` where it is no folder."""
    if not root.is_dir():
        seen = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {seen}; the {corpus} corpus is a folder.")
    root = root.resolve()  # the name of "." is wanted
    paths, files = [root], []
    for folder, names, inside in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(name for name in names if not name.startswith((".", "__"))) if depth < DEEPEST else []
        paths += [Path(folder, name) for name in names]
        files += [Path(folder, name) for name in sorted(inside) if _is_document(name)]
        if len(paths) > MOST_FOLDERS:
            raise DataError(f"{root} has more than {MOST_FOLDERS:,} folders in it; give the path of the corpus.")
    return Folders(root, paths, files)


def _is_document(name: str) -> bool:
    """Whether a file may be a sheet or a video; `~$…` is what Excel leaves beside an open file."""
    return not name.startswith((".", "~$")) and os.path.splitext(name)[1].lower() in (*SUFFIXES, *FILMS)


FILMS = (".mp4", ".avi", ".mov", ".mkv")


def find_sheet(folders: Folders, corpus: str, given: Path | None, *starts: str) -> Path:
    """The coding sheet: the given one, or that of the corpus whose name begins with one of `starts`.

    Names are compared by letters and digits. Of several the last by name is taken, which is the newest version.
    Raises `DataError` where there is none.
    """
    if given is not None:
        if not given.is_file():
            raise DataError(f"{given} is not a file; --sheet is the coding sheet of {corpus}.")
        return given
    beside = sorted(path for path in folders.root.parent.iterdir() if path.suffix.lower() in SUFFIXES)
    for start in starts:
        for place in (folders.sheets, beside):
            found = [path for path in place if plain(path.stem).startswith(plain(start)) and path.name[:2] != "~$"]
            if found:
                return max(found, key=lambda path: plain(path.stem))
    seen = ", ".join(path.name for path in folders.sheets[:6]) or "none"
    raise DataError(
        f"{folders.root} has no coding sheet of {corpus} ({starts[0]}….xlsx, .xls or .csv; seen: {seen}). Put it into "
        "the folder, or name it with --sheet."
    )
