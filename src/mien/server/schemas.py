"""The schemas of requests and answers, for `/openapi.json` and for checking requests.

Answers are made by `mien.predict.record`; the classes here describe them, and a test compares both.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EXAMPLE", "Answer", "Asked", "AskedOfFace", "AskedOfFilm", "AskedOfFrames", "Problem"]

FACE: dict[str, Any] = {
    "label": "happiness",
    "confidence": 0.82,
    "probs": {"anger": 0.02, "happiness": 0.82, "neutral": 0.16},
    "box": [168.0, 65.0, 109.0, 109.0],
    "landmarks": [[203.0, 101.0], [246.0, 103.0], [224.0, 128.0], [206.0, 141.0], [243.0, 142.0]],
    "score": 0.93,
    "track": None,
}
EXAMPLE: dict[str, Any] = {
    "mien": "0.1.0",
    "model": {
        "file": "default.onnx",
        "run": "compact-m-0123456789",
        "sha256": "…",
        "labels": ["anger", "happiness", "neutral"],
        "licence": "…",
    },
    "detector": "yuface",
    "results": [{"source": "photo.jpg", "faces": [FACE]}],
    "failures": [{"source": "notes.txt", "error": "notes.txt: not a picture, expected PNG, JPEG, …"}],
}


class Asked(BaseModel):
    """Options of a request with pictures."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=200, description="A name of `GET /v1/models`; its first where empty.")] = ""
    faces: Annotated[
        str, Field(max_length=20, description="default, haar, yuface, or none: the picture is a face cut out.")
    ] = "default"
    top_k: Annotated[int | None, Field(ge=1, le=1000, description="Give only the likeliest expressions.")] = None
    min_confidence: Annotated[float, Field(ge=0, le=1, description='Below this the answer is "uncertain".')] = 0.0


class AskedOfFace(BaseModel):
    """Options of an explanation."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=200, description="A name of `GET /v1/models`; its first where empty.")] = ""
    faces: Annotated[str, Field(max_length=20, description="As for `/v1/predict`.")] = "default"
    face: Annotated[int, Field(ge=0, le=1000, description="Number of the face from the left, from 0.")] = 0
    label: Annotated[str, Field(max_length=200, description="The class to explain; the likeliest where empty.")] = ""


class AskedOfFrames(Asked):
    """Options of a camera."""

    smooth_s: Annotated[float, Field(ge=0, le=60, description="Seconds that an answer is averaged over.")] = 0.4


class AskedOfFilm(AskedOfFrames):
    """Options of a video."""

    fps: Annotated[float, Field(ge=0, le=1000, description="At most so many frames a second; 0 for all.")] = 0.0


class Face(BaseModel):
    """One face; docs/predict.md has the fields in words."""

    label: str
    confidence: float
    probs: dict[str, float]
    box: list[float]
    landmarks: list[list[float]] | None = None
    score: float
    track: int | None = None


class Result(BaseModel):
    """One picture."""

    source: str
    faces: list[Face]


class Failure(BaseModel):
    """A picture that could not be read."""

    source: str
    error: str


class Model(BaseModel):
    """The model that answered."""

    file: str
    run: str
    sha256: str
    labels: list[str]
    licence: str


class Answer(BaseModel):
    """The answer of `POST /v1/predict`."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    mien: str
    model: Model
    detector: str
    results: list[Result]
    failures: list[Failure]


class Problem(BaseModel):
    """The answer to a refused request."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "The queue is full. Try again in 1 s.", "id": "0123456789abcdef"}]}
    )

    error: str
    id: str
    failures: list[Failure] | None = None
