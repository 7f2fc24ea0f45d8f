"""The command line: each verb parses, calls one function, prints what it returns.

Exit codes: 0 done, 1 done but for the listed failures, 2 an input or setting that cannot be used,
130 interrupted (what was finished is kept, and the same command goes on from there).
"""

import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from mien.cli.screen import say
from mien.cli.streams import in_sentences, open_streams
from mien.errors import MienError
from mien.shown import sentence
from mien.version import __version__

__all__ = ["app", "main"]

VERBS = {
    "predict": "predict:predict",
    "evaluate": "evaluate:evaluate",
    "spot": "spot:spot_videos",
    "serve": "serve:serve",
    "info": "export:info",
    "export": "export:export",
    "data": "data:app",
    "compare": "compare:compare",
    "ensemble": "ensemble:ensemble",
    "tune": "tune:tune",
    "report": "compare:report",
    "runs": "runs:runs",
    "robustness": "examine:robustness",
    "across": "examine:across",
    "noise": "examine:noise",
    "explain": "explain:explain",
}
"""The verbs: module under `mien.cli`, and the function or Typer app in it."""
INTERRUPTED = 130
NUMBERS = {"integer": "a whole number", "number": "a number", "float": "a number"}
"""Names of number types in Typer's parsers, which depend on its version, and mien's names."""

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer's own class; its module depends on the version of Typer."""


class Verbs(TyperGroup):
    """Imports the module of a verb when the verb is used, so that `mien predict` does not wait for `mien compare`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {**dict.fromkeys(VERBS), **self.commands}  # type: ignore[dict-item]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb; None if there is no such verb."""
        if cmd_name in VERBS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _command(cmd_name)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb. Errors of the system are reported here, because Typer has its own way with a closed pipe."""
        with in_sentences():
            return super().invoke(ctx)


def _command(verb: str) -> Any:
    module, _, name = VERBS[verb].partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), name)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(verb)(found)
    return typer.main.get_command(single)


def _plain(error: Exception, message: str) -> str:
    """The message; mien's own words replace the parser's where it only says that a text is not a number."""
    for kind, words in NUMBERS.items():
        if f"valid {kind}" in message and (option := getattr(error, "param", None)):
            return f"{option.opts[0]} is {words}"
    return message


app = typer.Typer(
    cls=Verbs,
    name="mien",
    help="Train, compare, explain and run classifiers of facial expressions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """mien labels what a face shows, not what a person feels."""
    if show:
        print(f"mien {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of mien's own are one sentence on stderr and exit code 2.

    SIGTERM counts as Ctrl-C, so that whatever is under way can clean up.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # mien reports damaged pictures itself
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        open_streams()
        with in_sentences():
            code = app(args=arguments, standalone_mode=False)
    except MienError as error:
        say(str(error))
        sys.exit(2)
    except UsageError as error:
        if message := error.format_message():  # type: ignore[attr-defined]
            say(f"{sentence(_plain(error, message)).rstrip('.')}. Try --help.")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        say("Interrupted. What was finished is kept; the same command goes on from there.")
    sys.exit(code if isinstance(code, int) else 0)
