"""An index that gives the lines of ten thousand run folders in a second. It can be deleted at any time.

The folders are the truth. The index is a file in the user's cache, and never beside the runs. It holds the line of each
run with the state of the files that it was read from (time, size, number on the disk). A line is used only if that
state is the same now; otherwise the folder is read again. So an index that is absent, damaged, old or of another
version costs time and changes no answer. There are no locks, and a cache that cannot be written changes no answer.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from ..atomic import write_bytes
from ..config import KINDS
from ..machine import cache_folder
from ..reading import GivenPath, read_bytes
from ..version import __version__
from .found import run_folders
from .lines import Line, read_line

__all__ = ["index_path", "read_lines"]

READ = ("config.toml", "data.json", "record.json", "env.json", "history.csv", "logits.npz")
"""The files that a line is read from."""
FEWEST = 100
"""With fewer runs, reading the folders takes a fraction of a second, and no index is written."""
FRESH_SECONDS = 2.0
"""A file that changed so recently could change again without a later time, so its line is not kept."""
LARGEST = 1 << 30
"""Most bytes of an index."""

Stamp = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Index:
    """The content of the index."""

    known: str
    """Version of mien and defaults of all settings: lines with others are ignored."""
    lines: dict[str, tuple[Stamp, Line]]


def read_lines(folder: GivenPath) -> list[Line]:
    """The lines of all run folders directly under `folder`, in the order of `mien.runs.find_runs`.

    Raises `RunError` if `folder` is not a folder of runs. A damaged run folder has a line with that status.
    """
    paths, started = run_folders(folder), time.time()
    place = index_path(paths[0].parent) if len(paths) >= FEWEST else None
    before = _read(place) if place else {}
    after, lines = dict[str, tuple[Stamp, Line]](), list[Line]()
    for path in paths:
        stamp, kept = _stamp(os.fspath(path)), before.get(path.name)
        line = kept[1] if kept and kept[0] == stamp else read_line(path)
        lines.append(line)
        if line.status != "damaged" and max(stamp[::3]) < (started - FRESH_SECONDS) * 1e9:
            after[path.name] = stamp, line
    if place and after != before:
        _write(place, after)
    return lines


def index_path(folder: Path) -> Path | None:
    """The path of the index of a folder of runs; None if this user has no folder for caches."""
    with suppress(OSError, RuntimeError):  # no home, a folder that went away
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
        return cache_folder() / "runs" / f"{name}.json"
    return None


def _stamp(path: str) -> Stamp:
    """The state of the files of a run folder: time of change in ns, size, number; zeros for a missing file."""
    return tuple(number for name in READ for number in _state(f"{path}/{name}"))


def _state(path: str) -> Stamp:
    try:
        seen = os.stat(path)
    except OSError:
        return 0, 0, 0
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def _read(place: Path) -> Mapping[str, tuple[Stamp, Line]]:
    """The kept lines; none if the file is absent, is damaged, or was written with other defaults."""
    with suppress(OSError, ValueError):
        digest, _, content = read_bytes(place, LARGEST).partition(b"\n")
        if digest.decode() != hashlib.sha256(content).hexdigest():
            return {}
        index = msgspec.json.decode(content, type=_Index)
        if index.known == _known():
            return {name: (stamp, _hashable(line)) for name, (stamp, line) in index.lines.items()}
    return {}


def _write(place: Path, lines: dict[str, tuple[Stamp, Line]]) -> None:
    content = msgspec.json.encode(_Index(known=_known(), lines=lines))
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(place, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def _known() -> str:
    defaults = {name: kind().flat() for name, kind in KINDS.items()}
    return hashlib.sha256(msgspec.json.encode([__version__, defaults], order="sorted")).hexdigest()


def _hashable(line: Line) -> Line:
    """Settings with the lists of JSON as tuples."""
    if any(isinstance(value, list) for value in line.changed.values()):
        return replace(line, changed=dict(_tuples(line.changed)))
    return line


def _tuples(changed: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in changed.items():
        yield key, tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
