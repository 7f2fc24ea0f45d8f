"""A small network of values: landmarks, or a row of numbers. In: (B, P, 2) or (B, D) float32. Out: (B, K) logits.

Two hidden layers of 128 x `width`, each with ReLU; `block_dropout` falls between them, `dropout` before the classifier.
Every value is normalised by its own mean and deviation in the training part. One that is not known (NaN) is read as
that mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.errors import DataError
from mien.models.layers import CLASSIFIERS, Network, scaled

__all__ = ["MLP", "mlp"]

HIDDEN = 128


class MLP(Network):
    """Values through two hidden layers. It has no mirror: points are mirrored where the face is read too (`fused`)."""

    def __init__(self, settings: ModelSettings, *, classes: int, numbers: int) -> None:
        super().__init__(numbers)
        hidden = scaled(HIDDEN, settings.width)
        self.features = nn.Sequential(
            nn.Linear(numbers, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(settings.block_dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.reduce = nn.Dropout(settings.dropout)
        self.classifier = CLASSIFIERS[settings.classifier](hidden, classes)

    def pixels(self, images: Tensor) -> Tensor:
        """(B, *shape) -> normalised (B, D); 0 for what is not known. Raises `DataError` where it is not D numbers."""
        values, expected = images.flatten(1), len(self.pixel_mean)
        if values.shape[1] != expected:
            raise DataError(f"Values of shape {tuple(images.shape)} do not fit this network: it takes {expected}.")
        scaled_values = (values.to(self.pixel_std.dtype) / 255 - self.pixel_mean) / self.pixel_std
        return torch.where(torch.isnan(scaled_values), 0.0, scaled_values)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(self.pixels(images)))


def mlp(settings: ModelSettings, *, classes: int, numbers: int) -> Network:
    """For a plane of so many numbers; a point is two."""
    return MLP(settings, classes=classes, numbers=numbers)
