"""Importers of corpora of still pictures, by the name that `mien data prepare --corpus` takes.

A new importer is one file in this folder, one line in `CORPORA`, and one tiny fixture for its test.
"""

from ...errors import ConfigError, DataError
from ...shown import brief
from . import affectnet, fer2013, ferplus, folder, listed, npz, rafdb
from .protocol import Corpus, Derived, Entry, Load, Reader, ReadOptions

__all__ = ["CORPORA", "Corpus", "Derived", "Entry", "Load", "ReadOptions", "Reader", "check_options", "find_reader"]

CORPORA: dict[str, Reader] = {
    "affectnet": affectnet.read,
    "csv": listed.read,
    "fer2013": fer2013.read,
    "ferplus": ferplus.read,
    "folder": folder.read,
    "npz": npz.read,
    "rafdb": rafdb.read,
}


KNOWN_TO = {
    "public_test": ("fer2013", "ferplus"),
    "original_votes": ("ferplus",),
    "as_flow": ("npz",),
    "group": ("npz",),
    "numbers": ("csv",),
}
"""Options that only some corpora have. Others would ignore them silently."""


def check_options(corpus: str, options: ReadOptions) -> None:
    """Raise `ConfigError` if an option is set that the importer of `corpus` does not have."""
    for name, corpora in KNOWN_TO.items():
        if getattr(options, name) != getattr(ReadOptions(), name) and corpus not in corpora:
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option} is for {' and '.join(corpora)}, and {corpus} has no such thing; leave it out.")


def find_reader(name: str) -> Reader:
    """The importer of a corpus; raises `DataError` with the names there are."""
    if name not in CORPORA:
        raise DataError(f"There is no importer for {brief(name)}; the corpora are {', '.join(sorted(CORPORA))}.")
    return CORPORA[name]
