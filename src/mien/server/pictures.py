"""`POST /v1/predict`: pictures to expressions. `POST /v1/explain`: where in a face the model found them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ..predict import heading
from .bodies import one_picture, pictures_of, size_of
from .refusal import Refused
from .schemas import Answer, Asked, AskedOfFace, Problem
from .state import State, as_json
from .work import Explanation, Pictures

__all__ = ["BODY", "PROBLEMS", "routes"]

PICTURE = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        "required": ["files"],
    }
}
BODY: dict[str, Any] = {"required": True, "content": {"image/*": PICTURE, "multipart/form-data": FORM}}
SAYS = {
    400: "The request cannot be read.",
    401: "A key is asked for, and this is none.",
    403: "Another site's page sent it.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    421: "The server is not called by that name.",
    422: "No picture could be read, or an option is out of its range.",
    429: "The queue is full; Retry-After says when to try again.",
    500: "A fault of the server; its log knows the request by the id.",
    503: "The server loads its models or is stopping.",
    504: "The request waited too long and was not looked at.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words} for status, words in SAYS.items()
}


def routes(state: State) -> APIRouter:
    """The routes of pictures."""
    router, limits = APIRouter(), state.limits

    @router.post(
        "/v1/predict",
        summary="Name the expressions in pictures",
        responses={200: {"model": Answer, "description": "What was seen, picture by picture."}, **PROBLEMS},
        openapi_extra={"requestBody": BODY},
    )
    async def predict(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """A picture as the body (`image/*`), or several as files of a form; the JSON is that of `mien predict`."""
        with state.gate.request(size_of(request, limits.body_mb << 20)):
            predictor = state.models.predictor(asked.model, asked.faces, asked.min_confidence)
            given = await pictures_of(request, limits)
            work = Pictures(
                predictor=predictor,
                contents=[content for _, content in given],
                names=[name for name, _ in given],
                most_pixels=limits.pixels,
                most_faces=limits.faces,
                top_k=asked.top_k,
            )
            answers = await state.done(work, limits.wait_s, request)
        failures = [each for each in answers if "error" in each]
        if len(failures) == len(answers):
            raise Refused(422, failures[0]["error"], failures=failures)
        results = [each for each in answers if "error" not in each]
        return as_json(heading(predictor.bundle, predictor.detector.name) | {"results": results, "failures": failures})

    @router.post(
        "/v1/explain",
        summary="Where in a face the model found its evidence",
        responses=PROBLEMS,
        openapi_extra={"requestBody": {"required": True, "content": {"image/*": PICTURE}}},
    )
    async def explain(request: Request, asked: Annotated[AskedOfFace, Query()]) -> Response:
        """Occlusion: how much of the class's logit each part of the face carries, as rows of numbers."""
        with state.gate.request(size_of(request, limits.body_mb << 20)):
            predictor = state.models.predictor(asked.model, asked.faces)
            if asked.label and asked.label not in predictor.bundle.labels:
                raise Refused(422, f"The model has the labels {', '.join(predictor.bundle.labels)}.")
            content = await one_picture(request, limits, limits.body_mb << 20)
            work = Explanation(
                predictor=predictor,
                content=content,
                most_pixels=limits.pixels,
                most_faces=limits.faces,
                face=asked.face,
                label=asked.label,
            )
            answers = await state.done(work, limits.wait_s, request)
        return as_json(heading(predictor.bundle, predictor.detector.name) | answers)

    return router
