"""TV-L1 (Zach 2007; Pérez 2013, IPOL), the field's usual flow, by scikit-image with IPOL's λ, τ and θ."""

import numpy as np
from numpy.typing import NDArray
from skimage.registration import optical_flow_tvl1

__all__ = ["flow"]

ATTACHMENT = 45.0
"""IPOL's λ 0.15 on grey levels up to 255, with θ 0.3: λθ·255² on levels up to 1, of which scikit-image takes this."""


def flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    """See `mien.data.flow`."""
    down, right = optical_flow_tvl1(  # type: ignore[no-untyped-call]
        before.astype(np.float32) / 255, after.astype(np.float32) / 255, attachment=ATTACHMENT, num_warp=5
    )
    return np.stack([right, down], axis=-1).astype(np.float32)
