"""Temporary folders whose name identifies their owner, and the removal of those whose owner is dead.

Everything that mien writes is first written in such a folder, beside its target. The name has the target, a word for
this system, the number of the process and sixteen random digits. So two writers of one target never share a folder, not
even two containers on one disk whose processes have equal numbers. The folder is always a new one: an existing file or
link is neither followed nor overwritten.
"""

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

__all__ = ["OLD", "folder_beside", "sweep"]

OLD = "old"
"""Subfolder of a temporary folder: its content was moved away from beside the folder, and is moved back unless it
was replaced.
"""
NAME = re.compile(r"\..*\.partial-(?P<system>[0-9a-f]{10})-(?P<process>[0-9]+)-[0-9a-f]{16}", re.DOTALL)
LONGEST_NAME = 150
"""Bytes of a target's name that fit before the rest; file systems allow 255 in all."""
ABANDONED_SECONDS = 86_400.0
"""After this time without a change, a folder from another system counts as abandoned, because its process cannot be
checked.
"""

_ours: set[str] = set()
_swept: set[str] = set()


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`, and remove it at the end.

    The first one in each folder also sweeps that folder. Raises `OSError` for a `path` that nothing may take the place
    of: one without a name, such as `.`, and a device, a pipe or a socket, such as `/dev/null`, or a link to one, such
    as `/dev/stdout`.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if _is_special(path):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and no file", str(path))
    parent = os.path.abspath(path.parent)
    if parent not in _swept:
        _swept.add(parent)
        sweep(path.parent)
    target = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else "long"
    room = path.with_name(f".{target}.partial-{_system()}-{os.getpid()}-{secrets.token_hex(8)}")
    _ours.add(room.name)
    try:
        room.mkdir()
        yield room
    except OSError as error:
        if error.filename is None or room.name in str(error.filename):
            error.filename, error.filename2 = str(path), None  # users do not know the temporary folder
        raise
    finally:
        _discard(room)
        _ours.discard(room.name)


def sweep(folder: Path) -> None:
    """Remove the temporary folders in `folder` whose owners are dead, and move back what they had moved away.

    Those of living owners stay, and so does everything that mien did not name.
    """
    with suppress(OSError):
        for room in list(folder.iterdir()):
            found = NAME.fullmatch(room.name)
            if found and not room.is_symlink() and room.is_dir() and _is_left(room, found["system"], found["process"]):
                with suppress(OSError):
                    _discard(room)


def _is_special(path: Path) -> bool:
    try:
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            return os.readlink(path).startswith("/proc/") or _is_special(path.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def _discard(room: Path) -> None:
    for old in (room / OLD).glob("*"):
        place = room.with_name(old.name)
        if not os.path.lexists(place):
            os.rename(old, place)
    shutil.rmtree(room, ignore_errors=True)


def _is_left(room: Path, system: str, process: str) -> bool:
    if system != _system():
        return time.time() - _last_change(room) > ABANDONED_SECONDS
    if int(process) == os.getpid():
        return room.name not in _ours
    return not _is_alive(int(process))


def _is_alive(process: int) -> bool:
    import psutil  # not at the top, because prediction would wait for it

    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _last_change(room: Path) -> float:
    return max(path.lstat().st_mtime for path in (room, *room.rglob("*")))


@cache
def _system() -> str:
    """A word for the system in which process numbers are unique: host, start and, on Linux, container."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        facts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:10]
