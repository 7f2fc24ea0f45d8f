"""`WS /v1/stream`: a camera's frames in, predictions out.

A camera gives more frames than can be looked at. Only the newest is kept: while one is in work, each that comes takes
the place of the one before, and the answer says how many were dropped. So an answer is never older than one frame's
work, and a socket takes the memory of two frames.
"""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..session import Session
from ..shown import brief
from .guard import SUBPROTOCOL, problem
from .refusal import Refused
from .schemas import AskedOfFrames
from .state import State, json_line, now_s
from .work import Frame

__all__ = ["routes"]

WRONG_KIND, TOO_IDLE, TRY_LATER = 1003, 1001, 1013


def routes(state: State) -> APIRouter:
    """The route of cameras."""
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        try:
            asked = _asked(socket)
            with state.gate.socket():
                predictor = state.models.predictor(asked.model, asked.faces, asked.min_confidence)
                offered = socket.scope.get("subprotocols", ())
                await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
                await _Camera(state, socket, predictor, asked).serve()
        except Refused as refused:
            number = socket.scope["state"]["request_id"]
            await socket.send_denial_response(problem(refused, number))

    return router


def _asked(socket: WebSocket) -> AskedOfFrames:
    try:
        return AskedOfFrames.model_validate(dict(socket.query_params))
    except ValidationError as error:
        first = error.errors()[0]
        raise Refused(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


class _Camera:
    """One socket."""

    def __init__(self, state: State, socket: WebSocket, predictor: Any, asked: AskedOfFrames) -> None:
        self._state, self._socket, self._predictor, self._asked = state, socket, predictor, asked
        self._session = Session(smoothing_s=asked.smooth_s)
        self._newest: tuple[int, float, bytes] | None = None
        self._came = asyncio.Event()
        self._count = self._dropped = 0
        self._started_s = now_s()

    async def serve(self) -> None:
        """Receive and answer until one side hangs up, or does not take its answers."""
        both = [asyncio.create_task(each) for each in (self._answer(), self._receive())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            for task in both:
                with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _receive(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._state.limits.idle_s):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._hang_up(TOO_IDLE, "No frame came for a while.")
                return
            if message["type"] == "websocket.disconnect":
                return
            content = message.get("bytes")
            if not content:
                sentence = f"A frame is a picture, sent as bytes; got {brief(message.get('text'))}."
                await self._hang_up(WRONG_KIND, sentence)
                return
            self._put(content)

    def _put(self, content: bytes) -> None:
        self._dropped += self._newest is not None
        self._newest = (self._count, now_s() - self._started_s, content)
        self._count += 1
        self._came.set()

    async def _answer(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            if self._newest is None:
                continue
            (number, time_s, content), self._newest = self._newest, None
            await self._socket.send_text(json_line(await self._answered(number, time_s, content)).decode())

    async def _answered(self, number: int, time_s: float, content: bytes) -> dict[str, Any]:
        limits = self._state.limits
        frame = Frame(
            predictor=self._predictor,
            content=content,
            session=self._session,
            number=number,
            time_s=time_s,
            most_pixels=limits.pixels,
            most_faces=limits.faces,
            top_k=self._asked.top_k,
        )
        try:
            answer: dict[str, Any] = await self._state.done(frame, limits.wait_s)
        except Refused as refused:
            answer = {"source": "", "error": refused.sentence}
        return {**answer, "frame": number, "dropped": self._dropped}

    async def _hang_up(self, code: int, sentence: str) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.close(code, sentence[:120])
