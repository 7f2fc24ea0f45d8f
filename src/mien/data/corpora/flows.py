"""Optical flow that somebody else has computed, read from arrays.

The channels are u (positive to the right), v (positive downwards), and whatever was added, such as optical strain. A
sample is `(H, W, C)` or `(C, H, W)` of floats or integers, and becomes float32 `(H, W, C)`.

Floats are kept unchanged. Integers are uint8 from 0 to 255, as in published files whose flow was stretched per image.
They are mapped linearly so that 0 becomes −1 and 255 becomes 1. Which value stood for zero flow is unknown; 127.5 is
taken for it. Amplitudes of two such images cannot be compared. A sample without a picture of the face is shown by its
flow.
"""

import numpy as np
from numpy.typing import NDArray

from ...arrays import Header
from ...errors import BadSample
from ...planes import Plane

__all__ = ["CHANNELS", "STRETCHED", "flow_plane", "from_file", "is_flow", "last", "shown"]

CHANNELS = range(2, 9)
"""How many a flow may have."""
SIDES = range(8, 1025)
"""Of a flow in pixels: those of a crop."""
STRETCHED = (
    "The flow is of uint8, stretched to −1 and 1: where its zero is, and how large a movement was, the file does not "
    "say."
)


def last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape `(N, H, W, C)` of flow whose channels come last, or `(N, C, H, W)` brought into this order."""
    if len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS:
        return shape[0], shape[2], shape[3], shape[1]
    return shape


def is_flow(header: Header) -> bool:
    """Whether the shape and the type of an array allow it to be flow."""
    shape = last(header.shape)
    numbers = header.dtype.kind == "f" or header.dtype == np.uint8
    return numbers and len(shape) == 4 and shape[3] in CHANNELS and shape[1] in SIDES and shape[2] in SIDES


def flow_plane(header: Header) -> Plane:
    """The plane of such an array."""
    return Plane(name="flow", kind="flow", shape=last(header.shape)[1:], dtype="float32")


def from_file(item: NDArray[np.generic], shape: tuple[int, ...], where: str) -> NDArray[np.float32]:
    """One sample as float32 `(H, W, C)`; raises `BadSample` where it is not finite."""
    turned = item if item.shape == shape else np.moveaxis(item, 0, -1)
    flow = (turned.astype(np.float32) - 127.5) / 127.5 if item.dtype == np.uint8 else turned.astype(np.float32)
    if not np.isfinite(flow).all():
        raise BadSample(where, "the flow holds values that are no finite numbers")
    return np.ascontiguousarray(flow, dtype=np.float32)


def shown(flow: NDArray[np.float32], peak: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A flow as a picture `(H, W, 3)` uint8: its first three channels, 128 for 0, 255 for `peak` of its channel."""
    picture = np.full((*flow.shape[:2], 3), 128, np.uint8)
    channels = min(3, flow.shape[2])
    scaled = 127.5 + 127.5 * flow[..., :channels] / np.maximum(peak[:channels], 1e-12)
    picture[..., :channels] = np.clip(np.floor(scaled + 0.5), 0, 255).astype(np.uint8)
    return picture
