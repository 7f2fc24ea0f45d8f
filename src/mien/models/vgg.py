"""VGG-16 with batch norm (Simonyan and Zisserman 2015, arXiv:1409.1556, table 1 column D).

In: (B, H, W, C) uint8. Out: (B, K) logits. Thirteen 3x3 convolutions in five blocks, each block followed by a
2x2 max pool. Key names and numerics are those of torchvision's `vgg16_bn`: its weights load as they are.

Parameters with the published head: 138,365,992 for 1000 classes, 134,297,671 for 7, of which 119.6 M are the
head's. A face of 48 px ends in 1x1 cells, one of 224 px in 7x7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from mien.config import ModelSettings
from mien.models.attention import attention
from mien.models.layers import Network, head_layers, head_stages, scaled

__all__ = ["VGG", "vgg16"]

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the convolutions, block by block."""


class VGG(Network):
    """Blocks of 3x3 convolutions with batch norm, each with its max pool, under one of the heads.

    `stem="small"`: VGG has no stem that halves, so here it leaves out the last block's pool: the map has twice the
    resolution (3x3 cells at 48 px) and the weights stay the same; `stride1` is the same here. `block_dropout` follows a
    block. Attention comes before a block's pool.
    """

    def __init__(self, settings: ModelSettings, plan: Sequence[Sequence[int]], *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        self.features, self._blocks = blocks(settings, plan)
        self.reduce, self.classifier = head_layers(self, settings, classes=classes, size=size)
        initialise(self)

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """A stage a block, with its attention; hidden layers; the classifier. There is no stem."""
        return {**self._blocks, **head_stages("classifier", self.classifier)}


def blocks(settings: ModelSettings, plan: Sequence[Sequence[int]]) -> tuple[nn.Sequential, dict[str, tuple[str, ...]]]:
    """The convolutional part, and which of its layers belong to each block.

    Dropout and attention carry names, not numbers, so that torchvision's numbers stay.
    """
    layers, stages = nn.Sequential(), dict[str, tuple[str, ...]]()
    index = 0
    before = settings.in_chans
    for number, block in enumerate(plan, start=1):
        begin = index
        for planned in block:
            channels = scaled(planned, settings.width)
            conv = nn.Conv2d(before, channels, 3, padding=1)
            for layer in (conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)):
                layers.add_module(str(index), layer)
                index += 1
            before = channels
        if settings.attention != "none":
            layers.add_module(f"attention{number}", attention(settings.attention, before))
        names = [*map(str, range(begin, index)), f"attention{number}", f"drop{number}"]
        stages[f"stage{number}"] = tuple(f"features.{name}." for name in names)
        if settings.stem == "imagenet" or number < len(plan):
            layers.add_module(str(index), nn.MaxPool2d(2))
            index += 1
        if settings.block_dropout:
            layers.add_module(f"drop{number}", nn.Dropout(settings.block_dropout))
    return layers, stages


def initialise(network: VGG) -> None:
    """Kaiming normal over the outputs for convolutions (He 2015), N(0, 0.01) for linear layers, biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def vgg16(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """VGG-16 with batch norm; its published head is `fc`."""
    return VGG(settings, VGG16, classes=classes, size=size)
