"""The app: routes behind the guard, errors as sentences, and no telemetry.

FastAPI brings OpenTelemetry's interfaces and would send traces where an environment variable asks for it; here that is
switched off, whatever the environment says. Its pages of documentation load scripts from elsewhere, and are left out:
`/openapi.json` is the same, for tools.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from ..errors import DataError, MienError
from ..shown import brief
from ..version import __version__
from . import about, films, frames, pictures
from .guard import Guard, problem
from .keys import read_keys
from .refusal import Refused
from .settings import Settings
from .state import State

__all__ = ["create_app"]

ABOUT = """What a face shows, over HTTP. It names expressions, not feelings: see the limits in `GET /v1/models`."""
SILENT: dict[str, Any] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
SAYS = {404: "There is nothing at this address.", 405: "This address takes another method."}


def create_app(settings: Settings, state: State | None = None) -> ASGIApp:
    """The server as an ASGI app, for uvicorn or for tests; it loads its models when it is started.

    Raises `ConfigError` where the file of keys cannot be used.
    """
    hashes = read_keys(settings.keys)
    state = state or State(settings)
    app = FastAPI(
        title="mien",
        version=__version__,
        description=ABOUT,
        lifespan=state.running,
        docs_url=None,
        redoc_url=None,
        telemetry=SILENT,  # type: ignore[arg-type, unused-ignore]
    )
    for part in (pictures, films, frames, about):
        app.include_router(part.routes(state))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _out_of_range)
    app.add_exception_handler(HTTPException, _elsewhere)
    app.add_exception_handler(DataError, _unusable)
    app.add_exception_handler(Exception, _fault)
    return Guard(app, settings, hashes, state.metrics)


def _number(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error, _number(request))


async def _out_of_range(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: Sequence[Any] = error.errors()
    sentence = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}, got {brief(fault.get('input'))}" for fault in faults[:3])
    return problem(Refused(422, f"{sentence}."), _number(request))


async def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = SAYS.get(error.status_code, str(error.detail))
    return problem(Refused(error.status_code, sentence, headers=error.headers), _number(request))


async def _unusable(request: Request, error: Exception) -> Response:
    assert isinstance(error, MienError)
    return problem(Refused(422, str(error)), _number(request))


async def _fault(request: Request, error: Exception) -> Response:
    """An unexpected error; the guard logs its origin."""
    return problem(Refused(500, "Something went wrong inside the server; its log has more."), _number(request))
