"""Run folders beside each other: which are there, and in which order."""

from collections.abc import Sequence
from pathlib import Path

from ..atomic import write_text
from ..errors import RunError
from ..reading import GivenPath, given_path
from .run import Run

__all__ = ["find_runs", "keep_order"]

ORDER = "order.txt"
"""Beside the run folders: their names in the order of the recipes that planned them, those of the latest first."""


def find_runs(folder: GivenPath, left_out: list[str] | None = None) -> list[Run]:
    """All run folders directly under `folder`, in the order of their recipes (`keep_order`); others by name, last.

    With `left_out`, a folder that is damaged is passed over and its sentence goes there; else it raises `RunError`.
    """
    folder = given_path(folder, "A folder of runs", RunError)
    if folder.is_file() and folder.suffix == ".onnx":
        raise RunError(
            f"{folder} is a model file and no folder of runs. Measure it with: mien evaluate {folder} --data STORE, "
            "with --examine for damage; on another corpus by its store."
        )
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder of runs. Give the folder that `mien compare --runs` wrote.")
    found = []
    place = {name: number for number, name in enumerate(_kept_order(folder))}
    paths = {inner.parent for name in ("config.toml", "data.json") for inner in folder.glob(f"*/{name}")}
    for path in sorted(paths, key=lambda path: (place.get(path.name, len(place)), path)):
        try:
            found.append(Run.open(path))
        except RunError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    return found


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


def _kept_order(folder: Path) -> list[str]:
    path = folder / ORDER
    return path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else []
