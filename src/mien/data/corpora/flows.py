"""Flow that others have computed, as an array: u to the right, v down, then what they added, such as optical strain.

In: one sample as it stands in a file, `(H, W, C)` or `(C, H, W)`, floats or whole numbers. Out: float32 `(H, W, C)`.
Floats are kept as they are. Of uint8, which published files are stretched to, 0 and 255 become −1 and 1: no zero is
known (127.5 stands for it), and amplitudes of two images cannot be compared. Where there is no face, the flow is shown
as one.
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
    """A shape `(N, H, W, C)`, or `(N, C, H, W)` put in this order."""
    if len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS:
        return shape[0], shape[2], shape[3], shape[1]
    return shape


def is_flow(header: Header) -> bool:
    """Whether an array can be flow by its shape and type."""
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
