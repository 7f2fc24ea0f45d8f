"""Class weights in the loss."""

import torch
from torch import Tensor

from ..config import LossSettings

__all__ = ["class_weights"]


def class_weights(settings: LossSettings, counts: Tensor) -> Tensor | None:
    """Weights `(K,)` with mean 1 over the samples, or None; `counts` `(K,)` are the samples of each class.

    `balanced` is the inverse of the frequency. `effective` is the inverse of the effective number of samples,
    (1 - beta^n) / (1 - beta) (Cui 2019, arXiv:1901.05555, eq. 2).
    """
    if settings.class_weights == "none":
        return None
    counts = counts.clamp(min=0)
    if settings.class_weights == "balanced":
        return counts.sum() / (counts.clamp(min=1) * (counts > 0).sum())
    effective = 1 - torch.tensor(settings.beta, dtype=torch.float64) ** counts.double()
    raw = torch.where(counts > 0, 1 / effective.clamp(min=1e-12), torch.zeros_like(effective))
    return (raw * counts.sum() / (raw * counts).sum()).float()
