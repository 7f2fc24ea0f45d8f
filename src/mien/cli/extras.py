"""Verbs that need an optional part of mien: their imports happen when they are called, and fail kindly."""

from collections.abc import Iterator
from contextlib import contextmanager

from mien.errors import MissingExtra

__all__ = ["needs"]


@contextmanager
def needs(extra: str, verb: str) -> Iterator[None]:
    """Around imports: a library that is missing becomes one sentence that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien"):
            raise
        raise MissingExtra(f"`mien {verb}`", extra) from None
