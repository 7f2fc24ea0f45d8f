"""Attention: a small module that weighs the cells or the channels of a map. A new kind is one file and one line below.

In: a map `(B, C, h, w)`. Out: a map of the same shape. Every network has it at the same kind of place: before the
addition of a residual block, at the end of a dense block, before the pool of a VGG block. So the kind is a factor of a
comparison (`model.attention`), and its cost stands beside its verdict.

Parameters that each kind adds to a network of full width:

============  =========  ===========  =======
kind          ResNet-34  DenseNet-121  VGG-16
============  =========  ===========  =======
`se`            161,196      306,096   77,852
`eca`                74           20       23
`cbam`          162,796      306,496   78,352
`coordinate`    135,496      233,224   63,016
============  =========  ===========  =======
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from mien.models.attention.cbam import ConvolutionalBlockAttention
from mien.models.attention.coordinate import CoordinateAttention
from mien.models.attention.eca import EfficientChannelAttention
from mien.models.attention.se import SqueezeExcitation

__all__ = ["ATTENTION", "attention"]

ATTENTION: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _channels: nn.Identity(),
    "se": SqueezeExcitation,
    "eca": EfficientChannelAttention,
    "cbam": ConvolutionalBlockAttention,
    "coordinate": CoordinateAttention,
}
"""Kinds by the values of `model.attention`: each takes the number of channels."""


def attention(kind: str, channels: int) -> nn.Module:
    """A new module of a kind for maps of `channels` channels."""
    return ATTENTION[kind](channels)
