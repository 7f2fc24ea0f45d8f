"""The corpora that `mien data prepare` reads. A new one is a file here, a line below and a tiny fixture."""

from ...errors import DataError
from . import affectnet, fer2013, ferplus, folder, listed, npz, rafdb
from .protocol import Corpus, Entry, Reader, ReadOptions

__all__ = ["CORPORA", "Corpus", "Entry", "ReadOptions", "Reader", "find_reader"]

CORPORA: dict[str, Reader] = {
    "affectnet": affectnet.read,
    "csv": listed.read,
    "fer2013": fer2013.read,
    "ferplus": ferplus.read,
    "folder": folder.read,
    "npz": npz.read,
    "rafdb": rafdb.read,
}


def find_reader(name: str) -> Reader:
    """The importer of a corpus; raises `DataError` with the names there are."""
    if name not in CORPORA:
        raise DataError(f"There is no importer for {name!r}; the corpora are {', '.join(sorted(CORPORA))}.")
    return CORPORA[name]
