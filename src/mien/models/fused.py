"""Two planes, a network on each, one classifier: the face beside landmarks, flow or numbers. Out: (B, K) logits.

In: the two planes in batches, as stored. Each branch is a network of mien's without its last layer, so it gives the
vector that this layer would classify; with its own normalisation. How two vectors become one:

=======  ==============================================================================================
late     side by side: (B, D) and (B, E) -> (B, D + E)
gated    a gated multimodal unit (Arevalo 2017, arXiv:1702.01992, eq. of section 3.1), 128 x `width` wide:
         h = z * tanh(V v) + (1 - z) * tanh(W w), z = sigmoid(Z [v, w]), without biases as there
=======  ==============================================================================================

In late fusion the classifier adds what each branch says. A gate can also weigh, sample by sample, which one to hear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.data.augment import mirrored_points, turned
from mien.errors import ConfigError
from mien.models.layers import CLASSIFIERS, Network, scaled
from mien.models.rcn_a import RCNA
from mien.planes import FACE, Plane

__all__ = ["Fused", "Gate"]

GATED = 128
"""Width of the gated vector; Arevalo 2017 chose among 64 to 512."""
LAST = "classifier"
"""The stage of every network that is its last layer alone."""


class Beside(nn.Module):
    """(B, D), (B, E) -> (B, D + E)."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.width = first + second

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second], dim=1)


class Gate(nn.Module):
    """(B, D), (B, E) -> (B, `width`): the gated multimodal unit for two."""

    def __init__(self, first: int, second: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(first, width, bias=False)
        self.second = nn.Linear(second, width, bias=False)
        self.gate = nn.Linear(first + second, width, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        share = torch.sigmoid(self.gate(torch.cat([first, second], dim=1)))
        return share * torch.tanh(self.first(first)) + (1 - share) * torch.tanh(self.second(second))


class Fused(Network):
    """Two branches and one classifier. With `mirror`, both planes are mirrored: the pairs of points change places.

    Its stages are those of the first branch, then the second branch as one (`beside`), the gate (`fusion`), the
    classifier. So `start.frozen` can hold the first branch still and let the second learn.
    """

    def __init__(self, branches: Sequence[Network], settings: ModelSettings, *, classes: int) -> None:
        nn.Module.__init__(self)
        first, second = branches
        self.takes = (*first.takes, *second.takes)
        self._begun = {name: tuple(f"first.{key}" for key in keys) for name, keys in first.stages.items()}
        one, other = (_cut(branch, plane) for branch, plane in zip(branches, self.takes, strict=True))
        self.first, self.beside = first, second
        self.fusion = (
            Gate(one, other, scaled(GATED, settings.width)) if settings.fusion == "gated" else Beside(one, other)
        )
        self.classifier = CLASSIFIERS[settings.classifier](self.fusion.width, classes)
        self.register_buffer("pixel_mean", torch.zeros(len(first.pixel_mean)), persistent=False)

    @property
    def branches(self) -> Sequence[Network]:
        """The network of each plane."""
        return self.first, self.beside

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """Those of the first branch, the second branch, the gate, the classifier."""
        begun = {name: keys for name, keys in self._begun.items() if name != LAST}
        gate = {"fusion": ("fusion.",)} if isinstance(self.fusion, Gate) else {}
        return {**begun, "beside": ("beside.",), **gate, LAST: ("classifier.",)}

    def forward(self, *planes: Tensor) -> Tensor:
        if self.training or not self.mirror:
            return self._answers(*planes)
        both = [
            torch.cat([batch, self._mirrored(batch, plane)]) for batch, plane in zip(planes, self.takes, strict=True)
        ]
        logits = self._answers(*both)
        return logits.reshape(2, -1, logits.shape[1]).mean(0)

    def _answers(self, first: Tensor, second: Tensor) -> Tensor:
        return self.classifier(self.fusion(self.first(first), self.beside(second)))

    def _mirrored(self, batch: Tensor, plane: Plane) -> Tensor:
        if plane.kind == "numbers":
            return batch
        if plane.kind == "points":
            return mirrored_points(batch, plane, next(own.shape[0] for own in self.takes if own.name == FACE))
        return turned(batch, plane.kind)


def _cut(network: Network, plane: Plane) -> int:
    """Take the last layer off a network; returns the length of the vector that it was given.

    Raises `ConfigError` for RCN-A, whose maps are weighed by that layer.
    """
    if isinstance(network, RCNA):
        raise ConfigError(
            f"rcn-a weighs its map by its own classifier, so it cannot read {plane.name} beside another plane. Name "
            "another network in model.name or model.branch."
        )
    key = network.stages[LAST][-1]  # after the dropout before it, where there is one
    path = key.removesuffix(".")
    parent, _, name = path.rpartition(".")
    last = network.get_submodule(path)
    assert isinstance(last, nn.Linear)
    setattr(network.get_submodule(parent), name, nn.Identity())
    return last.in_features
