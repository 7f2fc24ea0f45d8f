"""Shared by the verbs: the option --json, and the import of an optional part of mien, with an error that names the
remedy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from mien.errors import MissingExtra

__all__ = ["Json", "needs"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]


@contextmanager
def needs(extra: str, verb: str) -> Iterator[None]:
    """Surrounds imports: a missing library becomes one sentence that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien"):
            raise
        raise MissingExtra(f"`mien {verb}`", extra) from None
