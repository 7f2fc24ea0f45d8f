"""The files of the page. One of them differs: `backend.js`, which asks a server or answers in the browser itself."""

from importlib import resources
from typing import Literal

__all__ = ["KINDS", "page_files"]

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
"""Content types by suffix."""
BACKENDS = {"server": "backend-server.js", "browser": "backend-browser.js"}
ONLY_IN_BROWSER = ("crop.js", "blazeface.js", "reel.js")


def page_files(backend: Literal["server", "browser"]) -> dict[str, bytes]:
    """All files by name; `backend.js` is the one asked for."""
    folder = resources.files("mien.web") / "page"
    found = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in KINDS}
    chosen = found[BACKENDS[backend]]
    left_out = {*BACKENDS.values(), *(ONLY_IN_BROWSER if backend == "server" else ())}
    return {name: content for name, content in sorted(found.items()) if name not in left_out} | {"backend.js": chosen}
