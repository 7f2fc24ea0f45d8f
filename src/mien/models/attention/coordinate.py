"""Coordinate attention (Hou 2021, arXiv:2103.02907): channels are weighed by row and by column."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CoordinateAttention"]

REDUCTION = 32
FEWEST = 8
"""Hidden channels are C / 32 and at least 8 (the authors' code)."""


class CoordinateAttention(nn.Module):
    """(B, C, h, w) -> (B, C, h, w).

    The averages of rows and of columns pass one shared 1x1 convolution (eq. 6), and one each gives the gates of the
    rows and of the columns (eq. 7 and 8).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(FEWEST, channels // REDUCTION)
        self.shared = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.rows = nn.Conv2d(hidden, channels, 1)
        self.columns = nn.Conv2d(hidden, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        height = int(maps.shape[2])
        averages = torch.cat([maps.mean(3, keepdim=True), maps.mean(2, keepdim=True).transpose(2, 3)], dim=2)
        hidden = functional.hardswish(self.shared(averages))
        rows: Tensor = self.rows(hidden[:, :, :height]).sigmoid()
        columns: Tensor = self.columns(hidden[:, :, height:]).sigmoid().transpose(2, 3)
        return maps * rows * columns
