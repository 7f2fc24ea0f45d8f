"""ResNet-34 (He 2016, arXiv:1512.03385, table 1). In: (B, H, W, C) uint8. Out: (B, K) logits.

Four stages of 3, 4, 6 and 3 basic blocks (two 3x3 convolutions around a shortcut). Key names and numerics are
those of torchvision's `resnet34`: its weights load as they are.

Parameters: 21,797,672 for 1000 classes, 21,288,263 for 7. The published stem (7x7 stride 2, then a pool)
leaves 2x2 cells of a face of 48 px; `stem="small"` (3x3 stride 1, no pool) leaves 6x6, and so does
`stem="stride1"` (7x7 stride 1, no pool), which takes published weights unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mien.config import ModelSettings
from mien.models.attention import attention
from mien.models.layers import Network, Pointwise, head_layers, head_stages, scaled

__all__ = ["STEMS", "BasicBlock", "ResNet", "resnet34"]

DEPTHS = (3, 4, 6, 3)
CHANNELS = (64, 128, 256, 512)
STEMS = {"imagenet": (7, 2), "stride1": (7, 1), "small": (3, 1)}
"""Side and stride of the first convolution; with stride 1 no pool follows. DenseNet has the same."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the shortcut added before the last ReLU (He 2016, figure 2).

    `dropout` falls after the first convolution's ReLU, as in Wide ResNets (Zagoruyko 2016, arXiv:1605.07146);
    the published ResNet has none. Attention comes before the addition.
    """

    def __init__(self, before: int, channels: int, stride: int, settings: ModelSettings) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(settings.block_dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.attention = attention(settings.attention, channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or before != channels:
            self.downsample = nn.Sequential(Pointwise(before, channels, stride), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.drop(self.relu(self.bn1(self.conv1(x))))
        inner = self.attention(self.bn2(self.conv2(inner)))
        out: Tensor = self.relu(inner.add_(self.downsample(x)))
        return out


class ResNet(Network):
    """A stem, four stages of basic blocks, each but the first halving the map, and a head."""

    def __init__(self, settings: ModelSettings, *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        first, second, third, fourth = (scaled(channels, settings.width) for channels in CHANNELS)
        kernel, stride = STEMS[settings.stem]
        self.conv1 = nn.Conv2d(settings.in_chans, first, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if stride == 1 else nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(first, first, DEPTHS[0], 1, settings)
        self.layer2 = stage(first, second, DEPTHS[1], 2, settings)
        self.layer3 = stage(second, third, DEPTHS[2], 2, settings)
        self.layer4 = stage(third, fourth, DEPTHS[3], 2, settings)
        self.reduce, self.fc = head_layers(self, settings, classes=classes, size=size)
        initialise(self)

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """The stem, four stages of blocks, the head."""
        layers = {f"stage{number}": (f"layer{number}.",) for number in range(1, 5)}
        return {"stem": ("conv1.", "bn1."), **layers, **head_stages("fc", self.fc)}

    def features(self, x: Tensor) -> Tensor:
        """Normalised (B, C, H, W) -> map (B, 512 x width, h, w)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps

    def classify(self, maps: Tensor) -> Tensor:
        """Map -> logits (B, K). The classifier is called `fc`, as in torchvision."""
        logits: Tensor = self.fc(self.reduce(maps))
        return logits


def stage(before: int, channels: int, depth: int, stride: int, settings: ModelSettings) -> nn.Sequential:
    """`depth` basic blocks, of which the first changes channels and resolution."""
    first = BasicBlock(before, channels, stride, settings)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1, settings) for _ in range(depth - 1)))


def initialise(network: Network) -> None:
    """Kaiming normal over the outputs for convolutions (He 2015); linear layers as torch draws them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def resnet34(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """ResNet-34; its published head is `gap`."""
    return ResNet(settings, classes=classes, size=size)
