"""What verbs share: an option, and imports of an optional part of mien, which happen late and fail kindly."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from mien.errors import MissingExtra

__all__ = ["Json", "needs"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]


@contextmanager
def needs(extra: str, verb: str) -> Iterator[None]:
    """Around imports: a library that is missing becomes one sentence that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien"):
            raise
        raise MissingExtra(f"`mien {verb}`", extra) from None
