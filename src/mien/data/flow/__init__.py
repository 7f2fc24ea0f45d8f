"""Dense optical flow between two grey faces, and its strain. A new method is a file here and a line in `FLOWS`.

In: two frames `(H, W)` uint8. Out: float32 `(H, W, 2)`, the movement of each point of the first frame to the right (u)
and down (v), in pixels.
"""

from collections.abc import Callable
from importlib import import_module
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, MissingExtra
from .strain import strain

__all__ = ["FLOWS", "find_flow", "strain"]

Flow = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
FLOWS = {
    "dis": "mien.data.flow.dis:flow",
    "farneback": "mien.data.flow.farneback:flow",
    "tvl1": "mien.data.flow.tvl1:flow",
    "ilk": "mien.data.flow.ilk:flow",
}
"""Methods by name, as `module:function`. The last two need scikit-image."""


def find_flow(name: str) -> Flow:
    """The method with this name.

    Raises `ConfigError` if there is none, `MissingExtra` if its library is not installed.
    """
    if name not in FLOWS:
        raise ConfigError(f"There is no optical flow {name[:40]!r}; the methods are {', '.join(FLOWS)}.")
    module, _, word = FLOWS[name].partition(":")
    try:
        return cast(Flow, getattr(import_module(module), word))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien"):
            raise
        raise MissingExtra(f"the optical flow {name}", "micro") from None
