"""RCN-A (Xia 2020, TIP): a recurrent convolution over flow, weighed by its own classifier. Out: (B, K) logits.

In: (B, 60, 60, 3), the flow's u, v and strain. A 5x5 convolution of 32 channels; a recurrent layer whose 3x3
convolution is applied twice with the same weights, its input added each time; an average down to 5x5 cells; a linear
layer. 15,331 parameters for three classes. The attention has none: what the classifier's weights find in a cell, mean
over classes, says how much that cell counts. The paper's count fixes the layers and their two norms; the
sigmoid of the attention, and where the norms stand in the recurrence, are assumed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.models.layers import Network, map_shape

__all__ = ["RCNA", "rcn_a"]

CHANNELS = 32
CELLS = 5
"""The map's side before the classifier."""


class Recurrent(nn.Module):
    """(B, C, h, w) -> (B, C, h, w): x = f(1x1), then twice f(3x3(state) + x), one 3x3 for both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.again = nn.Conv2d(channels, channels, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, maps: Tensor) -> Tensor:
        entered: Tensor = self.enter(maps)
        state = entered
        for norm in self.norms:
            state = torch.relu(norm(self.again(state) + entered))
        return state


class RCNA(Network):
    """The recurrent network with the attention of its classifier."""

    def __init__(self, settings: ModelSettings, *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        self.features = nn.Sequential(
            nn.Conv2d(settings.in_chans, CHANNELS, 5),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout(settings.block_dropout),
            Recurrent(CHANNELS),
            nn.MaxPool2d(2),
        )
        _, height, wide = map_shape(self, size)
        self.register_buffer("down", _averages(height), persistent=False)
        self.register_buffer("across", _averages(wide), persistent=False)
        self.reduce = nn.Sequential(nn.Flatten(), nn.Dropout(settings.dropout))
        self.classifier = nn.Linear(CHANNELS * CELLS * CELLS, classes)

    down: Tensor
    across: Tensor

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 32, h, w) -> (B, K)."""
        cells = self.down @ maps @ self.across.T
        weights = self.classifier.weight.reshape(-1, *cells.shape[1:]).mean(0)  # type: ignore[attr-defined]
        attention = torch.sigmoid((cells * weights).sum(1, keepdim=True))
        return self.classifier(self.reduce(cells * attention))


def rcn_a(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """As published, for planes of at least 20 px with any number of channels."""
    return RCNA(settings, classes=classes, size=size)


def _averages(cells: int) -> Tensor:
    """The (5, cells) matrix whose row i averages the cells from floor(5 i / n) to ceil(5 (i + 1) / n)."""
    spans = [(i * cells // CELLS, -(-(i + 1) * cells // CELLS)) for i in range(CELLS)]
    return torch.tensor([[(start <= c < stop) / (stop - start) for c in range(cells)] for start, stop in spans])
