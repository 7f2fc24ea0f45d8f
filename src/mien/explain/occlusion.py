r"""Occlusion (Zeiler & Fergus 2014, arXiv:1311.2901, sec. 4.2): cover a part of the face and measure the loss.

In: any function from crops to logits (a bundle's, a network's), so it needs no torch and no gradients. Out: maps in
the logit's units. With \(f_c\) the logit of class c, \(P_{ij}\) the patches that cover pixel ij, and
\(x_{\setminus p}\) the face with patch p in the face's own mean colour,

\[M_{ij} = \frac{1}{|P_{ij}|} \sum_{p \in P_{ij}} \left(f_c(x) - f_c(x_{\setminus p})\right).\]

Patches are squares of a sixth of the face's side, half a side apart. The mean colour is that of the face itself,
because not every model file holds the mean colour of its training data.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..planes import FACE, Batch

__all__ = ["Answer", "occlusion", "patch_corners"]

Answer = Callable[[Batch], NDArray[np.float32]]
"""`{"face": crops}`, `(B, H, W, C)` uint8 -> logits `(B, K)`."""
PATCHES_ACROSS = 6
"""Patches that would lie side by side across a face."""


def occlusion(
    classifier: Answer, images: NDArray[np.uint8], classes: NDArray[np.int64], *, patch: int | None = None
) -> NDArray[np.float32]:
    """The change of the class's logit if a part of a face is covered.

    Args:
        classifier: crops to logits; called once a face with all its occluded copies.
        images: `(B, H, W, C)` uint8.
        classes: `(B,)` which logit of each face.
        patch: side of the patch in pixels; None takes a sixth of the shorter side.

    Returns:
        `(B, H, W)` float32: above 0 where covering lowers the logit, so where the face supports the class.
    """
    whole = classifier({FACE: images}) if len(images) else np.zeros((0, 1), np.float32)
    maps = [
        _one(classifier, image, int(label), float(logits[label]), patch)
        for image, label, logits in zip(images, classes, whole, strict=True)
    ]
    return np.stack(maps) if maps else np.zeros(images.shape[:3], np.float32)


def patch_corners(length: int, patch: int) -> NDArray[np.int64]:
    """First pixels of patches along a side of `length`: half a patch apart, the last one ending at the border."""
    return np.unique(np.append(np.arange(0, length - patch, max(1, patch // 2)), length - patch))


def _one(
    classifier: Answer, image: NDArray[np.uint8], label: int, logit: float, patch: int | None
) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    side = patch or max(1, round(min(height, width) / PATCHES_ACROSS))
    colour = image.mean(axis=(0, 1)).round().astype(np.uint8)
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in patch_corners(height, side)
        for left in patch_corners(width, side)
    ]
    covered = np.repeat(image[None], len(places), axis=0)
    for copy, place in zip(covered, places, strict=True):
        copy[place] = colour
    lost = logit - classifier({FACE: covered})[:, label]
    total, times = np.zeros((height, width)), np.zeros((height, width))
    for place, loss in zip(places, lost.tolist(), strict=True):
        total[place] += loss
        times[place] += 1
    return (total / times).astype(np.float32)
