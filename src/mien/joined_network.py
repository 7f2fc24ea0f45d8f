"""The networks of an ensemble as one: each face passes through all members, and the rule is part of the graph.

In: a finished run of an ensemble whose members are networks. Out: a `Joined` module, which `mien.to_onnx` writes as one
file. `JOINS` has each rule of `mien.ensembles.RULES` once more, as operations that ONNX has.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import NetworkSettings
from .ensembles.averages import SMALLEST
from .ensembles.stacking import FLOOR
from .errors import RunError
from .methods.ensemble import fitted_of, members_of, rule_name
from .methods.network import load_network
from .models import Network
from .runs import Run

__all__ = ["JOINS", "Joined", "joined_network"]

Weights = Mapping[str, Tensor]


class Joined(nn.Module):
    """uint8 (B, H, W, C) -> logits (B, K), of all members and the rule."""

    pixel_mean: Tensor

    def __init__(self, members: list[Network], rule: str, fitted: Weights) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("pixel_mean", torch.zeros(len(members[0].pixel_mean)))
        self._join, self._fitted = JOINS[rule], dict(fitted)

    def forward(self, images: Tensor) -> Tensor:
        logs = torch.stack([member(images).log_softmax(dim=1) for member in self.members])
        return self._join(logs, self._fitted)


def joined_network(run: Run) -> Joined:
    """The networks and the rule of a finished ensemble; raises `RunError` where a member is no network."""
    members = members_of(run)
    for member in members:
        if not isinstance(member.settings, NetworkSettings):
            raise RunError(
                f"{run.id} joins {member.id}, which is no network, so it cannot be exported. Join networks alone."
            )
    fitted = {name: torch.from_numpy(array).float() for name, array in fitted_of(run).items()}
    return Joined([load_network(member) for member in members], rule_name(run), fitted).eval()


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


JOINS: Mapping[str, Callable[[Tensor, Weights], Tensor]] = {
    "mean": _mean,
    "logits": _geometric,
    "vote": _vote,
    "weighted": _weighted,
    "greedy": _weighted,
    "stacking": _stacked,
}
