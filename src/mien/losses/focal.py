"""Focal loss (Lin 2017, arXiv:1708.02002, eq. 4): a sample that is already predicted well counts less, by (1 - p) to
the power gamma.
"""

from collections.abc import Callable

from torch import Tensor

from ..config import LossSettings

__all__ = ["focal"]

SMALLEST = 1e-6
"""Least 1 - p. Below a gamma of 1 the slope at 0 is infinite."""


def focal(settings: LossSettings, _counts: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss with `loss.gamma`; 0 is cross-entropy."""

    def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        logs = logits.log_softmax(dim=1)
        losses = -targets * (1 - logs.exp()).clamp(min=SMALLEST) ** settings.gamma * logs
        return (losses if weights is None else losses * weights).sum()

    return loss
