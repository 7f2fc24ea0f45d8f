"""Cross-entropy of the softmax against the target."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from ..config import LossSettings

__all__ = ["cross_entropy"]


def cross_entropy(_settings: LossSettings, _counts: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss of nearly every classifier."""

    def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        return functional.cross_entropy(logits, targets, weight=weights, reduction="sum")

    return loss
