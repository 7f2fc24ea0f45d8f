"""The output of the command line: sentences on stderr, JSON on stdout, and texts whose control characters have no
effect.

Every verb prints names and cards through these functions. So none of them moves the cursor, changes the reading
direction, or is taken for markup.
"""

import json
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from mien.shown import visible

__all__ = ["json_text", "literal", "print_json", "say"]


def say(message: str) -> None:
    """Print a sentence on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with suppress(OSError):  # if stderr takes nothing more, the exit code remains
        console.print(Text.assemble(("mien: ", "bold red"), visible(message)))


def literal(text: object) -> str:
    """A text escaped for rich, so that its markup is shown and has no effect."""
    return escape(visible(str(text)))


def json_text(facts: Any, indent: int | None = None) -> str:
    """Facts as JSON, with control characters escaped; NaN becomes null."""
    from mien.facts import plain  # needs numpy, which `mien --version` does not wait for

    return visible(json.dumps(plain(facts), indent=indent, ensure_ascii=False, allow_nan=False))


def print_json(facts: Any) -> None:
    """Print facts as indented JSON on stdout."""
    print(json_text(facts, indent=2))
