"""Find faces in pictures, without torch.

In: an RGB picture. Out: `Face`s with boxes of one kind, a score, and five landmarks if the detector has them.
`docs/faces.md` gives the measurements behind the default detector.
"""

from collections.abc import Callable
from functools import partial
from typing import TypedDict

from ..errors import ConfigError, MissingExtra
from ..media import MAX_SIDE
from ..reading import given_number
from ..shown import brief
from .face import Box, Face, FaceDetector, overlap
from .haar import HaarDetector
from .whole import WholePicture
from .yunet import YufaceDetector, YunetDetector

__all__ = ["DETECTORS", "Box", "Face", "FaceDetector", "find_detector", "overlap"]

DETECTORS = ("default", "haar", "yuface", "yunet=FILE", "none")
"""The names that `find_detector` takes."""


class _Limits(TypedDict, total=False):
    sure: float
    smallest: float


def find_detector(
    name: str = "default", *, min_score: float | None = None, min_face: float | None = None
) -> FaceDetector:
    """The detector with this name: `haar`, `yuface`, `yunet=FILE`, `none`, or `default` (`yuface` if it is installed,
    else `haar`).

    Args:
        name: see above.
        min_score: faces with a lower score are left out, 0 to 1; None for the detector's own limit.
        min_face: faces whose box has fewer pixels a side are left out; None for the detector's own limit.

    Raises:
        ConfigError: the name is unknown, or a limit is out of its range.
        DataError: FILE is no YuNet file.
        MissingExtra: `yuface` is requested and not installed.
    """
    if not isinstance(name, str):
        raise ConfigError(f"A face detector is named by one of {', '.join(DETECTORS)}; got {brief(name)}.")
    kind, _, path = name.partition("=")
    limits: _Limits = {}
    if min_score is not None:
        limits["sure"] = given_number(min_score, "min_score", 1)
    if min_face is not None:
        limits["smallest"] = given_number(min_face, "min_face", MAX_SIDE)
    if kind == "yunet" and path:
        return YunetDetector(path, **limits)
    known: dict[str, Callable[[], FaceDetector]] = {
        "default": partial(_default, limits),
        "haar": partial(HaarDetector, **limits),
        "yuface": partial(YufaceDetector, **limits),
        "none": WholePicture,
    }
    if name not in known:
        raise ConfigError(f"There is no face detector {brief(name)}. There are: {', '.join(DETECTORS)}.")
    return known[name]()


def _default(limits: _Limits) -> FaceDetector:
    try:
        return YufaceDetector(**limits)
    except MissingExtra:
        return HaarDetector(**limits)
