"""The VGG of section 2.1 of Liu's paper.

Liu, "Comparison of CNN-Based Models in Facial Micro-Expression Classification".
In: (B, H, W, C) uint8. Out: (B, K) logits. The paper names VGG-16, but this section describes a smaller
network. What it says: blocks of two convolutions with max pooling, then a flattened map, fully connected layers
with dropout p = 0.1, and a classifier. What is assumed here, where it is silent or says two things:

- four blocks ("four blocks with two convolutions each"; elsewhere it names five blocks),
- 64, 128, 256 and 512 channels (those of VGG), 3x3 kernels, batch norm and ReLU after each convolution,
- two hidden layers of 4096 (those of VGG), dropout after each of them.

So the published head is `flat`: 3x3 cells x 512 channels at 48 px. Dropout is the shared option and 0 unless
set: `dropout = 0.1` gives section 2.1, 0.2 the paper's "with dropout", 0 its "without".
"""

from __future__ import annotations

from mien.config import ModelSettings
from mien.models.layers import Network
from mien.models.vgg import VGG

__all__ = ["vgg_paper"]

PLAN = ((64, 64), (128, 128), (256, 256), (512, 512))


def vgg_paper(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """The eight-convolution VGG of the paper's section 2.1; its published head is `flat`."""
    return VGG(settings, PLAN, classes=classes, size=size)
