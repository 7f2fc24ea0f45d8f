"""Keys that clients must give, where the server is started with `--keys FILE`.

The file has one line for each key: the SHA-256 of the key, a blank, and a name. Keys are made by `mien serve
--new-key`, with 32 random bytes, so a plain hash is as good as a slow one. They are compared in constant time, and
never taken from an address, which logs and histories keep.
"""

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from ..errors import ConfigError
from ..reading import read_text, reading

__all__ = ["new_key", "read_keys", "right"]

LINE = re.compile(r"([0-9a-f]{64})(?:\s+\S.*)?")


def new_key() -> tuple[str, str]:
    """A new key, and its line for the file without a name."""
    key = f"mien_{secrets.token_urlsafe(32)}"
    return key, hashed(key)


def hashed(key: str) -> str:
    """The SHA-256 of a key as hex digits."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def read_keys(path: Path | None) -> tuple[str, ...]:
    """The hashes in a file; none where there is no file to read.

    Raises `ConfigError` if the file cannot be read, has no key, or has a line that is not one.
    """
    if path is None:
        return ()
    with reading(path, ConfigError, "`mien serve --new-key` makes a key and its line."):
        lines = read_text(path).splitlines()
    hashes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not (seen := LINE.fullmatch(line.strip())):
            raise ConfigError(
                f"{path}, line {number}: expected 64 hex digits and a name, as `mien serve --new-key` writes."
            )
        hashes.append(seen[1])
    if not hashes:
        raise ConfigError(f"{path} has no key in it; `mien serve --new-key` makes one.")
    return tuple(hashes)


def right(key: str, hashes: tuple[str, ...]) -> bool:
    """Whether the key is one of those; takes as long for every wrong one."""
    given = hashed(key)
    return any([hmac.compare_digest(given, each) for each in hashes])  # noqa: C419, all are compared
