"""How much of a map falls on the pixels that the action units moved.

In: maps and masks. Out: a figure for each face. Nothing is read or written.

A map becomes a distribution D over pixels: equal weight on its largest pixels (`peaks`, for the pointing game, Zhang
2018, arXiv:1608.00507, without a margin), or weight in proportion to its positive part (`positive`, for the
energy-based one, Wang 2020, arXiv:1910.01279). The figure is the sum of D over the pixels that moved, 0 to 1. A map
that is flat, or nowhere above 0, holds no information: its D is uniform, and its figure is the share of the face that
moved.

The truth of a face is what the action units of its own expression (its EMFACS prototype) moved. Traces of other action
units, which some drawn faces have, belong to another class.
"""

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..data.drawn.expression import PROTOTYPES
from ..data.store import Store
from ..errors import DataError
from ..planes import MOVED

__all__ = [
    "energy",
    "fixed_maps",
    "moved",
    "moved_by_unit",
    "on_truth",
    "others",
    "peaks",
    "pointing",
    "positive",
    "says_nothing",
]

Bools = NDArray[np.bool_]
Maps = NDArray[np.floating]
SIGMA = 0.25
"""Standard deviation of the Gaussian at the centre, in sides of the face."""
BLOCK = 256


def moved_by_unit(store: Store, rows: NDArray[np.int64]) -> Bools:
    """`(n, U, H, W)`: pixels that each action unit of a face's own expression moved; `store.samples.aus` names them.

    Raises `DataError` if the store does not record them.
    """
    if MOVED not in store.planes:
        raise DataError(
            f"{store.path} does not know which pixels an expression moved, so explanations cannot be compared with it. "
            "Drawn faces do: see `mien data draw`."
        )
    units = tuple(store.samples.aus)
    own = np.array([[unit in PROTOTYPES.get(name, ()) for unit in units] for name in store.meta.labels])
    bits = (store.read(rows, [MOVED])[MOVED][:, None] >> np.arange(len(units), dtype=np.uint16)[:, None, None]) & 1
    return np.asarray(bits.astype(bool) & own[store.samples.label[rows]][..., None, None])


def moved(store: Store, rows: NDArray[np.int64]) -> Bools:
    """`(n, H, W)`: pixels that any action unit of each face's own expression moved; raises `DataError` as above."""
    return np.asarray(moved_by_unit(store, rows).any(axis=1))


def pointing(maps: Maps, truth: Bools) -> Floats:
    """Share of each map's largest pixels that lie on the truth, `(n,)`; maps and truth `(n, H, W)`.

    >>> maps, truth = np.zeros((1, 2, 2)), np.eye(2, dtype=bool)[None]
    >>> maps[0, 0] = 3
    >>> pointing(maps, truth).tolist()
    [0.5]
    """
    return on_truth(peaks(maps), truth)


def energy(maps: Maps, truth: Bools) -> Floats:
    """Share of each map's positive part that lies on the truth, `(n,)`; maps and truth `(n, H, W)`.

    >>> energy(np.array([[[3.0, 1.0], [-9.0, 0.0]]]), np.eye(2, dtype=bool)[None]).tolist()
    [0.75]
    """
    return on_truth(positive(maps), truth)


def on_truth(spread: Floats, truth: Bools) -> Floats:
    """How much of each distribution lies on the truth, `(n,)`; both `(n, H, W)`."""
    return np.asarray((spread * truth).sum(axis=(1, 2)))


def peaks(maps: Maps) -> Floats:
    """Equal weight on the largest pixels of each map `(n, H, W)`, summing to 1; uniform without information."""
    top = (maps == maps.max(axis=(1, 2), keepdims=True)) | says_nothing(maps)[:, None, None]
    return np.asarray(top / top.sum(axis=(1, 2), keepdims=True))


def positive(maps: Maps) -> Floats:
    """The positive part of each map `(n, H, W)`, scaled to sum to 1; uniform for a map without information."""
    parts = np.where(says_nothing(maps)[:, None, None], 1.0, np.maximum(maps, 0, dtype=np.float64))
    return np.asarray(parts / parts.sum(axis=(1, 2), keepdims=True))


def says_nothing(maps: Maps) -> Bools:
    """Which maps `(n, H, W)` are nowhere above 0, or flat up to rounding."""
    top, low = maps.max(axis=(1, 2)), maps.min(axis=(1, 2))
    return np.asarray((top <= 0) | (top - low <= 1e-6 * np.abs(top)))


def others(spread: Floats, labels: NDArray[np.int64]) -> Floats:
    """For each face the mean distribution `(n, H, W)` of the faces of other classes; uniform if there are none."""
    found = np.full_like(spread, 1 / spread[0].size)
    for label in np.unique(labels):
        if (labels != label).any():
            found[labels == label] = spread[labels != label].mean(axis=0)
    return found


def fixed_maps(store: Store, training: NDArray[np.int64]) -> dict[str, Floats]:
    """Maps `(H, W)` that need no network, by name: a uniform one, a Gaussian at the centre, and the mean truth.

    Args:
        store: of drawn faces.
        training: rows for the mean truth. They are read in blocks, and an incomplete last block is left out.
    """
    height, width = store.images.shape[1:3]
    down, across = ((np.arange(side) - (side - 1) / 2) / side for side in (height, width))
    size = min(BLOCK, len(training))
    starts = range(0, len(training) - size + 1, size)
    return {
        "area": np.ones((height, width)),
        "centre": np.exp(-(down[:, None] ** 2 + across**2) / (2 * SIGMA**2)),
        "usual": np.mean([moved(store, training[start : start + size]).mean(axis=0) for start in starts], axis=0),
    }
