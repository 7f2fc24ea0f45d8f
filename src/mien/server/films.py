"""`POST /v1/video`: a video in, a line of JSON a frame out, as soon as the frame was seen.

The video lies in a file without a name, in memory (`bodies.film_file`). Its frames go through the same workers as
everybody's pictures, some at a time, and the next ones are decoded when the client has taken the lines before.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..errors import DataError
from ..predict import Seen
from ..session import Session
from ..video import Frame, Video, open_video
from .bodies import film_file, receive_film, size_of
from .pictures import PROBLEMS
from .refusal import Refused
from .schemas import AskedOfFilm
from .state import State, json_line
from .work import Film

__all__ = ["routes"]

TOGETHER, TOGETHER_PIXELS = 8, 2_000_000
"""Frames that are handed to the workers at a time: so many, or of so many pixels."""
NAME = "video"
VIDEO = {"required": True, "content": {"video/*": {"schema": {"type": "string", "format": "binary"}}}}
LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line a frame; the last one says how many there were, or why it ends early.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


def routes(state: State) -> APIRouter:
    """The route of videos."""
    router = APIRouter()

    @router.post(
        "/v1/video",
        summary="Follow the faces of a video",
        responses={**PROBLEMS, **LINES},
        openapi_extra={"requestBody": VIDEO},
    )
    async def video(request: Request, asked: Annotated[AskedOfFilm, Query()]) -> Response:
        """The body is the video. Each line of the answer is a frame, as `mien predict --jsonl` prints it."""
        size_of(request, state.limits.video_mb << 20)
        source, limits = _Source(), state.limits
        try:
            source.place.enter_context(state.gate.video())
            predictor = state.models.predictor(asked.model, asked.faces, asked.min_confidence)
            path, descriptor = source.held.enter_context(film_file())
            await receive_film(request, limits, descriptor)
            frames = partial(_frames, fps=asked.fps, most_s=limits.video_s, most_pixels=limits.pixels)
            await asyncio.to_thread(source.open, path, frames)
        except BaseException:
            await source.close()
            raise
        session = Session(smoothing_s=asked.smooth_s)
        film = Film(predictor=predictor, frames=(), session=session, most_faces=limits.faces, top_k=asked.top_k)
        return _Answer(_Lines(state, source, film))

    return router


class _Source:
    """A film and what is held for it.

    It is decoded in a thread, which goes on where its client leaves and the server no longer waits for it. So nothing
    is closed while a frame is decoded, and nothing is decoded once it is closed.
    """

    def __init__(self) -> None:
        self.place, self.held = ExitStack(), ExitStack()
        """The place among the videos, which is the event loop's to give back, and what a thread opens and closes."""
        self._lock, self._closed = threading.Lock(), False
        self._frames: Iterator[list[Seen]] = iter(())

    def open(self, path: Path, frames: Callable[[Video], Iterator[list[Seen]]]) -> None:
        """Open the film; raises `Refused` where it is none."""
        with self._lock:
            if self._closed:
                return
            try:
                self._frames = frames(self.held.enter_context(open_video(path, name=NAME)))
            except DataError as error:
                raise Refused(422, str(error)) from None

    def next(self) -> list[Seen] | None:
        """The next frames; None where there are none, or the film is closed."""
        with self._lock:
            return None if self._closed else next(self._frames, None)

    async def close(self) -> None:
        """Close the film when its thread is done with it, then give its place back; both, whoever is cancelled."""
        await asyncio.shield(self._end())

    async def _end(self) -> None:
        await asyncio.to_thread(self._close)
        self.place.close()

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            self.held.close()


class _Answer(StreamingResponse):
    """The lines of a film, which is closed however that ends: sent, left, or never begun."""

    def __init__(self, lines: "_Lines") -> None:
        super().__init__(lines.lines(), media_type="application/x-ndjson")
        self._source = lines.source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._source.close()


class _Lines:
    """The lines of one film."""

    def __init__(self, state: State, source: _Source, film: Film) -> None:
        self._state, self.source, self._film = state, source, film
        self._count, self._last_s = 0, 0.0

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines of JSON."""
        try:
            while chunk := await asyncio.to_thread(self.source.next):
                yield b"".join(map(json_line, await self._answers(chunk)))
            yield json_line({"end": {"frames": self._count, "time_s": round(self._last_s, 3)}})
        except DataError as error:
            yield json_line({"source": NAME, "error": str(error)})
        except Refused as refused:
            yield json_line({"source": NAME, "error": refused.sentence})
        finally:  # before the client sees the end: it may send its next film at once
            await self.source.close()

    async def _answers(self, chunk: list[Seen]) -> list[dict[str, Any]]:
        film = Film(
            predictor=self._film.predictor,
            frames=chunk,
            session=self._film.session,
            most_faces=self._film.most_faces,
            top_k=self._film.top_k,
        )
        answers: list[dict[str, Any]] = await self._state.done(film, self._state.limits.answer_s)
        self._count, self._last_s = self._count + len(chunk), chunk[-1].time_s or 0.0
        return answers


def _frames(video: Video, fps: float, most_s: float, most_pixels: int) -> Iterator[list[Seen]]:
    """Frames in small groups, at most `fps` a second, up to `most_s`; what a cut-off video has comes first."""
    group: list[Seen] = []
    failure: DataError | None = None
    try:
        for frame in _thinned(video.frames(), fps):
            if frame.time_s > most_s:
                failure = DataError(f"{NAME}: only its first {most_s:g} s are looked at.")
                break
            pixels = frame.picture.shape[0] * frame.picture.shape[1]
            if pixels > most_pixels:
                raise DataError(
                    f"{NAME} has frames of {pixels / 1e6:.0f} megapixels, expected at most {most_pixels / 1e6:.0f}."
                )
            group.append(Seen(source=NAME, frame=frame.index, time_s=frame.time_s, picture=frame.picture))
            if len(group) >= TOGETHER or pixels * len(group) >= TOGETHER_PIXELS:
                yield group
                group = []
    except DataError as error:
        failure = error
    if group:
        yield group
    if failure:
        raise failure


def _thinned(frames: Iterator[Frame], fps: float) -> Iterator[Frame]:
    """Of frames that come faster than `fps` some are left out; 0 leaves all."""
    due_s = 0.0
    for frame in frames:
        if not fps:
            yield frame
        elif frame.time_s >= due_s - 1e-6:
            yield frame
            due_s = max(due_s + 1 / fps, frame.time_s)
