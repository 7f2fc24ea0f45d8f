"""Descriptors: fixed functions from a face to a vector of numbers. A new one is a file and a line below.

A function of this package takes one grey face `(H, W)` uint8, or one sample of a plane of flow `(H, W, C)` or of a clip
`(H, W, T)` uint8, and the table of settings, and gives a vector. Faces of one size give vectors of one length.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import FeaturesTable
from ...errors import ConfigError
from ...planes import FACE, Plane

__all__ = ["CLIP_DESCRIPTORS", "DESCRIPTORS", "FLOW_DESCRIPTORS", "Descriptor", "check_plane", "describe", "grey"]

Descriptor = Callable[[NDArray[Any], FeaturesTable], NDArray[np.float32]]

DESCRIPTORS = {"hog": "hog:hog", "lbp": "lbp:lbp", "pixels": "pixels:pixels"}
"""By name in `features.descriptor`, where `+` joins several: `module:function` of this package."""
FLOW_DESCRIPTORS = {"pixels": "flow:values", "hoof": "flow:hoof", "bi-woof": "flow:bi_woof", "mdmo": "flow:mdmo"}
"""Those of a plane of flow."""
CLIP_DESCRIPTORS = {"lbp-top": "lbp_top:lbp_top"}
"""Those of a plane of frames, such as `tim`."""
OTHERS = {"flow": ("flow", FLOW_DESCRIPTORS), "image": ("clips", CLIP_DESCRIPTORS)}
"""By the kind of a plane other than the face: its name in sentences, and its descriptors."""
WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue in grey (ITU-R BT.601)."""


def check_plane(plane: Plane, settings: FeaturesTable) -> None:
    """Raise `ConfigError` if the descriptor does not apply to such a plane."""
    if plane.name != FACE and plane.kind not in OTHERS:
        raise ConfigError(
            f"features.plane {plane.name} is of the kind {plane.kind}; choose {FACE}, a plane of flow or one of frames."
        )
    of, known = ("faces", DESCRIPTORS) if plane.name == FACE else OTHERS[plane.kind]
    if not set(settings.descriptor.split("+")) <= set(known):
        raise ConfigError(
            f"features.descriptor {settings.descriptor} does not describe {of}, and features.plane is {plane.name}; "
            f"choose {', '.join(known)}, or another plane."
        )
    if plane.kind == "image" and len(plane.shape) != 3:
        raise ConfigError(
            f"features.plane {plane.name} has {plane.shape} numbers; a clip has height, width and frames."
        )


def describe(images: NDArray[Any], settings: FeaturesTable) -> NDArray[np.float32]:
    """Vectors `(n, D)` of faces `(n, H, W, C)`, or of another plane where the settings name one.

    Raises `ConfigError` for faces that are too small for the settings.
    """
    if settings.plane != FACE:
        part = _find(settings.descriptor, FLOW_DESCRIPTORS | CLIP_DESCRIPTORS)
        return np.array([part(flow, settings) for flow in images], np.float32)
    parts = [_find(name, DESCRIPTORS) for name in settings.descriptor.split("+")]
    return np.array([np.concatenate([part(face, settings) for part in parts]) for face in grey(images)], np.float32)


def grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey faces `(n, H, W)` of faces `(n, H, W, C)`; of other than three channels the mean."""
    if images.shape[-1] == 1:
        return images[..., 0]
    weights = WEIGHTS if images.shape[-1] == len(WEIGHTS) else np.full(images.shape[-1], 1 / images.shape[-1])
    return np.rint(images @ weights).astype(np.uint8)


def _find(name: str, known: Mapping[str, str]) -> Descriptor:
    module, _, function = known[name].partition(":")
    found: Descriptor = getattr(import_module(f"{__name__}.{module}"), function)
    return found
