"""From pictures and videos to the expressions in them, without torch.

In: paths, arrays, a video or a camera. Out: one `Prediction` for each face. Faces are found, cut out by the crop that
the network was trained with, and classified in batches across faces and frames; streams of any length run in flat
memory.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .crop import crop
from .errors import BadSample, BundleError, ConfigError, DataError
from .faces import DETECTORS, Box, Face, FaceDetector, find_detector
from .faces.face import clear
from .images import Image, name_of, one_by_one, read_image
from .media import MAX_SIDE
from .planes import FACE
from .reading import given_count, given_number
from .session import Session
from .shown import brief
from .version import __version__
from .video import Frame, Video, open_video

__all__ = ["UNCERTAIN", "Found", "Image", "Prediction", "Predictor", "Seen", "heading", "record"]

UNCERTAIN = "uncertain"
MOST_CLASSES = 1_000_000
"""The largest number of classes that may be requested. If a model has fewer, all are given."""
CHUNK_PICTURES, CHUNK_BYTES = 16, 96 << 20
"""Limits of one group of pictures whose faces are classified together: their number, and their bytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """The expression of one face."""

    label: str
    """The likeliest class, or "uncertain" below the requested confidence."""
    confidence: float
    """Probability of the likeliest class, 0 to 1, calibrated on the validation part."""
    probs: Mapping[str, float]
    """Probability of each class, in the model's order; sums to 1."""
    box: Box
    """x, y, width, height of the face in pixels; may reach over the border."""
    landmarks: NDArray[np.float32] | None
    """`(5, 2)` x, y in pixels, if the detector has them."""
    score: float
    """Score of the detector for this face, 0 to 1."""
    source: str
    """The file or camera; empty for arrays and bytes."""
    frame: int
    """Number of the picture in the list, or of the frame in the video, from 0."""
    time_s: float | None = None
    """When the frame is shown, seconds from the video's start; None for pictures."""
    track: int | None = None
    """Number of the face through a video; None for pictures."""

    def top_k(self, k: int) -> dict[str, float]:
        """The `k` likeliest classes with their probabilities, the likeliest first; all if there are fewer.

        Raises `ConfigError` unless `k` is a whole number, 1 or more.
        """
        k = given_count(k, "The number of classes, top_k,", 1, MOST_CLASSES)
        return dict(sorted(self.probs.items(), key=lambda item: -item[1])[:k])

    def to_dict(self, top_k: int | None = None) -> dict[str, Any]:
        """The prediction as JSON values, rounded: the fields of a face in docs/predict.md, then source, frame and time.

        Args:
            top_k: number of likeliest classes to give, 1 or more; None gives all, in the model's order.
        """
        place = {"source": self.source, "frame": self.frame, "time_s": self.time_s}
        return _face_record(self, top_k) | place


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One picture or frame and what is in it."""

    source: str
    frame: int
    time_s: float | None = None
    picture: NDArray[np.uint8] | None = None
    """`(H, W, 3)` RGB, upright; None if it could not be read."""
    predictions: tuple[Prediction, ...] = ()
    """Predictions from left to right; empty if no face was found."""
    failure: str = ""
    """The reason why it could not be read, in a sentence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The faces of one picture, cropped for a network."""

    faces: Sequence[Face]
    """From left to right."""
    crops: NDArray[np.uint8]
    """`(n, S, S, C)`, one crop for each face."""


class Predictor:
    """A model and a face detector, ready for any number of pictures; threads may share one."""

    def __init__(
        self,
        model: Bundle | Path | str = "default",
        *,
        detector: FaceDetector | str = "default",
        threads: int = 0,
        min_confidence: float = 0.0,
        min_score: float | None = None,
        min_face: float | None = None,
    ) -> None:
        """Open a model.

        Args:
            model: a file that `mien export` wrote, or the name of one that comes with mien: "default", "small",
                "ferplus".
            detector: a name that `find_detector` takes, or any `FaceDetector`; "none" takes pictures as faces.
            threads: of one prediction, if the model is opened here; 0 takes the machine's cores.
            min_confidence: below it a label is "uncertain", 0 to 1.
            min_score: faces with a lower score are left out, 0 to 1; None takes the detector's own limit
            (docs/faces.md). Scores compare within one detector only.
            min_face: faces whose box has fewer pixels a side are left out; None is the detector's own limit.

        Raises:
            BundleError: the model is absent, damaged or not one of mien's.
            ConfigError: there is no such detector, or a setting is out of its range.
            DataError: the detector's file cannot be used.
            MissingExtra: the detector is not installed.
        """
        self.min_confidence = given_number(min_confidence, "min_confidence", 1)
        self._min_score = 0.0 if min_score is None else given_number(min_score, "min_score", 1)
        self._min_face = 0.0 if min_face is None else given_number(min_face, "min_face", MAX_SIDE)
        self.bundle = model if isinstance(model, Bundle) else _open(model, threads)
        self.detector = _detector(detector, min_score, min_face)

    def predict(self, images: Image | Iterable[Image]) -> list[Prediction]:
        """The expressions in one picture or many, always as a flat list; `Prediction.frame` says which picture.

        Args:
            images: one `Image`, an array `(N, H, W, C)`, or any iterable of `Image`s.

        Raises `DataError` if one cannot be read; `each` continues instead.
        """
        found: list[Prediction] = []
        for seen in self.each(images):
            if seen.failure:
                raise DataError(seen.failure)
            found += seen.predictions
        return found

    def each(self, images: Image | Iterable[Image], names: Iterable[str] = ()) -> Iterator[Seen]:
        """Yield the predictions of each picture. A picture that cannot be read yields its error, and the others follow.

        Args:
            images: as for `predict`.
            names: their names in place of their paths, as many as images or none.
        """
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise ConfigError(f"The names of pictures are a list of texts; got {brief(names)}.")
        named = zip(one_by_one(images), chain(names, repeat("")), strict=False)
        return self._classified(_read(image, place, name) for place, (image, name) in enumerate(named))

    def stream(self, video: Path | str | Video, session: Session | None = None) -> Iterator[Seen]:
        """The frames of a video file or camera, faces followed and their labels smoothed over time.

        Memory is flat at any length; the stream of a camera ends when it gives no more pictures. Raises `DataError` if
        the video cannot be opened or decoded; a truncated one raises after its last frame.

        Args:
            video: a file, `camera:0`, or what `open_video` gives.
            session: how faces are followed; a new one unless given.
        """
        session = Session() if session is None else session
        if not isinstance(session, Session):
            raise ConfigError(f"Faces are followed by a mien.Session; got {brief(session)}.")
        if isinstance(video, Video):
            yield from self._streamed(video, session)
            return
        with open_video(video) as opened:
            yield from self._streamed(opened, session)

    def find(self, picture: NDArray[np.uint8]) -> Found:
        """The faces of an RGB picture `(H, W, 3)` uint8, cut out for the network: the first half of a prediction.

        Several threads may detect faces at once and pass the results to one call of `classify`.
        """
        faces = clear(self.detector.detect(picture), self._min_score, self._min_face)
        spec = self.bundle.card.crop
        crops = np.zeros((len(faces), spec.size, spec.size, spec.channels), np.uint8)
        for place, face in enumerate(faces):
            crops[place] = crop(picture, spec, face.box, face.landmarks)
        return Found(faces=faces, crops=crops)

    def classify(self, found: Sequence[Found]) -> list[NDArray[np.float32]]:
        """Logits `(n, K)` for the faces of each picture: the second half, all pictures in one pass of the network."""
        if not found:
            return []
        logits = self.bundle.logits({FACE: np.concatenate([each.crops for each in found])})
        return np.split(logits, np.cumsum([len(each.faces) for each in found])[:-1])

    def answer(
        self,
        seen: Seen,
        faces: Sequence[Face],
        logits: NDArray[np.floating],
        tracks: Sequence[int | None] | None = None,
    ) -> Seen:
        """`seen` with a prediction for each face, from the logits `(n, K)` of its faces."""
        probs = self.bundle.calibrate(logits) if len(faces) else logits
        numbers = [None] * len(faces) if tracks is None else tracks
        predictions = tuple(
            self._prediction(seen, face, row, track) for face, row, track in zip(faces, probs, numbers, strict=True)
        )
        return replace(seen, predictions=predictions)

    def follow(self, seen: Seen, faces: Sequence[Face], logits: NDArray[np.floating], session: Session) -> Seen:
        """As `answer`, for the next frame of a session: faces keep their numbers, labels are smoothed over time."""
        followed = session.follow(faces, logits, seen.time_s or 0.0)
        smooth = np.stack([f.logits for f in followed]) if followed else logits
        return self.answer(seen, faces, smooth, [f.track for f in followed])

    def _streamed(self, video: Video, session: Session) -> Iterator[Seen]:
        for chunk in _chunks((_frame(video.name, frame) for frame in video.frames()), 1 if video.live else None):
            for seen, faces, logits in self._looked_at(chunk):
                yield self.follow(seen, faces, logits, session)

    def _classified(self, pictures: Iterable[Seen]) -> Iterator[Seen]:
        for chunk in _chunks(pictures):
            for seen, faces, logits in self._looked_at(chunk):
                yield self.answer(seen, faces, logits)

    def _looked_at(self, chunk: Sequence[Seen]) -> Iterator[tuple[Seen, Sequence[Face], NDArray[np.float32]]]:
        """Find the faces of all pictures, classify them together, and return each picture with its own logits."""
        found = [self._none() if seen.picture is None else self.find(seen.picture) for seen in chunk]
        for seen, each, logits in zip(chunk, found, self.classify(found), strict=True):
            yield seen, each.faces, logits

    def _none(self) -> Found:
        spec = self.bundle.card.crop
        return Found(faces=(), crops=np.zeros((0, spec.size, spec.size, spec.channels), np.uint8))

    def _prediction(self, seen: Seen, face: Face, probs: NDArray[np.floating], track: int | None) -> Prediction:
        names, confidence = self.bundle.card.labels, float(probs.max())
        return Prediction(
            label=names[int(probs.argmax())] if confidence >= self.min_confidence else UNCERTAIN,
            confidence=confidence,
            probs=dict(zip(names, probs.tolist(), strict=True)),
            box=face.box,
            landmarks=face.landmarks,
            score=face.score,
            source=seen.source,
            frame=seen.frame,
            time_s=seen.time_s,
            track=track,
        )


def heading(bundle: Bundle, detector: str) -> dict[str, Any]:
    """The head of the JSON output, as docs/predict.md defines it: the version, the model, the detector."""
    card = bundle.card
    model = {"file": bundle.path.name, "run": card.run, "sha256": card.sha256, "labels": list(card.labels)}
    return {"mien": __version__, "model": model | {"licence": card.licence}, "detector": detector}


def record(seen: Seen, top_k: int | None = None) -> dict[str, Any]:
    """One picture's predictions as JSON values, as docs/predict.md defines them. Each face has all probabilities, or
    the `top_k` largest. A picture that could not be read has its source and the error.
    """
    if seen.failure:
        return {"source": seen.source, "error": seen.failure}
    frame = {"frame": seen.frame, "time_s": round(seen.time_s, 3)} if seen.time_s is not None else {}
    return {"source": seen.source, **frame, "faces": [_face_record(p, top_k) for p in seen.predictions]}


def _face_record(prediction: Prediction, top_k: int | None) -> dict[str, Any]:
    probs = prediction.probs if top_k is None else prediction.top_k(top_k)
    return {
        "label": prediction.label,
        "confidence": round(prediction.confidence, 6),
        "probs": {name: round(p, 6) for name, p in probs.items()},
        "box": [round(v, 1) for v in prediction.box],
        "landmarks": None if prediction.landmarks is None else prediction.landmarks.astype(float).round(1).tolist(),
        "score": round(prediction.score, 4),
        "track": prediction.track,
    }


def _open(model: Path | str, threads: int) -> Bundle:
    if not isinstance(model, str | os.PathLike):
        raise BundleError(
            f"A model is a file of `mien export`, a name such as 'default', or a Bundle; got {brief(model)}."
        )
    bundle = Bundle.open(model, threads=threads)
    bundle.require_faces()
    return bundle


def _detector(detector: FaceDetector | str, min_score: float | None, min_face: float | None) -> FaceDetector:
    if isinstance(detector, str):
        return find_detector(detector, min_score=min_score, min_face=min_face)
    if not callable(getattr(detector, "detect", None)):
        raise ConfigError(
            f"A detector is one of {', '.join(DETECTORS)}, or has a method detect; got {brief(detector)}."
        )
    return detector


def _read(image: Image, place: int, name: str) -> Seen:
    source = str(name) or name_of(image)
    try:
        picture = read_image(image, source or f"Picture {place}")
    except BadSample as error:
        return Seen(source=source, frame=place, failure=f"{error}.")
    return Seen(source=source, frame=place, picture=picture)


def _frame(source: str, frame: Frame) -> Seen:
    return Seen(source=source, frame=frame.index, time_s=frame.time_s, picture=frame.picture)


def _chunks(pictures: Iterable[Seen], most: int | None = None) -> Iterator[list[Seen]]:
    """Pictures in groups, so that one pass of the network sees the faces of several and memory stays bounded."""
    chunk: list[Seen] = []
    failure: DataError | None = None
    try:
        for seen in pictures:
            chunk.append(seen)
            size = sum(0 if s.picture is None else s.picture.nbytes for s in chunk)
            if len(chunk) >= (most or CHUNK_PICTURES) or size >= CHUNK_BYTES:
                yield chunk
                chunk = []
    except DataError as error:  # a truncated video: first give the frames before the end
        failure = error
    if chunk:
        yield chunk
    if failure:
        raise failure
