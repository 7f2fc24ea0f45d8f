"""Logit adjustment (Menon 2021, arXiv:2007.07314, eq. 10): the network learns what the class frequencies do not
explain.

Its logits are shifted by tau times the log of each class's share of training, in training only. tau = 1 is the balanced
softmax (Ren 2020, arXiv:2007.10740). The same shift of the logits of a finished run needs no training:
`mien.calibration.adjusted`.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from ..config import LossSettings

__all__ = ["logit_adjusted"]


def logit_adjusted(settings: LossSettings, counts: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss with `loss.tau`. A class without a sample counts as half of one."""
    shift = settings.tau * (counts.clamp(min=0.5) / counts.sum()).log()

    def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        return functional.cross_entropy(logits + shift, targets, weight=weights, reduction="sum")

    return loss
