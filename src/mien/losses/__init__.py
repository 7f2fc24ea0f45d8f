"""The objective of a training: the target of each sample, and the loss of logits against it.

In: a part and the run's settings. Out: an `Objective`, made once before training. A new loss is a file here and a line
in `LOSSES`. A loss is a function of logits `(B, K)`, targets `(B, K)` that sum to 1, and class weights `(K,)` or None;
it gives the sum over the samples.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..config import LossSettings
from ..data.splits import Part
from ..errors import ConfigError
from .adjusted import logit_adjusted
from .entropy import cross_entropy
from .focal import focal
from .ldam import ldam
from .weights import class_weights

__all__ = ["LOSSES", "Objective", "check"]

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]

LOSSES: dict[str, Callable[[LossSettings, Tensor], Loss]] = {
    "cross-entropy": cross_entropy,
    "focal": focal,
    "logit-adjusted": logit_adjusted,
    "ldam": ldam,
}
"""Losses by the values of `loss.name`: each takes the settings and the samples of each class in training `(K,)`."""


def check(settings: LossSettings) -> None:
    """Raise `ConfigError` for an unknown loss."""
    if settings.name not in LOSSES:
        raise ConfigError(f"loss.name is {settings.name!r}; it must be one of {', '.join(LOSSES)}.")


class Objective:
    """Targets and class weights of a part, on the device; called with logits it gives their summed loss."""

    def __init__(
        self, part: Part, settings: LossSettings, device: torch.device, shares: NDArray[np.float64] | None = None
    ) -> None:
        """`shares` `(n,)` with sum 1 are weights of the samples; the loss must be linear in its target."""
        counts = torch.bincount(torch.from_numpy(part.labels), minlength=len(part.store.labels)).float()
        self.targets = _targets(part, settings).to(device)
        """`(n, K)` float32 distributions, multiplied by n · share of the sample if there are shares."""
        if shares is not None:
            self.targets *= torch.from_numpy(len(shares) * shares).float().to(device)[:, None]
        self.weights = class_weights(settings, counts.to(device))
        """`(K,)` float32 with mean 1 over the samples, or None."""
        self._loss = LOSSES[settings.name](settings, counts.to(device))
        self._from = settings.weights_from
        self._weighing = not self._from

    def start(self, done: float) -> None:
        """Begin an epoch after this share of the training; class weights may apply only from a later one on."""
        self._weighing = done >= self._from

    def __call__(self, logits: Tensor, rows: Tensor) -> Tensor:
        """The sum of the losses of logits `(B, K)` of the samples at positions `rows` `(B,)`."""
        return self._loss(logits.float(), self.targets[rows], self.weights if self._weighing else None)


def _targets(part: Part, settings: LossSettings) -> Tensor:
    classes = len(part.store.labels)
    if settings.soft_labels and part.soft is not None:
        targets = torch.from_numpy(part.soft)
    else:
        targets = functional.one_hot(torch.from_numpy(part.labels), classes).float()
    return targets * (1 - settings.label_smoothing) + settings.label_smoothing / classes
