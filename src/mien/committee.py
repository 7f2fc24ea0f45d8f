"""Several networks as one: each face passes through all members, and a rule in the same graph joins their answers.

In: networks, the graph of a rule (`mien.ensembles.Rule.graph`), and the rule's fitted parameters. Out: a `Joined`
module. It predicts, is saved and is exported as any network is.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .data.splits import Part
from .ensembles.rule import Tensors
from .inference import predict_logits
from .models import Network

__all__ = ["Joined", "logits_of_members"]

FITTED = "fitted_"
"""Begins the name of a buffer that holds a fitted parameter."""


class Joined(Network):
    """From the planes that its members take to logits `(B, K)`, by a rule. It has no feature map of its own.

    Its saved weights are those of its members. The rule's fitted parameters are not saved with them.
    """

    def __init__(self, members: Sequence[Network], graph: Callable[[Tensors, Tensor], Tensor], fitted: Tensors) -> None:
        nn.Module.__init__(self)
        self.members = nn.ModuleList(members)
        self.networks = tuple(members)
        self._reads = [tuple(plane.name for plane in member.takes) for member in members]
        self.takes = tuple({plane.name: plane for member in members for plane in member.takes}.values())
        self.register_buffer("pixel_mean", torch.zeros(len(members[0].pixel_mean)), persistent=False)
        for name, tensor in fitted.items():
            self.register_buffer(FITTED + name, tensor.float(), persistent=False)
        self._graph, self._names = graph, tuple(fitted)

    def forward(self, *planes: Tensor) -> Tensor:
        given = dict(zip((plane.name for plane in self.takes), planes, strict=True))
        answers = [
            member(*(given[name] for name in names)) for member, names in zip(self.members, self._reads, strict=True)
        ]
        logs = torch.stack([answer.log_softmax(dim=1) for answer in answers])
        return self._graph({name: getattr(self, FITTED + name) for name in self._names}, logs)


def logits_of_members(network: Joined, part: Part) -> NDArray[np.float32]:
    """Logits `(M, n, K)` of each of the M networks on a part."""
    batch = part.read([plane.name for plane in network.takes])
    return np.stack(
        [predict_logits(member, *(batch[plane.name] for plane in member.takes)) for member in network.networks]
    )
