"""OFF-ApexNet (Gan 2019, SPIC): u and v of the flow, each with convolutions of its own. Out: (B, K) logits.

In: (B, 28, 28, C), of which the first two channels are u and v; others are not looked at. A stream is two 5x5
convolutions of 6 and 16 channels, each with ReLU and max pool 2; both are joined and pass two hidden layers of 1,024.
2,664,475 parameters for three classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.errors import ConfigError
from mien.models.layers import Network, head_stages, map_shape

__all__ = ["Apart", "OFFApexNet", "offapexnet"]

HIDDEN = 1024


class Apart(nn.Module):
    """(B, C, h, w) -> (B, 2 C', h', w'): u and v each through a stream of its own, side by side."""

    def __init__(self, stream: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.u, self.v = stream(), stream()

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.u(maps[:, :1]), self.v(maps[:, 1:2])], dim=1)


class OFFApexNet(Network):
    """Two streams apart, then hidden layers over every cell of both."""

    def __init__(
        self, settings: ModelSettings, stream: Callable[[], nn.Module], hidden: int, *, classes: int, size: int
    ) -> None:
        if settings.in_chans < 2:
            raise ConfigError(
                f"{settings.name} takes u and v apart; these planes have {settings.in_chans} channel. Give it a plane "
                "of flow, or choose ststnet."
            )
        super().__init__(settings.in_chans)
        self.features = Apart(stream)
        channels, height, wide = map_shape(self, size)
        self.reduce = nn.Flatten()
        layers: list[nn.Module] = []
        before = channels * height * wide
        for _ in range(hidden):
            layers += [nn.Linear(before, HIDDEN), nn.ReLU(inplace=True)]
            before = HIDDEN
        self.classifier = nn.Sequential(*layers, nn.Dropout(settings.dropout), nn.Linear(before, classes))

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """The streams, the hidden layers, the classifier."""
        return {"body": ("features.",), **head_stages("classifier", self.classifier)}


def offapexnet(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """As published, for planes of any size."""
    return OFFApexNet(settings, lambda: _stream(settings.block_dropout), 2, classes=classes, size=size)


def _stream(dropout: float) -> nn.Sequential:
    first = (nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(dropout))
    return nn.Sequential(*first, nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2))
