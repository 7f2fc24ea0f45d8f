"""stdout and stderr of the command line, and the errors of a stream or a disk that takes nothing more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper

from mien.errors import DataError

__all__ = ["PIPE_CLOSED", "in_sentences", "open_streams"]

PIPE_CLOSED = 141
"""Exit code if the reader has closed the pipe of stdout: the code of a process that SIGPIPE ended."""


def open_streams() -> None:
    """Make stdout and stderr ready; raises `DataError` if stdout is closed.

    Bytes of file names that are not UTF-8 are escaped. On Windows, files and pipes get UTF-8 too, as everywhere else.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8", newline="")  # noqa: SIM115
    if sys.stdout is None:
        raise DataError("The standard output is closed. Send it to a file, or to the null device.")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
        if sys.platform == "win32" and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")


@contextmanager
def in_sentences() -> Iterator[None]:
    """Turn errors of the system into `DataError`. End the process quietly if nobody reads stdout any more.

    A full disk under stdout shows only when its last part is written, so that is done here too.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and not _stdout_is_lost():
            raise DataError(
                f"{os.fsdecode(error.filename)} cannot be read or written ({reason}). Make room or allow it, then run "
                "the same command again."
            ) from None
        _forget_stdout()
        if isinstance(error, BrokenPipeError):
            sys.exit(PIPE_CLOSED)
        raise DataError(f"The results cannot be written ({reason}).") from None


def _stdout_is_lost() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _forget_stdout() -> None:
    """Let Python end without another attempt to write the rest."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
