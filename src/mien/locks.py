"""Locks: a lock file for one process at a time, which the system frees when its holder dies in any way.

It works on Linux, macOS and Windows. The lock file is empty and stays where it is: a file or a link in its place is
neither followed nor changed.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["NO_LOCKS", "hold", "is_held_here"]

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""Numbers of the `OSError` from a disk without locks."""


@contextmanager
def hold(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` for this process. A process that holds it already may hold it again.

    Raises `TimeoutError` where another process still holds it after `wait` seconds, and `OSError` where the file cannot
    be opened or locked; its `errno` is one of `NO_LOCKS` where the disk has no locks.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "the lock file is a link; remove it", str(path))
    lock = _lock(path)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock", str(path)) from None
    try:
        yield
    finally:
        lock.release()


def is_held_here(path: Path) -> bool:
    """Whether this process holds the lock file `path` now."""
    return _lock(path).is_locked


def _lock(path: Path) -> FileLock:
    """The lock of this process on that file, with a counter, so that its holder can take it again."""
    return FileLock(path, is_singleton=True, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
