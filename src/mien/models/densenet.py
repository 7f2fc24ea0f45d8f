"""DenseNet-121, DenseNet-BC (Huang 2017, arXiv:1608.06993, table 1).

In: (B, H, W, C) uint8. Out: (B, K) logits. Four dense blocks of 6, 12, 24 and 16 layers; each layer reads all
maps before it in its block and adds 32 channels (growth rate k). Between blocks a transition halves channels
and resolution. Key names and numerics are those of torchvision's `densenet121`: its weights load as they are.

Parameters: 7,978,856 for 1000 classes, 6,961,031 for 7. The published stem (7x7 stride 2, then a pool) leaves
1x1 cells of a face of 48 px; `stem="small"` (3x3 stride 1, no pool) leaves 6x6, and so does `stem="stride1"`
(7x7 stride 1, no pool), which takes published weights unchanged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.models.attention import attention
from mien.models.layers import Network, head_layers, head_stages, scaled
from mien.models.resnet import STEMS

__all__ = ["DenseNet", "densenet121"]

DEPTHS = (6, 12, 24, 16)
GROWTH = 32
STEM_CHANNELS = 64
BOTTLENECK = 4
"""Channels of a layer's 1x1 convolution, in growth rates (the B of DenseNet-BC)."""


class DenseLayer(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3, then dropout, as published (Huang 2017, section 3 and 4.2)."""

    def __init__(self, before: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(before, BOTTLENECK * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        narrow = self.conv1(self.relu1(self.norm1(maps)))
        new: Tensor = self.drop(self.conv2(self.relu2(self.norm2(narrow))))
        return new


class DenseBlock(nn.Module):
    """Dense layers `denselayer1`, `denselayer2`, …, then attention: (B, C, h, w) -> (B, C + depth x growth, h, w)."""

    def __init__(self, before: int, depth: int, growth: int, settings: ModelSettings) -> None:
        super().__init__()
        for index in range(depth):
            layer = DenseLayer(before + index * growth, growth, settings.block_dropout)
            self.add_module(f"denselayer{index + 1}", layer)
        self.attention = attention(settings.attention, before + depth * growth)

    def forward(self, maps: Tensor) -> Tensor:
        for layer in self.children():
            if layer is not self.attention:
                maps = torch.cat([maps, layer(maps)], 1)
        weighed: Tensor = self.attention(maps)
        return weighed


class DenseNet(Network):
    """A stem, four dense blocks with transitions between them, a last BN-ReLU, and a head."""

    def __init__(self, settings: ModelSettings, *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        self.features = blocks(settings)
        self.reduce, self.classifier = head_layers(self, settings, classes=classes, size=size)
        initialise(self)

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """The stem; each dense block with the transition behind it, the fourth with the last norm; the head."""
        names = {n: [f"features.denseblock{n}.", f"features.transition{n}."] for n in range(1, len(DEPTHS))}
        names[len(DEPTHS)] = [f"features.denseblock{len(DEPTHS)}.", "features.norm5."]
        layers = {f"stage{number}": own for number, own in names.items()}
        stem = ("features.conv0.", "features.norm0.")
        return {"stem": stem, **layers, **head_stages("classifier", self.classifier)}


def blocks(settings: ModelSettings) -> nn.Sequential:
    """The convolutional part. The growth rate is scaled to a multiple of 4, the stem to one of 8."""
    channels = scaled(STEM_CHANNELS, settings.width)
    growth = scaled(GROWTH, settings.width, multiple=4)
    layers = stem(settings, channels)
    for number, depth in enumerate(DEPTHS, start=1):
        block = DenseBlock(channels, depth, growth, settings)
        layers.add_module(f"denseblock{number}", block)
        channels += depth * growth
        if number < len(DEPTHS):
            layers.add_module(f"transition{number}", transition(channels))
            channels //= 2
    layers.add_module("norm5", nn.BatchNorm2d(channels))
    layers.add_module("relu5", nn.ReLU(inplace=True))
    return layers


def stem(settings: ModelSettings, channels: int) -> nn.Sequential:
    """The first convolution, and in the published stem its pool."""
    kernel, stride = STEMS[settings.stem]
    conv = nn.Conv2d(settings.in_chans, channels, kernel, stride, padding=kernel // 2, bias=False)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=conv, norm0=nn.BatchNorm2d(channels), relu0=nn.ReLU(inplace=True)
    )
    if stride > 1:
        layers["pool0"] = nn.MaxPool2d(3, stride=2, padding=1)
    return nn.Sequential(layers)


def transition(channels: int) -> nn.Sequential:
    """BN-ReLU-1x1 that halves the channels (the C of DenseNet-BC), then a 2x2 average pool."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


def initialise(network: DenseNet) -> None:
    """Kaiming normal over the inputs for convolutions (He 2015); linear as torch draws it, biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)


def densenet121(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """DenseNet-121; its published head is `gap`."""
    return DenseNet(settings, classes=classes, size=size)
