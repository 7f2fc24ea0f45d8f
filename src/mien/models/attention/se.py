"""Squeeze and excitation (Hu 2018, arXiv:1709.01507): each channel is weighed by what all channels hold on average."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["REDUCTION", "SqueezeExcitation", "bottleneck"]

REDUCTION = 16
"""How many channels share one hidden unit (Hu 2018, section 6.1)."""
FEWEST = 4
"""Hidden units of a narrow map; a single one whose ReLU is shut would shut the gate."""


class SqueezeExcitation(nn.Module):
    """(B, C, h, w) -> (B, C, h, w): global average, C/16 hidden units, a gate in 0..1 for each channel (eq. 2 to 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = bottleneck(channels)

    def forward(self, maps: Tensor) -> Tensor:
        gates: Tensor = self.gate(maps.mean((2, 3))).sigmoid()
        return maps * gates[:, :, None, None]


def bottleneck(channels: int) -> nn.Sequential:
    """(B, C) -> (B, C) by way of C / 16 hidden units, at least four."""
    hidden = max(FEWEST, channels // REDUCTION)
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))
