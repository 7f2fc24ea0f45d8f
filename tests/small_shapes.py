"""Forward and backward through many small shapes, on two threads and channels last.

Run by test_small_shapes.py in a process whose allocator checks itself: a kernel that writes past its memory ends it.
`python tests/small_shapes.py layers` sweeps the kinds of convolution that the networks have, `networks` the networks.
"""

import itertools
import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.errors import ConfigError
from mien.models import NETWORKS, build
from mien.models.layers import Pointwise

LAYERS = {
    "pointwise, step 1": lambda before, channels: Pointwise(before, channels, 1),
    "pointwise, step 2": lambda before, channels: Pointwise(before, channels, 2),
    "3x3": lambda before, channels: nn.Conv2d(before, channels, 3, padding=1, bias=False),
    "3x3, stride 2": lambda before, channels: nn.Conv2d(before, channels, 3, 2, padding=1, bias=False),
}
CHANNELS = (1, 2, 3, 4, 7, 8, 9, 15, 16)
SIDES = (6, 7, 12, 24)
BATCHES = (1, 2, 3, 5)
WIDTHS = (0.01, 0.125, 0.25)


def layers() -> Iterator[str]:
    """One convolution after the other, by its name."""
    for name, before, channels in itertools.product(LAYERS, CHANNELS, CHANNELS):
        layer = LAYERS[name](before, channels).to(memory_format=torch.channels_last)
        for side, batch in itertools.product(SIDES, BATCHES):
            maps = torch.rand(batch, before, side, side).to(memory_format=torch.channels_last)
            _learn(layer, maps.requires_grad_())
        yield f"{name}, {before} to {channels}"


def networks() -> Iterator[str]:
    """All networks at small widths, with either stem, on faces of several sizes."""
    for name, width, stem, size in itertools.product(NETWORKS, WIDTHS, ("imagenet", "small"), (*SIDES, 48)):
        settings = ModelSettings(name=name, width=width, stem=stem, head="gap", in_chans=1 + size % 2 * 2)
        try:
            network = build(settings, classes=3, size=size)
        except ConfigError:
            continue  # too small a face for it
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for batch in BATCHES:
            network.train(batch > 1)  # batch norm of a map of one cell needs two faces
            _learn(network, torch.randint(0, 256, (batch, size, size, settings.in_chans), dtype=torch.uint8))
        yield f"{name}, width {width}, stem {stem}, {size} px"


def _learn(layer: nn.Module, maps: Tensor) -> None:
    for _ in range(2):
        layer(maps).square().sum().backward()


if __name__ == "__main__":
    torch.set_num_threads(2)
    swept = 0
    for shape in {"layers": layers, "networks": networks}[sys.argv[1]]():
        print(shape, flush=True)  # the last line that comes is the one before the crash
        swept += 1
    print(f"swept {swept}")
