"""One request's work in three steps: find (decode, look for faces), classify (shared with others), answer.

The batcher calls `find` of each piece of work, classifies what all of them found in one pass, and calls `answer`.
Nothing here knows of HTTP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.corpora.pictures import decode
from ..errors import BadSample
from ..explain.occlusion import occlusion
from ..faces import Face
from ..planes import FACE
from ..predict import Found, Predictor, Seen, record
from ..session import Session
from .refusal import Refused

__all__ = ["Explanation", "Film", "Frame", "Logits", "Pictures", "Work"]

Logits = NDArray[np.float32]
Gone = Callable[[], bool]
"""Whether nobody waits for the answer any more."""


class Work(Protocol):
    """The interface that the batcher uses."""

    predictor: Predictor
    slow: ClassVar[bool]
    """Whether `answer` takes long, so that no other answer may wait for it."""

    def find(self, gone: Gone) -> list[Found]:
        """The faces of each picture; stops early if the client is gone."""
        ...

    def answer(self, logits: Sequence[Logits]) -> Any:
        """The answer to the client, from the logits of the faces."""
        ...

    @property
    def pixels(self) -> int:
        """Number of pixels decoded so far."""
        ...


@dataclass(kw_only=True)
class Pictures:
    """The pictures of one request."""

    slow: ClassVar[bool] = False
    predictor: Predictor
    contents: list[bytes]
    names: Sequence[str]
    most_pixels: int
    most_faces: int
    top_k: int | None = None
    pixels: int = 0

    def find(self, gone: Gone) -> list[Found]:
        """See `Work`; each picture is let go once its faces are cut out."""
        self._seen: list[Seen] = []
        self._found: list[Found] = []
        for place, name in enumerate(self.names):
            if gone():
                break
            picture, failure = _decoded(self.contents[place], name or f"Picture {place}", self.most_pixels)
            self.contents[place] = b""
            self._seen.append(Seen(source=name, frame=place, failure=failure))
            self._found.append(_found(self.predictor, picture, self.most_faces))
            self.pixels += 0 if picture is None else picture.shape[0] * picture.shape[1]
        return self._found

    def answer(self, logits: Sequence[Logits]) -> list[dict[str, Any]]:
        """A record for each picture."""
        answers = zip(self._seen, self._found, logits, strict=True)
        return [record(self.predictor.answer(seen, found.faces, each), self.top_k) for seen, found, each in answers]


@dataclass(kw_only=True)
class Frame:
    """One frame of a camera."""

    slow: ClassVar[bool] = False
    predictor: Predictor
    content: bytes
    session: Session
    number: int
    time_s: float
    most_pixels: int
    most_faces: int
    top_k: int | None = None
    pixels: int = 0

    def find(self, gone: Gone) -> list[Found]:
        """See `Work`."""
        picture, self._failure = _decoded(self.content, f"Frame {self.number}", self.most_pixels)
        self.pixels = 0 if picture is None else picture.shape[0] * picture.shape[1]
        self._found = _found(self.predictor, picture, self.most_faces)
        return [self._found]

    def answer(self, logits: Sequence[Logits]) -> dict[str, Any]:
        """The record of the frame."""
        seen = Seen(source="", frame=self.number, time_s=self.time_s, failure=self._failure)
        if self._failure:
            return record(seen)
        return record(self.predictor.follow(seen, self._found.faces, logits[0], self.session), self.top_k)


@dataclass(kw_only=True)
class Film:
    """Some frames of a video, which follow each other."""

    slow: ClassVar[bool] = False
    predictor: Predictor
    frames: Sequence[Seen]
    session: Session
    most_faces: int
    top_k: int | None = None
    pixels: int = 0

    def find(self, gone: Gone) -> list[Found]:
        """See `Work`."""
        self._found = []
        for seen in self.frames:
            if gone():
                break
            self._found.append(_found(self.predictor, seen.picture, self.most_faces))
        self.pixels = sum(0 if seen.picture is None else seen.picture.size // 3 for seen in self.frames)
        return self._found

    def answer(self, logits: Sequence[Logits]) -> list[dict[str, Any]]:
        """A record for each frame."""
        answers = zip(self.frames, self._found, logits, strict=True)
        return [
            record(self.predictor.follow(seen, found.faces, each, self.session), self.top_k)
            for seen, found, each in answers
        ]


@dataclass(kw_only=True)
class Explanation:
    """The evidence of the model in one face of a picture, by occlusion."""

    slow: ClassVar[bool] = True
    predictor: Predictor
    content: bytes
    most_pixels: int
    most_faces: int
    face: int = 0
    label: str = ""
    """The class that is explained; the likeliest if empty."""
    pixels: int = 0

    def find(self, gone: Gone) -> list[Found]:
        """See `Work`; the one face that is asked for."""
        picture, failure = _decoded(self.content, "The picture", self.most_pixels)
        if failure:
            raise Refused(422, failure)
        found = _found(self.predictor, picture, self.most_faces)
        if self.face >= len(found.faces):
            raise Refused(422, f"Face {self.face} is asked for; {len(found.faces)} were found, counted from 0.")
        self._face, crop = found.faces[self.face], found.crops[self.face : self.face + 1]
        self._crop = crop
        return [Found(faces=[self._face], crops=crop)]

    def answer(self, logits: Sequence[Logits]) -> dict[str, Any]:
        """The class and its map `(S, S)`, which lies over the square of the face's box with the crop's margin."""
        labels = self.predictor.bundle.labels
        place = labels.index(self.label) if self.label else int(logits[0][0].argmax())
        answers = self.predictor.bundle.logits
        values = occlusion(lambda batch: answers({FACE: batch[FACE]}), self._crop, np.array([place]))[0]
        seen = self.predictor.answer(Seen(source="", frame=0), [self._face], logits[0])
        (answer,) = record(seen)["faces"]
        return {
            "label": labels[place],
            "face": answer,
            "margin": self.predictor.bundle.crop.margin,
            "map": [[round(float(v), 4) for v in row] for row in values],
        }


def _decoded(content: bytes, name: str, most_pixels: int) -> tuple[NDArray[np.uint8] | None, str]:
    """The picture, or the reason why there is none. No path and no address is read here: `content` is a picture or
    nothing.
    """
    try:
        return decode(content, name, most_pixels), ""
    except BadSample as error:
        return None, f"{error}."


def _found(predictor: Predictor, picture: NDArray[np.uint8] | None, most: int) -> Found:
    """The faces of a picture; of too many, those with the highest score, still from left to right."""
    spec = predictor.bundle.crop
    if picture is None:
        return Found(faces=(), crops=np.zeros((0, spec.size, spec.size, spec.channels), np.uint8))
    found = predictor.find(picture)
    if len(found.faces) <= most:
        return found
    surest = sorted(np.argsort([-face.score for face in found.faces], kind="stable")[:most].tolist())
    kept: list[Face] = [found.faces[place] for place in surest]
    return Found(faces=kept, crops=found.crops[surest])
