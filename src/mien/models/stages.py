"""The stages of a network, from the input to the classifier: what is frozen, and how the rate falls towards the input.

In: a network. Out: its stages, each with the names of its weights. A network names them itself (`Network.stages`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mien.models.layers import Network, normalises

__all__ = ["Stage", "stages_of", "still"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a network that is frozen, thawed and slowed down as one."""

    name: str
    keys: tuple[str, ...]
    """Names of its weights and buffers, in the network's order."""
    modules: tuple[nn.Module, ...]
    """The layers inside it."""
    parameters: tuple[nn.Parameter, ...]


def stages_of(network: Network) -> tuple[Stage, ...]:
    """From the input to the classifier, which is the last. Only the normalisation of pixels belongs to none.

    Raises `ValueError` where a weight belongs to no stage, or to two.
    """
    keys = [key for key in network.state_dict() if not normalises(key)]
    of = {key: [name for name, begins in network.stages.items() if key.startswith(tuple(begins))] for key in keys}
    if wrong := next((key for key, names in of.items() if len(names) != 1), ""):
        raise ValueError(f"{wrong} belongs to the stages {of[wrong]}, and not to one")
    return tuple(
        Stage(
            name=name,
            keys=tuple(key for key in keys if of[key] == [name]),
            modules=tuple(m for path, m in network.named_modules() if f"{path}.".startswith(tuple(begins))),
            parameters=tuple(p for key, p in network.named_parameters() if of[key] == [name]),
        )
        for name, begins in network.stages.items()
    )


def still(stages: Sequence[Stage]) -> None:
    """Put all layers of these stages into evaluation mode: batch norm takes no statistics, dropout drops nothing."""
    for stage in stages:
        for module in stage.modules:
            module.training = False
