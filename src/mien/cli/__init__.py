"""The command line: each verb parses, calls one function, prints what it returns.

Exit codes: 0 done, 1 done but for the listed failures, 2 an input or setting that cannot be used,
130 interrupted (what was finished is kept, and the same command goes on from there).
"""

import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.text import Text

from mien import __version__
from mien.cli import compare, data, examine
from mien.errors import MienError

__all__ = ["app", "main"]

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer's own, wherever this version of it keeps its parser."""

app = typer.Typer(
    name="mien",
    help="Train, compare, explain and serve classifiers of facial expressions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
app.command()(compare.compare)
app.command()(compare.report)
app.command()(examine.robustness)
app.command()(examine.across)
app.command()(examine.noise)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """mien labels what a face shows, not what a person feels."""
    if show:
        print(f"mien {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of mien's own are one sentence on stderr and exit code 2."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except MienError as error:
        _say(str(error))
        sys.exit(2)
    except UsageError as error:
        _say(f"{error.format_message()} Try --help.")  # type: ignore[attr-defined]
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        _say("Interrupted. What was finished is kept; the same command goes on from there.")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(("mien: ", "bold red"), message))
