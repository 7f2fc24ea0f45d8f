"""Several networks as one: each face passes through all members, and a rule in the same graph joins their answers.

In: networks, and what the rule has fitted. Out: a `Joined` module, which predicts, is saved and is exported as any
network is. `JOINS` has each rule of `mien.ensembles.RULES` once more, as operations that ONNX has, and the votes of
boosting.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .ensembles.averages import SMALLEST
from .ensembles.stacking import FLOOR
from .models import Network

__all__ = ["JOINS", "VOTES", "Joined"]

Weights = Mapping[str, Tensor]
FITTED = "fitted_"
VOTES = "votes"
"""The rule of boosting: each member votes for its prediction, and its vote counts `alphas` `(M,)`."""


class Joined(Network):
    """The planes that its members take -> logits (B, K), by the rule. It has no map of features of its own.

    Its saved weights are those of its members; what the rule has fitted is given when it is made.
    """

    def __init__(self, members: Sequence[Network], rule: str, fitted: Weights) -> None:
        nn.Module.__init__(self)
        self.members = nn.ModuleList(members)
        self.networks = tuple(members)
        self._reads = [tuple(plane.name for plane in member.takes) for member in members]
        self.takes = tuple({plane.name: plane for member in members for plane in member.takes}.values())
        self.register_buffer("pixel_mean", torch.zeros(len(members[0].pixel_mean)), persistent=False)
        for name, tensor in fitted.items():
            self.register_buffer(FITTED + name, tensor.float(), persistent=False)
        self._join, self._names = JOINS[rule], tuple(fitted)

    def forward(self, *planes: Tensor) -> Tensor:
        given = dict(zip((plane.name for plane in self.takes), planes, strict=True))
        answers = [
            member(*(given[name] for name in names)) for member, names in zip(self.members, self._reads, strict=True)
        ]
        logs = torch.stack([answer.log_softmax(dim=1) for answer in answers])
        return self._join(logs, {name: getattr(self, FITTED + name) for name in self._names})


def _pooled(logs: Tensor, weights: Tensor) -> Tensor:
    return (logs.exp() * weights[:, None, None]).sum(0).clamp(min=SMALLEST).log()


def _mean(logs: Tensor, _fitted: Weights) -> Tensor:
    return logs.exp().mean(0).clamp(min=SMALLEST).log()


def _geometric(logs: Tensor, _fitted: Weights) -> Tensor:
    return logs.mean(0)


def _vote(logs: Tensor, _fitted: Weights) -> Tensor:
    votes = functional.one_hot(logs.argmax(2), logs.shape[2]).sum(0)
    return ((votes + logs.exp().mean(0)) / (logs.shape[0] + 1)).clamp(min=SMALLEST).log()


def _weighted(logs: Tensor, fitted: Weights) -> Tensor:
    return _pooled(logs, fitted["weights"])


def _stacked(logs: Tensor, fitted: Weights) -> Tensor:
    columns = logs.clamp(min=FLOOR).permute(1, 0, 2).flatten(1)
    return functional.linear(columns, fitted["weights"].flatten(1), fitted["shift"])


def _boosted(logs: Tensor, fitted: Weights) -> Tensor:
    """Weighted votes. Their softmax is the class probabilities that Zhu 2009 derives from the exponential loss."""
    votes = functional.one_hot(logs.argmax(2), logs.shape[2])
    return (votes * fitted["alphas"][:, None, None]).sum(0)


JOINS: Mapping[str, Callable[[Tensor, Weights], Tensor]] = {
    "mean": _mean,
    "logits": _geometric,
    "vote": _vote,
    "weighted": _weighted,
    "greedy": _weighted,
    "stacking": _stacked,
    VOTES: _boosted,
}
