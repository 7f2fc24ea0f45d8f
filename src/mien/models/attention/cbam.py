"""The convolutional block attention module (Woo 2018, arXiv:1807.06521): first which channels, then which cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.models.attention.se import bottleneck

__all__ = ["ConvolutionalBlockAttention"]

KERNEL = 7
"""Of the convolution over cells; 7 was best (Woo 2018, table 2)."""


class ConvolutionalBlockAttention(nn.Module):
    """(B, C, h, w) -> (B, C, h, w).

    The channel gate has one bottleneck for the average and the maximum over cells (eq. 2). The cell gate is a 7x7
    convolution of the average and the maximum over channels (eq. 3), with the batch norm of the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = bottleneck(channels)
        self.cells = nn.Sequential(nn.Conv2d(2, 1, KERNEL, padding=KERNEL // 2, bias=False), nn.BatchNorm2d(1))

    def forward(self, maps: Tensor) -> Tensor:
        gates: Tensor = self.channels(maps.mean((2, 3))) + self.channels(maps.amax((2, 3)))
        maps = maps * gates.sigmoid()[:, :, None, None]
        both = torch.cat([maps.amax(1, keepdim=True), maps.mean(1, keepdim=True)], dim=1)
        weighed: Tensor = maps * self.cells(both).sigmoid()
        return weighed
