"""Turns a clip into the planes of one sample: the flow between onset and apex, and the face at the apex.

1. The face is found once, in the onset frame. Every frame is cut by the same transform, to a face 128 pixels wide with
   level eyes.
2. The flow is computed at that size and averaged down to the size of the plane. Its channels are u (to the right) and v
   (down) in pixels of the 128-pixel face, and the optical strain, which has no unit.

The flow is not stretched per image. Published flow images are, which removes their amplitude and gives zero flow no
fixed value. The option `stretch` makes such images, for comparison.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...crop import CropSpec, crop
from ...errors import BadSample, ConfigError
from ...faces import FaceDetector
from ...faces.anchor import SIDE, Anchor, Track
from ...movement import Movement
from ...planes import FACE, Batch, Plane
from ...spot.movement import head_movement
from ..flow import FLOWS, find_flow, strain
from .apex import find_apex
from .clip import Clip
from .dynamic import dynamic_image
from .magnify import magnified
from .tim import interpolated

__all__ = ["BACK", "DYNAMIC", "FLOW", "TIM", "MotionOptions", "motion"]

FLOW, BACK, DYNAMIC, TIM = "flow", "flow_back", "dynamic", "tim"
"""Planes: from onset to apex; from apex to offset; the dynamic image; the frames of the clip, interpolated in time."""


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """Which planes are made of a clip, and how. Raises `ConfigError` if a value is out of its range."""

    flow: str = "dis"
    """A key of `mien.data.flow.FLOWS`."""
    size: int = 28
    """Side of the planes of movement in pixels, 8 to 128."""
    steady: bool = True
    """Whether the movement of the head, an affine map of the whole face, is taken out of the flow."""
    halves: bool = False
    """Whether there is a second plane, `flow_back`, from apex to offset."""
    stretch: bool = False
    """Whether each channel of each flow is stretched to 0 to 1, as in published flow images."""
    magnify: float = 0.0
    """Amplification of movements before the flow (Eulerian, Wu 2012); 0 for none, at most 50."""
    dynamic: bool = False
    """Whether there is a plane `dynamic`, the dynamic image of the clip (Bilen 2016)."""
    tim: int = 0
    """Frames of the plane `tim`, the clip interpolated to that length (Zhou 2011); 0 for none, at most 64."""
    crop: CropSpec = field(default_factory=CropSpec)
    """Of the plane `face`, the apex frame."""

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise ConfigError(f"There is no optical flow {self.flow[:40]!r}; the methods are {', '.join(FLOWS)}.")
        if not 8 <= self.size <= SIDE:
            raise ConfigError(f"A plane of movement has 8 to {SIDE} pixels a side; got {self.size}.")
        if not 0 <= self.magnify <= 50:
            raise ConfigError(f"Magnification is 0 to 50; got {self.magnify:g}.")
        if not (self.tim == 0 or 2 <= self.tim <= 64):
            raise ConfigError(f"A clip is interpolated to 2 to 64 frames, or 0 for none; got {self.tim}.")

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Those beside `face`."""
        movement = (self.size, self.size, 3)
        made = [Plane(name=FLOW, kind="flow", shape=movement, dtype="float32")]
        if self.halves:
            made.append(Plane(name=BACK, kind="flow", shape=movement, dtype="float32"))
        if self.dynamic:
            made.append(Plane(name=DYNAMIC, kind="image", shape=(self.size, self.size, 1), dtype="uint8"))
        if self.tim:
            made.append(Plane(name=TIM, kind="image", shape=(self.size, self.size, self.tim), dtype="uint8"))
        return tuple(made)

    def movement(self, fps: Collection[float]) -> Movement:
        """How the flow is computed, for a store of clips of so many frames a second."""
        return Movement(
            flow=self.flow,
            steady=self.steady,
            stretch=self.stretch,
            magnify=self.magnify,
            slowest_fps=min(fps),
            fastest_fps=max(fps),
        )

    @property
    def words(self) -> Iterator[str]:
        """How planes were made, sentences for `meta.json`."""
        scale = "stretched to 0 to 1 per image and channel" if self.stretch else f"in pixels of a face {SIDE} wide"
        halves = " and from apex to offset" if self.halves else ""
        yield (
            f"Flow by {self.flow}, from onset to apex{halves}, of faces {SIDE} pixels wide, averaged to {self.size}: "
            f"u to the right and v down {scale}, and optical strain."
        )
        if self.steady:
            yield "The movement of the head, an affine map fitted robustly to the whole face, is taken out of the flow."
        if self.magnify:
            yield f"Movements were magnified {1 + self.magnify:g} times before (Eulerian)."


def motion(clip: Clip, detector: FaceDetector, options: MotionOptions | None = None) -> Batch:
    """The planes of one clip, each `(*shape)`; `face` comes first.

    Args:
        clip: its frames are decoded as they are needed: two for a flow with a given apex.
        detector: finds the face in the onset frame.
        options: which planes, and how.

    Raises `BadSample`, with the clip's name, where there is no movement to measure, no face, or a damaged frame.
    """
    options = options or MotionOptions()
    clip.check()
    onset = clip.frames[clip.onset]
    anchor = Track(detector).anchor(onset)
    if anchor is None or anchor.face is None:
        raise BadSample(clip.name, "no face was found in its onset frame")
    apex = find_apex(clip, anchor) if clip.apex is None else clip.apex
    picture = clip.frames[apex]
    if picture.shape != onset.shape:
        sizes = [f"{shape[1]}×{shape[0]}" for shape in (onset.shape, picture.shape)]
        raise BadSample(clip.name, f"frames of different sizes, {sizes[0]} and {sizes[1]}")
    faces = _faces(clip, anchor, {clip.onset, apex, *([clip.offset] if options.halves else [])}, options.magnify)
    planes: dict[str, NDArray[Any]] = {
        FACE: crop(picture, options.crop, anchor.face.box, anchor.face.landmarks),
        FLOW: _flow(faces[clip.onset], faces[apex], anchor, options),
    }
    if options.halves:
        planes[BACK] = _flow(faces[apex], faces[clip.offset], anchor, options)
    if options.dynamic:
        planes[DYNAMIC] = _sized(dynamic_image(_all(clip, anchor)), options.size)
    if options.tim:
        planes[TIM] = interpolated([_sized(grey, options.size)[..., 0] for grey in _all(clip, anchor)], options.tim)
    return planes


def _faces(clip: Clip, anchor: Anchor, places: Collection[int], magnify: float) -> dict[int, NDArray[np.uint8]]:
    """The grey faces at some places of a clip, magnified if the options ask for it."""
    if magnify:
        return dict(magnified(_all(clip, anchor), clip.fps, magnify, clip.onset, places))
    return {place: anchor.cut(clip.frames[place]) for place in sorted(places)}


def _all(clip: Clip, anchor: Anchor) -> Iterator[NDArray[np.uint8]]:
    """The faces from onset to offset."""
    for place in range(clip.onset, clip.offset + 1):
        yield anchor.cut(clip.frames[place])


def _flow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], anchor: Anchor, options: MotionOptions
) -> NDArray[np.float32]:
    """`(size, size, 3)`: u, v and strain."""
    moved = find_flow(options.flow)(before, after)
    if options.steady:
        moved = moved - head_movement(moved, anchor.landmarks)
    whole = np.concatenate([moved, strain(moved)[..., None]], axis=-1)
    small = np.asarray(cv2.resize(whole, (options.size, options.size), interpolation=cv2.INTER_AREA), np.float32)
    return _stretched(small) if options.stretch else small


def _stretched(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each channel from 0 to 1; 0 where it is the same everywhere."""
    low, high = flow.min(axis=(0, 1)), flow.max(axis=(0, 1))
    return np.asarray((flow - low) / np.where(high > low, high - low, 1), dtype=np.float32)


def _sized(grey: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)[..., None]
