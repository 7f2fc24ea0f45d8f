"""Find faces in pictures, without torch.

In: an RGB picture. Out: `Face`s with boxes of one kind, a score, five landmarks where the detector has them. Which
detector is the default, and why, is measured in `docs/faces.md`.
"""

from collections.abc import Callable

from ..errors import ConfigError, MissingExtra
from .face import Box, Face, FaceDetector, overlap
from .haar import HaarDetector
from .whole import WholePicture
from .yunet import YufaceDetector, YunetDetector

__all__ = ["DETECTORS", "Box", "Face", "FaceDetector", "find_detector", "overlap"]

DETECTORS = ("default", "haar", "yuface", "yunet=FILE", "none")
"""What `find_detector` takes."""


def find_detector(name: str = "default") -> FaceDetector:
    """The detector of a name: `haar`, `yuface`, `yunet=FILE`, `none`, or `default` (`yuface` where it is
    installed, else `haar`).

    Raises:
        ConfigError: the name is unknown.
        DataError: FILE is no YuNet file.
        MissingExtra: `yuface` is asked for and not installed.
    """
    kind, _, path = name.partition("=")
    if kind == "yunet" and path:
        return YunetDetector(path)
    known: dict[str, Callable[[], FaceDetector]] = {
        "default": _default,
        "haar": HaarDetector,
        "yuface": YufaceDetector,
        "none": WholePicture,
    }
    if name not in known:
        raise ConfigError(f"There is no face detector {name!r}. There are: {', '.join(DETECTORS)}.")
    return known[name]()


def _default() -> FaceDetector:
    try:
        return YufaceDetector()
    except MissingExtra:
        return HaarDetector()
