"""The models that are served, by name, and the detectors that clients may choose.

A folder is checked every second. A file that was replaced is opened, checked by its hash and tried once; only then does
its name lead to the new model. Requests under way keep the one that they began with. A file that cannot be used, or
that is still being copied, changes nothing but what `GET /v1/models` says; it is opened again when it has changed.
"""

import logging
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle, find_model
from ..errors import ConfigError, MienError
from ..faces import FaceDetector, find_detector
from ..planes import FACE
from ..predict import Predictor
from ..shown import brief
from .refusal import Refused
from .settings import Settings

__all__ = ["DETECTORS", "Models"]

DETECTORS = ("default", "haar", "yuface", "none")
"""Detectors that a client may choose: names, never a file."""
LOOK_S = 1.0
log = logging.getLogger("mien.server")

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """What a file was found to be when it was looked at: a model, or a problem."""

    stamp: Stamp | None
    """None where there was no file, as behind a link that leads nowhere."""
    problem: str = ""


class Models:
    """The models by name; any thread may ask."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._served: dict[str, Bundle] = {}
        self._looked: dict[str, _Looked] = {}
        """The newest file of each name. Both are replaced, never changed, once other threads may read them."""
        self._detectors: dict[str, FaceDetector] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def load(self) -> None:
        """Open all models and the server's detector; raises `MienError` if one cannot be used."""
        folder = self._settings.folder
        paths = sorted(folder.glob("*.onnx")) if folder else [find_model(name) for name in self._settings.models]
        for path in paths:
            if path.stem in self._served:
                raise ConfigError(f"Two models are called {path.stem}; a model is asked for by its file's name.")
            self._looked[path.stem] = _Looked(stamp=_stamp(path))
            self._served[path.stem] = _opened(path)
        if not self._served:
            raise ConfigError(f"{folder} has no NAME.onnx; `mien export RUN -o {folder}/NAME.onnx` writes one.")
        self._detectors["default"] = find_detector(self._settings.detector)
        if folder:
            self._watcher = threading.Thread(target=self._watch, args=(folder,), name="mien-models", daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        """Stop checking the folder."""
        self._stop.set()
        if self._watcher:
            self._watcher.join()

    @property
    def names(self) -> list[str]:
        """The names; the first is the default."""
        names = list(self._served)
        return sorted(names, key=lambda name: name != "default") if self._settings.folder else names

    def predictor(self, model: str = "", faces: str = "default", min_confidence: float = 0.0) -> Predictor:
        """The predictor for a request; raises `Refused` if there is no such model or detector."""
        bundle = self._served.get(model or self.names[0])
        if bundle is None:
            raise Refused(422, f"There is no model {brief(model)}. There are: {', '.join(self.names)}.")
        return Predictor(bundle, detector=self._detector(faces), min_confidence=min_confidence)

    def cards(self) -> list[dict[str, Any]]:
        """The card of each model, with its name and the fault of its newest file, if there is one."""
        looked = self._looked
        return [
            {"name": name, "problem": looked[name].problem if name in looked else "", **asdict(bundle.card)}
            for name in self.names
            if (bundle := self._served.get(name))
        ]

    def unusable(self) -> list[dict[str, str]]:
        """The names and faults of files that never could be used, and so have no card."""
        return [
            {"name": name, "problem": looked.problem}
            for name, looked in sorted(self._looked.items())
            if looked.problem and name not in self._served
        ]

    def _detector(self, name: str) -> FaceDetector:
        if name not in DETECTORS:
            raise Refused(422, f"There is no face detector {brief(name)}. There are: {', '.join(DETECTORS)}.")
        with self._lock:
            if name not in self._detectors:
                try:
                    self._detectors[name] = find_detector(name)
                except MienError as error:
                    raise Refused(422, str(error)) from None
            return self._detectors[name]

    def _watch(self, folder: Path) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look(folder)
            except Exception as error:  # the folder is gone for a moment, a disk answers late
                log.warning("%s cannot be looked at: %s", folder, error)

    def look(self, folder: Path) -> None:
        """Load new and replaced files, and drop models whose file is gone, except the last one."""
        here = {path.stem: path for path in folder.glob("*.onnx")}
        for name, path in here.items():
            self._change(name, path)
        self._looked = {name: looked for name, looked in self._looked.items() if name in here}
        for name in set(self._served) - set(here):
            if len(self._served) > 1:
                self._served = {key: bundle for key, bundle in self._served.items() if key != name}
                log.info("model %s is gone", name)

    def _change(self, name: str, path: Path) -> None:
        """Load a file that is new or was replaced; one that cannot be used is looked at once."""
        stamp, before = _stamp(path), self._looked.get(name)
        if before and before.stamp == stamp:
            return
        try:
            bundle = _opened(path)
        except (MienError, OSError) as error:
            self._looked = {**self._looked, name: _Looked(stamp=stamp, problem=str(error))}
            log.warning("model %s %s: %s", name, "stays as it was" if name in self._served else "is not served", error)
            return
        self._served = {**self._served, name: bundle}
        self._looked = {**self._looked, name: _Looked(stamp=stamp)}
        log.info("model %s is now %s", name, bundle.card.sha256[:16])


def _opened(path: Path) -> Bundle:
    """A model that has predicted once. Each worker is a thread, so a pass uses one thread."""
    bundle = Bundle.open(path, threads=1)
    bundle.require_faces()
    spec = bundle.crop
    bundle.logits({FACE: np.zeros((1, spec.size, spec.size, spec.channels), np.uint8)})
    return bundle


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:  # `_opened` says what is wrong
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
