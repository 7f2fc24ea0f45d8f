"""Exchanges two names in one step, so that neither is missing at any moment.

Linux and macOS have different system calls for this, which Python does not offer. Windows and some disks cannot.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

__all__ = ["exchange"]

HERE = -100
"""`AT_FDCWD`: names are relative to the working folder."""
RENAME_EXCHANGE = 2
RENAME_SWAP = 2


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files or folders of one disk. Returns False, without any change, if that is impossible."""
    call = _call()
    return call is not None and call(os.fsencode(one), os.fsencode(other)) == 0


@cache
def _call() -> Callable[[bytes, bytes], int] | None:
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(None)
    if hasattr(library, "renameat2"):
        return lambda one, other: int(library.renameat2(HERE, one, HERE, other, RENAME_EXCHANGE))
    if hasattr(library, "renamex_np"):
        return lambda one, other: int(library.renamex_np(one, other, RENAME_SWAP))
    return None
