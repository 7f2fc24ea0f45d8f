"""SoftNet (Liong 2021, ICIP): how likely a frame lies in an expression, from flow. For spotting, not for classes.

In: (B, 3, 42, 42) float, the flow's u, v and strain in regions of brows and mouth. Out: (B,) scores. Each channel has a
stream of its own: a 5x5 convolution of 3, 5 or 8 channels, ReLU, max pool 3/3; the 16 maps are pooled by 2 and pass a
hidden layer of 400. 314,817 parameters. It is trained on scores (squared error, SGD 5e-4, batches of 12, 10 epochs).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SIDE", "SoftNet"]

STREAMS = (3, 5, 8)
"""Channels of the convolutions of u, v and strain."""
SIDE = 42
"""Height and width of its input."""
HIDDEN = 400


class SoftNet(nn.Module):
    """Three streams, one number."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(nn.Conv2d(1, channels, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3))
            for channels in STREAMS
        )
        self.score = nn.Sequential(
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(sum(STREAMS) * (SIDE // 6) ** 2, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, 1),
        )

    def forward(self, flow: Tensor) -> Tensor:
        maps = [stream(flow[:, place : place + 1]) for place, stream in enumerate(self.streams)]
        scores: Tensor = self.score(torch.cat(maps, dim=1))[:, 0]
        return scores
