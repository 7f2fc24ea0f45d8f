"""What a network is trained to say: the target of each sample, and the loss of logits against it.

In: a part and the run's settings. Out: an `Objective`, made once before training. A new loss is a branch of
`Objective.__call__` and a setting.
"""

import torch
from torch import Tensor
from torch.nn import functional

from .config import LossSettings
from .data.splits import Part

__all__ = ["Objective"]


class Objective:
    """Targets and class weights of a part, on the device; called with logits it gives their summed loss."""

    def __init__(self, part: Part, settings: LossSettings, device: torch.device) -> None:
        self.targets = _targets(part, settings).to(device)
        """`(n, K)` float32 distributions."""
        self.weights = _class_weights(part, settings, device)
        """`(K,)` float32 with mean 1 over the samples, or None."""

    def __call__(self, logits: Tensor, rows: Tensor) -> Tensor:
        """The sum of the losses of logits `(B, K)` of the samples at positions `rows` `(B,)`."""
        return functional.cross_entropy(logits.float(), self.targets[rows], weight=self.weights, reduction="sum")


def _targets(part: Part, settings: LossSettings) -> Tensor:
    classes = len(part.store.labels)
    if settings.soft_labels and part.soft is not None:
        targets = torch.from_numpy(part.soft)
    else:
        targets = functional.one_hot(torch.from_numpy(part.labels), classes).float()
    return targets * (1 - settings.label_smoothing) + settings.label_smoothing / classes


def _class_weights(part: Part, settings: LossSettings, device: torch.device) -> Tensor | None:
    if settings.class_weights == "none":
        return None
    counts = torch.bincount(torch.from_numpy(part.labels), minlength=len(part.store.labels)).float()
    return (len(part) / (counts.clamp(min=1) * (counts > 0).sum())).to(device)
