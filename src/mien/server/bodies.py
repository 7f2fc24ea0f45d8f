"""Reads the body of a request within limits of bytes and of time, into memory only.

Starlette puts the parts of a form that are larger than a megabyte on disk; here the limit is that of the whole body, so
no part ever is. No path and no address is taken from a client: a picture is its bytes.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from ..shown import brief, visible
from .refusal import Refused
from .settings import Limits

__all__ = ["film_file", "one_picture", "pictures_of", "receive_film", "size_of"]

NAME = 100
"""Most characters of a file's name that an answer repeats."""
PLAIN = ("", "application/octet-stream", "binary/octet-stream")
CLOSE = {"Connection": "close"}


def size_of(request: Request, most: int) -> int:
    """Declared size of a body in bytes; if there is none, the largest allowed size. Raises `Refused`."""
    announced = request.headers.get("content-length")
    if announced is None:
        return most
    if not (announced.isascii() and announced.isdigit()):
        raise Refused(400, "Content-Length is no number.", headers=CLOSE)
    if int(announced) > most:
        raise _too_large(most)
    return int(announced)


async def pictures_of(request: Request, limits: Limits) -> list[tuple[str, bytes]]:
    """The pictures of a request, names and bytes: the body itself, or the files of a form."""
    most = limits.body_mb << 20
    if _kind(request) == "multipart/form-data":
        return await _form(request, limits)
    return [("", await one_picture(request, limits, most))]


async def one_picture(request: Request, limits: Limits, most: int) -> bytes:
    """The body as one picture."""
    kind = _kind(request)
    if not (kind.startswith("image/") or kind in PLAIN):
        raise Refused(415, f"Send a picture as image/…, or files as multipart/form-data; got {brief(kind)}.")
    content = bytearray()
    async for part in _parts(request, most, limits.body_s):
        content += part
    if not content:
        raise Refused(422, "The body is empty; expected a picture.")
    return bytes(content)


async def _form(request: Request, limits: Limits) -> list[tuple[str, bytes]]:
    most = limits.body_mb << 20
    parser = MultiPartParser(
        request.headers, _parts(request, most, limits.body_s), max_files=limits.files, max_fields=limits.files
    )
    parser.spool_max_size = most
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        raise Refused(400, f"The form cannot be read ({brief(str(error))}).", headers=CLOSE) from None
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise Refused(422, "The form has no files; expected one or more pictures.")
        return [(_name(file.filename or ""), file.file.read()) for file in files]
    finally:
        await form.close()


async def _parts(request: Request, most: int, seconds: float) -> AsyncGenerator[bytes, None]:
    """The body in parts, as it arrives; raises `Refused` if it is too large or too late."""
    received = 0
    parts = request.stream()
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                part = await anext(parts, None)
        except TimeoutError:
            raise Refused(408, f"The body did not come within {seconds:g} s.", headers=CLOSE) from None
        except ClientDisconnect:
            raise Refused(499, "The client is gone.") from None
        if part is None:
            return
        received += len(part)
        if received > most:
            raise _too_large(most)
        yield part


def _too_large(most: int) -> Refused:
    return Refused(413, f"The body has more than {most >> 20} MB, which is the most.", headers=CLOSE)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _name(name: str) -> str:
    """The last part of a file's name, at a length that can be read; it is repeated and never opened."""
    return visible(PurePosixPath(name.replace("\\", "/")).name)[:NAME]


@contextmanager
def film_file() -> Iterator[tuple[Path, int]]:
    """A file for one video, its path and its descriptor: OpenCV reads videos from files alone.

    On Linux it lies in memory and has no name, so that nothing is left of it whatever happens. Elsewhere it is a
    temporary file, which only this user can read, and which is removed at the end.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mien")
        try:
            yield Path(f"/proc/self/fd/{descriptor}"), descriptor
        finally:
            os.close(descriptor)
        return
    descriptor, name = tempfile.mkstemp(prefix="mien-")
    try:
        yield Path(name), descriptor
    finally:
        os.close(descriptor)
        os.unlink(name)


async def receive_film(request: Request, limits: Limits, descriptor: int) -> int:
    """Write the body into the file; returns its bytes. Raises `Refused`."""
    kind = _kind(request)
    if not (kind.startswith("video/") or kind in PLAIN):
        raise Refused(415, f"Send a video as video/…, the body itself; got {brief(kind)}.")
    written = 0
    async for part in _parts(request, limits.video_mb << 20, 10 * limits.body_s):
        written += len(part)
        view = memoryview(part)
        while view:
            view = view[os.write(descriptor, view) :]
    if not written:
        raise Refused(422, "The body is empty; expected a video.")
    return written
