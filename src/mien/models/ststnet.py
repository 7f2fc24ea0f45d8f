"""STSTNet (Liong 2019, FG): three shallow streams over the flow of a micro-expression. Out: (B, K) logits.

In: (B, 28, 28, 3), the flow's u, v and strain. Each stream sees all channels: a 3x3 convolution of 3, 5 or 8 channels,
ReLU, batch norm, max pool 3/3; their 16 maps are averaged over 2x2 cells and classified at once. No layer joins the
maps of a stream, so the three are computed as one convolution of 16 channels: the same arithmetic in half the time.
1,683 parameters for three classes; the 162,051 that circulate are a variant with a hidden layer of 400. The padding of
2 is that of the authors' code; the paper says "same". It was trained with `model.block_dropout=0.5`, Adam 5e-5, batches
of 256.
"""

from __future__ import annotations

from torch import nn

from mien.config import ModelSettings
from mien.models.layers import Network, map_shape

__all__ = ["STSTNet", "ststnet"]

STREAMS = (3, 5, 8)
"""Channels of the three convolutions."""


class STSTNet(Network):
    """Three streams, side by side in one convolution, and one linear layer over every cell."""

    def __init__(self, settings: ModelSettings, *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        self.features = nn.Sequential(
            nn.Conv2d(settings.in_chans, sum(STREAMS), 3, padding=2),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(sum(STREAMS)),
            nn.MaxPool2d(3, 3, padding=1),
            nn.Dropout(settings.block_dropout),
            nn.AvgPool2d(2),
        )
        channels, height, wide = map_shape(self, size)
        self.reduce = nn.Sequential(nn.Flatten(), nn.Dropout(settings.dropout))
        self.classifier = nn.Linear(channels * height * wide, classes)


def ststnet(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """As published, for planes of any size and number of channels."""
    return STSTNet(settings, classes=classes, size=size)
