"""The page, for the server and for a folder that needs no server."""

from .files import KINDS, page_files

__all__ = ["KINDS", "page_files"]
