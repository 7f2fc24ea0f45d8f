"""Efficient channel attention (Wang 2020, arXiv:1910.03151): a channel is weighed by its neighbours.

There are no hidden units. The kernel grows with the logarithm of the channels (eq. 12, gamma = 2, b = 1) and is odd.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

__all__ = ["EfficientChannelAttention", "kernel_size"]


class EfficientChannelAttention(nn.Module):
    """(B, C, h, w) -> (B, C, h, w): global average, a convolution along the channels, a gate in 0..1 for each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = kernel_size(channels)
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        gates: Tensor = self.conv(maps.mean((2, 3))[:, None]).sigmoid()
        return maps * gates[:, 0, :, None, None]


def kernel_size(channels: int) -> int:
    """The odd one of t and t + 1, t = floor((log2 C + 1) / 2).

    >>> [kernel_size(channels) for channels in (64, 128, 256, 1024)]
    [3, 5, 5, 5]
    """
    size = int((math.log2(channels) + 1) / 2)
    return size if size % 2 else size + 1
