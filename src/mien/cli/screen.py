"""What the command line prints: sentences on stderr, JSON on stdout, and texts in which nothing is obeyed.

Every verb prints names and cards through these, so that none of them moves the cursor, turns the direction of
reading, or is taken for markup.
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
    """A sentence on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with suppress(OSError):  # where stderr is full, the exit code says it still
        console.print(Text.assemble(("mien: ", "bold red"), visible(message)))


def literal(text: object) -> str:
    """A text escaped for rich, so that its markup is shown and not obeyed."""
    return escape(visible(str(text)))


def json_text(facts: Any, indent: int | None = None) -> str:
    """Facts as JSON in which nothing is hidden; NaN is null."""
    from mien.facts import plain  # needs numpy, which `mien --version` does not wait for

    return visible(json.dumps(plain(facts), indent=indent, ensure_ascii=False, allow_nan=False))


def print_json(facts: Any) -> None:
    """Facts as indented JSON on stdout, and nothing else."""
    print(json_text(facts, indent=2))
