"""Dual-Inception (Zhou 2019, FG): u and v of the flow, each through two inception blocks. Out: (B, K) logits.

In: (B, 28, 28, C), of which the first two channels are u and v; others are not looked at. A block has four branches of
equal width (1x1; 1x1 and 3x3; 1x1 and 5x5; pool and 1x1): 6 channels each in the first block, 16 in the second, max
pool 2 after both. The joined 6,272 numbers pass one hidden layer of 1,024. 6,449,867 parameters for three classes.
ReLU after every convolution is assumed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.models.layers import Network
from mien.models.offapexnet import OFFApexNet

__all__ = ["dual_inception"]


class Inception(nn.Module):
    """(B, C, h, w) -> (B, 4 W, h, w): four branches of `width` channels side by side."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.one = _conv(before, width, 1)
        self.three = nn.Sequential(_conv(before, width, 1), _conv(width, width, 3))
        self.five = nn.Sequential(_conv(before, width, 1), _conv(width, width, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), _conv(before, width, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in (self.one, self.three, self.five, self.pooled)], dim=1)


def dual_inception(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """As published, for planes of any size."""
    return OFFApexNet(settings, lambda: _stream(settings.block_dropout), 1, classes=classes, size=size)


def _stream(dropout: float) -> nn.Sequential:
    return nn.Sequential(Inception(1, 6), nn.MaxPool2d(2), nn.Dropout(dropout), Inception(24, 16), nn.MaxPool2d(2))


def _conv(before: int, channels: int, side: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, channels, side, padding=side // 2), nn.ReLU(inplace=True))
