"""The model that a user names: a file, one that comes with mien, or a run folder, which is exported on the way."""

from pathlib import Path

from mien.bundle import find_model
from mien.card import Card
from mien.cli.extras import needs

__all__ = ["exported", "is_run", "model_file"]


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / "data.json").is_file()


def model_file(named: str, room: Path) -> Path:
    """The file of a model; that of a run, or of an ensemble of runs, is written into the folder `room`.

    Raises as `mien.export.export` does for a run that cannot be exported, and `MissingExtra` without what it takes.
    """
    folder = Path(named)
    if not is_run(folder):
        return find_model(named)
    file = room / f"{folder.resolve().name}.onnx"
    exported(folder, file)
    return file


def exported(run: Path, out: Path, *, int8: bool = False) -> Card:
    """Write a finished run as one file; its card."""
    with needs("train", "export"):
        from mien.export import export
        from mien.runs import Run
    return export(Run.open(run), out, int8=int8)
