"""Information about the server: its models with their figures and limits, its health, its counters, and the page."""

import hashlib

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from ..version import __version__
from ..web import KINDS, page_files
from .pictures import PROBLEMS
from .state import State, as_json

__all__ = ["routes"]


def routes(state: State) -> APIRouter:
    """The routes that take no picture."""
    router = APIRouter()

    @router.get("/v1/models", summary="The models, with their figures and limits", responses=PROBLEMS)
    async def models() -> Response:
        """The card of each model; the first one answers unless another is asked for. Files without are `unusable`."""
        state.gate.check_open()
        limits = {"body_mb": state.limits.body_mb, "video_mb": state.limits.video_mb, "files": state.limits.files,
                  "megapixels": state.limits.megapixels, "frame_mb": state.limits.frame_mb}  # fmt: skip
        served = {"models": state.models.cards(), "unusable": state.models.unusable()}
        return as_json({"mien": __version__, **served, "limits": limits})

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> Response:
        """Always 200 while the process lives."""
        return as_json({"status": "alive"})

    @router.get("/readyz", summary="Whether requests are served", responses={503: PROBLEMS[503]})
    async def readyz() -> Response:
        """200 when the models are loaded, 503 before that and while the server stops."""
        return as_json({"status": state.gate.state}, 200 if state.gate.state == "ready" else 503)

    @router.get("/metrics", summary="Counters in Prometheus' text", responses={401: PROBLEMS[401]})
    async def metrics() -> Response:
        """Requests, latency, faces a batch, queue, drops."""
        return Response(state.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    for name, content in page_files("server").items():
        _page(router, name, content)
    return router


def _page(router: APIRouter, name: str, content: bytes) -> None:
    """One file of the page, kept in memory; a browser asks whether it changed, and gets it only then."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"Content-Type": KINDS[name.rpartition(".")[2]], "ETag": tag, "Cache-Control": "no-cache"}

    async def file(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
        return Response(content, headers=headers)

    for path in ("/", "/index.html") if name == "index.html" else (f"/{name}",):
        router.add_api_route(path, file, methods=["GET", "HEAD"], include_in_schema=False)
