"""Compact: mien's own family for 48 px faces on a CPU. In: (B, H, W, C) uint8. Out: (B, K) logits.

Basic blocks (He 2016, arXiv:1512.03385) at 12x12, 6x6 and 3x3 cells, under a stem of two 3x3 stride-2
convolutions. On a CPU, dense 3x3 convolutions of many channels on small maps come near the speed of a matrix
product; depthwise convolutions wait for memory, so there are none (`benchmarks/shapes.py`), and no map is larger than
24x24. Any face size will do; multiples of 4 (32, 40, 48 in progressive resizing) waste nothing.

At 48 px, three channels, seven classes:

=========  ==========  ===========
name       parameters  MFLOP, face
=========  ==========  ===========
compact-s      0.30 M           19
compact-m      1.43 M          116
compact-l      5.30 M          373
=========  ==========  ===========
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from mien.config import ModelSettings
from mien.models.layers import Network, head_layers, head_stages, scaled
from mien.models.resnet import initialise, stage

__all__ = ["Compact", "compact_l", "compact_m", "compact_s"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One member of the family, before `width`."""

    stem: tuple[int, int]
    """Channels of the two stem convolutions."""
    channels: tuple[int, int, int]
    """Channels of the three stages."""
    depths: tuple[int, int, int]
    """Basic blocks of the three stages."""


S = Plan(stem=(16, 32), channels=(32, 64, 96), depths=(1, 2, 1))
M = Plan(stem=(32, 64), channels=(64, 128, 160), depths=(2, 3, 1))
L = Plan(stem=(32, 96), channels=(96, 192, 256), depths=(3, 4, 2))


class Compact(Network):
    """A stem, three stages of basic blocks and a head; the published head is `gap`.

    Its `imagenet` stem is already made for 48 px. `stem="small"` keeps the second stem convolution at stride 1: every
    map has twice the resolution and costs four times as much; `stride1` is the same here. `block_dropout` and attention
    are those of ResNet.
    """

    def __init__(self, settings: ModelSettings, plan: Plan, *, classes: int, size: int) -> None:
        super().__init__(settings.in_chans)
        first, second = (scaled(channels, settings.width) for channels in plan.stem)
        stride = 2 if settings.stem == "imagenet" else 1
        layers = nn.Sequential(*conv_norm_relu(settings.in_chans, first, 2), *conv_norm_relu(first, second, stride))
        before = second
        for index, (planned, depth) in enumerate(zip(plan.channels, plan.depths, strict=True)):
            channels = scaled(planned, settings.width)
            blocks = stage(before, channels, depth, 2 if index else 1, settings)
            layers.add_module(f"stage{index + 1}", blocks)
            before = channels
        self.features = layers
        self.reduce, self.classifier = head_layers(self, settings, classes=classes, size=size)
        initialise(self)

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """The two stem convolutions, the stages of blocks, the head."""
        stem = tuple(f"features.{number}." for number in range(6))
        blocks = {f"stage{number}": (f"features.stage{number}.",) for number in range(1, 4)}
        return {"stem": stem, **blocks, **head_stages("classifier", self.classifier)}


def conv_norm_relu(before: int, channels: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A 3x3 convolution, batch norm and ReLU."""
    conv = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
    return conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def compact_s(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """About 19 MFLOP a face: thousands of faces a second on one core."""
    return Compact(settings, S, classes=classes, size=size)


def compact_m(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """About 116 MFLOP a face: the one to export."""
    return Compact(settings, M, classes=classes, size=size)


def compact_l(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """About 373 MFLOP a face."""
    return Compact(settings, L, classes=classes, size=size)
