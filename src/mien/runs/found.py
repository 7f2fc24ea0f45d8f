"""The run folders of a folder: finds them, keeps their order, and removes one."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ..atomic import write_text
from ..errors import RunError
from ..locks import hold
from ..reading import GivenPath, given_path
from ..temporary import folder_beside
from .run import LOCK, Run, busy

__all__ = ["find_runs", "keep_order", "named_runs", "remove_run", "run_folders"]

ORDER = "order.txt"
"""File beside the run folders: their names in the order of the recipes that planned them, the latest recipe first."""


def find_runs(folder: GivenPath, left_out: list[str] | None = None) -> list[Run]:
    """All run folders directly under `folder`, in the order of their recipes (`keep_order`); others by name, last.

    With `left_out`, a damaged folder is skipped and its sentence is added there; otherwise it raises `RunError`.
    """
    found = []
    for path in run_folders(folder):
        try:
            found.append(Run.open(path))
        except RunError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    return found


def named_runs(paths: Iterable[GivenPath], left_out: list[str] | None = None) -> list[Run]:
    """The runs that paths name, each once: a path is a run folder, or a folder of run folders (`find_runs`)."""
    found: dict[Path, Run] = {}
    for given in paths:
        path = given_path(given, "A run, or a folder of runs,", RunError)
        runs = [Run.open(path)] if _is_run(os.fspath(path)) else find_runs(path, left_out)
        found |= {run.path.resolve(): run for run in runs}
    return list(found.values())


def run_folders(folder: GivenPath) -> list[Path]:
    """The paths of all run folders directly under `folder`, intact or damaged, in the order of `find_runs`.

    Raises `RunError` if `folder` is not a folder.
    """
    folder = given_path(folder, "A folder of runs", RunError)
    if folder.is_file() and folder.suffix == ".onnx":
        raise RunError(
            f"{folder} is a model file and no folder of runs. Measure it with: mien evaluate {folder} --data STORE, "
            "with --examine for damage; on another corpus by its store."
        )
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder of runs. Give the folder that `mien compare --runs` wrote.")
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_run(entry.path)]
    except OSError as error:
        raise RunError(f"{folder} cannot be read ({error.strerror}). Allow it, or give another folder.") from None
    place = {name: number for number, name in enumerate(_kept_order(folder))}
    return [folder / name for name in sorted(names, key=lambda name: (place.get(name, len(place)), name))]


def remove_run(path: Path) -> None:
    """Remove a run folder, intact or damaged, in one step; if that fails, it stays as it was.

    Raises `RunBusy` if a process works in it, and `RunError` if it cannot be removed.
    """
    try:
        with ExitStack() as held, folder_beside(path) as room:
            held.enter_context(hold(path / LOCK))
            if sys.platform == "win32":  # Windows moves no folder in which a file is open
                held.close()
            os.rename(path, room / path.name)
    except TimeoutError:
        raise busy(path) from None
    except OSError as error:
        raise RunError(f"{path} cannot be removed ({error.strerror or error}). Allow it, then try again.") from None


def keep_order(folder: Path, runs: Sequence[Run]) -> None:
    """Remember in `folder` the order in which a command planned its `runs`; those of earlier commands come after."""
    before, planned = _kept_order(folder), [run.id for run in runs]
    order = list(dict.fromkeys([*planned, *before]))
    if order == before:
        return
    try:
        write_text(folder / ORDER, "\n".join(order) + "\n")
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}). Pass another --runs.") from None


def _is_run(path: str) -> bool:
    return os.path.exists(f"{path}/config.toml") or os.path.exists(f"{path}/data.json")


def _kept_order(folder: Path) -> list[str]:
    path = folder / ORDER
    return path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else []
