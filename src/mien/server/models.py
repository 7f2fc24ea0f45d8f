"""The models that are served, by name, and the detectors that clients may choose.

A folder is checked every second. A file that was replaced is opened, checked by its hash and tried once; only then does
its name lead to the new model. Requests under way keep the one that they began with. A file that cannot be used, or
that is still being copied, changes nothing but what `GET /v1/models` says.
"""

import logging
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle, find_model
from ..errors import BundleError, ConfigError, MienError
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

Stamp = tuple[int, int, int]


@dataclass(kw_only=True)
class _Served:
    bundle: Bundle
    stamp: Stamp
    problem: str = ""


class Models:
    """The models by name; any thread may ask."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._served: dict[str, _Served] = {}
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
            self._served[path.stem] = _Served(bundle=_opened(path), stamp=_stamp(path))
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
        served = self._served.get(model or self.names[0])
        if served is None:
            raise Refused(422, f"There is no model {brief(model)}. There are: {', '.join(self.names)}.")
        return Predictor(served.bundle, detector=self._detector(faces), min_confidence=min_confidence)

    def cards(self) -> list[dict[str, Any]]:
        """The card of each model, with its name and the fault of its newest file, if there is one."""
        return [
            {"name": name, "problem": served.problem, **asdict(served.bundle.card)}
            for name in self.names
            if (served := self._served.get(name))
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
            stamp, before = _stamp(path), self._served.get(name)
            if before is None or before.stamp != stamp:
                self._change(name, path, stamp, before)
        for name in set(self._served) - set(here):
            if len(self._served) > 1:
                self._served = {key: served for key, served in self._served.items() if key != name}
                log.info("model %s is gone", name)

    def _change(self, name: str, path: Path, stamp: Stamp, before: _Served | None) -> None:
        try:
            served = _Served(bundle=_opened(path), stamp=stamp)
        except (BundleError, OSError) as error:
            log.warning("model %s stays as it was: %s", name, error)
            if before:
                before.stamp, before.problem = stamp, str(error)
            return
        self._served = {**self._served, name: served}
        log.info("model %s is now %s", name, served.bundle.card.sha256[:16])


def _opened(path: Path) -> Bundle:
    """A model that has predicted once. Each worker is a thread, so a pass uses one thread."""
    bundle = Bundle.open(path, threads=1)
    bundle.require_faces()
    spec = bundle.crop
    bundle.logits({FACE: np.zeros((1, spec.size, spec.size, spec.channels), np.uint8)})
    return bundle


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
