"""Checks of the paths that verbs write to.

No input and no file of another kind is overwritten, and no folder is made by mistake.

`--out` and `--draw` take a folder or one file. `out.xyz` is neither: it would become a folder by mistake.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from mien.atomic import write_text
from mien.errors import ConfigError, DataError
from mien.reading import open_file

__all__ = ["check_folder", "is_one_file", "keep_inputs", "write_page"]

MADE_BY = '<meta name="generator" content="mien'
"""A text near the beginning of each page that mien writes."""
HEAD = 1000
"""Number of bytes of a page that are searched for it."""


def is_one_file(option: str, out: Path, suffixes: Collection[str]) -> bool:
    """Whether `out` is one file, by its suffix, or a folder.

    Raises `ConfigError` for another suffix, unless there is such a folder.
    """
    if out.is_dir():
        return False
    if out.suffix.lower() in suffixes:
        return True
    if out.exists():
        raise ConfigError(f"{option} {out} is a file that is there already, and no picture; give a folder.")
    if out.suffix:
        raise ConfigError(
            f"{option} {out} is neither a folder nor one of {', '.join(sorted(suffixes))}. Give one of these "
            "endings for one file; for a folder whose name has a dot, make it first."
        )
    return False


def keep_inputs(option: str, out: Path, inputs: Iterable[str]) -> None:
    """Raise `ConfigError` if writing `out` would overwrite one of `inputs`."""
    for name in inputs:
        if Path(name).exists() and out.exists() and out.samefile(name):
            raise ConfigError(f"{option} {out} would overwrite the input itself; give another name.")


def check_folder(option: str, out: Path, inputs: Iterable[str]) -> None:
    """Raise `ConfigError` if the folder `out` is searched for inputs.

    The drawings would be among the inputs of the next run.
    """
    for name in inputs:
        if out.is_dir() and Path(name).is_dir() and out.samefile(name):
            raise ConfigError(
                f"{option} {out} is the folder of the inputs, and the next run would look at the drawings too; "
                "give another folder, which may stand inside it."
            )


def write_page(option: str, path: Path, page: str) -> None:
    """Write an HTML page.

    It may replace only a page that mien wrote. Raises `DataError` if another file is there, or the page cannot be
    written.
    """
    try:
        if path.exists() and not _is_ours(path):
            raise DataError(f"{path} is there already and is no page of mien's. Pass another {option}.")
        write_text(path, page)
    except OSError as error:
        raise DataError(f"The page {path} cannot be written ({error.strerror}). Pass another {option}.") from None


def _is_ours(path: Path) -> bool:
    with open_file(path) as file:
        return MADE_BY.encode() in file.read(HEAD)
