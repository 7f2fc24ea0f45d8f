"""Label-distribution-aware margins (Cao 2019, arXiv:1906.07413): a rare class gets a larger margin.

The margin of a class with n samples is proportional to n to the power -1/4, the largest is 0.5 (eq. 11 and 13, and the
authors' code). It is in units of a cosine, so the network ends in a cosine classifier, `model.classifier = "cosine"`.
With `loss.class_weights = "effective"` and `loss.weights_from = 0.8` it is the authors' LDAM-DRW.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from ..config import LossSettings
from ..models.layers import COSINE_SCALE

__all__ = ["ldam"]

LARGEST_MARGIN = 0.5


def ldam(_settings: LossSettings, counts: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss of logits that are cosines times `COSINE_SCALE`."""
    margins = counts.clamp(min=1) ** -0.25
    margins = COSINE_SCALE * LARGEST_MARGIN * margins / margins.max()

    def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        return functional.cross_entropy(logits - targets * margins, targets, weight=weights, reduction="sum")

    return loss
