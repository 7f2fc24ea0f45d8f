"""The checks of `mien compare` and `mien report` before anything is written, so that a refusal leaves nothing behind.

A comparison may train for days. So the needs of its last step are checked first: a folder for the report, the libraries
that draw it, room on the disk.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from mien.runs import Run

__all__ = ["check_libraries", "check_out", "check_runs_folder", "check_space"]

REPORT_FOLDERS = ("figures", "tables")
REPORT_FILES = ("report.html", "report.json", "table.tex", "table-narrow.tex", "table.md", "table.csv", "methods.md")
LIBRARIES = ("matplotlib", "jinja2", "scipy", "statsmodels", "cleanlab")
"""The libraries that a report needs; `mien[report]` has all of them."""


def check_out(out: Path) -> None:
    """Raise `DataError` if the report could not be written into `out`, or would be written into a store."""
    reason = _unwritable(out)
    for name in REPORT_FOLDERS:
        if not reason and (out / name).exists() and not (out / name).is_dir():
            reason = f"{out / name} is no folder"
    for name in REPORT_FILES:
        if not reason and (out / name).is_dir():
            reason = f"{out / name} is a folder"
    if not reason and _is_store(out):
        reason = "it is a store of faces"
    if reason:
        raise DataError(f"The report {out} cannot be written ({reason}). Pass another --out.")


def check_runs_folder(runs: Path) -> None:
    """Raise `DataError` if no run folder could be made in `runs`."""
    reason = _unwritable(runs) or ("it is a store of faces" if _is_store(runs) else "")
    if reason:
        raise DataError(f"Cannot write into {runs} ({reason}). Pass another --runs.")


def check_libraries() -> None:
    """Raise `MissingExtra` if a library is missing that the report will need when all runs are trained."""
    if any(find_spec(name) is None for name in LIBRARIES):
        raise MissingExtra("The report", "report")


def check_space(runs: Sequence["Run"], folder: Path, *, keep_epochs: bool) -> None:
    """Raise `DataError` if the disk of `folder` has too little room for the runs that are still to be trained."""
    from mien.space import bytes_needed

    pending = [run for run in runs if not run.finished]
    free = shutil.disk_usage(_nearest(folder)).free
    needed = bytes_needed(pending, keep_epochs=keep_epochs) if pending else 0
    if needed > free:
        raise DataError(
            f"{folder} has {_size(free)} free on its disk, and training {len(pending)} runs takes up to "
            f"{_size(needed)}: the weights of each and one checkpoint. Make room, or pass another --runs."
        )


def _unwritable(folder: Path) -> str:
    """The reason why no file could be made in `folder`, or in the nearest folder above it; empty if one can be made."""
    place = _nearest(folder)
    if not place.is_dir():
        return f"{place} is no folder" if place != folder else "Not a directory"
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _nearest(path: Path) -> Path:
    """The path, or the nearest existing one above it. A broken link counts as existing."""
    place = path.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    return path if place == path.absolute() else place


def _is_store(path: Path) -> bool:
    return (path / "meta.json").exists() and (path / "planes" / "face.npy").exists()


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
