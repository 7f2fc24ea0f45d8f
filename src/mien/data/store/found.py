"""Finds a store by its content: another node of a cluster mounts the same bytes at another path.

In: a fingerprint and the path where the store was. Out: the store that has this fingerprint, at that path or in one of
the folders that `MIEN_STORES` names. Nothing is searched beyond these.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError
from .files import read_meta
from .opened import Store

__all__ = ["STORES", "find_store", "is_mounted"]

STORES = "MIEN_STORES"
"""Variable with folders, separated as those of PATH: stores, or folders in which stores lie beside each other."""


def find_store(fingerprint: str, recorded: str) -> Store:
    """The store with this fingerprint: at its recorded path, else below `MIEN_STORES`.

    Raises `DataError` if it is at neither, or is damaged.
    """
    for path in (Path(recorded), *_mounted()):
        if _sha256(path) == fingerprint:
            return Store.open(path)
    try:
        store = Store.open(recorded)  # an interrupted replacement is undone
    except DataError as error:
        raise DataError(f"{error} Where it lies elsewhere, {STORES} may name its folder.") from None
    if store.meta.sha256 != fingerprint:
        raise DataError(f"{recorded} has changed since its runs were planned. Plan the comparison again.")
    return store


def is_mounted(store: Store) -> bool:
    """Whether the store is found through `MIEN_STORES` on this machine, whatever path the run has."""
    return any(store.path.resolve() == path.resolve() for path in _mounted())


def _mounted() -> Iterator[Path]:
    for word in os.environ.get(STORES, "").split(os.pathsep):
        if not word:
            continue
        if (Path(word) / "meta.json").is_file():
            yield Path(word)
        elif Path(word).is_dir():
            yield from (path.parent for path in sorted(Path(word).glob("*/meta.json")))


def _sha256(path: Path) -> str:
    """The fingerprint of the store at a path; empty if there is none."""
    try:
        return read_meta(path).sha256
    except DataError:
        return ""
