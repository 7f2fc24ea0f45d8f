"""Optimization: the optimizer, the learning rate at each point of training, the averaged weights.

In: a network and the run's settings. A new optimizer or schedule is a branch here and a word in its setting.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .config import NetworkSettings, OptimizerSettings
from .models import Network
from .models.stages import stages_of

__all__ = ["MOMENTS", "SHARE", "average", "build_optimizer", "fuses", "learning_rate"]

SHARE = "share"
"""Key in each group of an optimizer: its share of the rate."""
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}
"""Number of values that each optimizer keeps for a weight, in memory and in a checkpoint."""


def build_optimizer(network: Network, settings: NetworkSettings) -> torch.optim.Optimizer:
    """The optimizer of a run. Biases and the parameters of norms, which have one dimension, do not decay."""
    options = settings.optimizer
    slowed = _slowed(network, options.layer_decay if settings.start.weights else 1.0)
    groups = [group for stage in slowed for group in _groups(*stage, options)]
    fused = fuses(settings)
    if options.name == "sgd":
        nesterov = options.momentum > 0
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=nesterov, fused=fused)
    kind = torch.optim.AdamW if options.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=options.lr, betas=(options.momentum, 0.999), fused=fused)


def _slowed(network: Network, decay: float) -> Iterator[tuple[Sequence[nn.Parameter], float]]:
    """Parameters that share a rate, with their share of it: those of a stage, or all."""
    if decay == 1:
        yield list(network.parameters()), 1.0
        return
    stages = stages_of(network)
    for place, stage in enumerate(stages, start=1):
        yield stage.parameters, decay ** (len(stages) - place)


def _groups(parameters: Sequence[nn.Parameter], share: float, options: OptimizerSettings) -> Iterator[dict[str, Any]]:
    """The parameters with weight decay, and those without."""
    decayed, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    for own, decay in ((decayed, options.weight_decay), (others, 0.0)):
        if own or share == 1:
            yield {"params": own, "weight_decay": decay, SHARE: share}


def fuses(settings: NetworkSettings) -> bool:
    """Whether the optimizer is fused. In float16 it is not: fused SGD of torch 2.13 keeps an unset momentum there when
    the first step overflows."""
    return settings.train.precision != "float16"


def learning_rate(options: OptimizerSettings, epoch: float, epochs: int, parts: int = 1) -> float:
    """The rate at a point of training, `epoch` from 0 to `epochs`.

    With several `parts` it starts again at the beginning of each (Huang, Li 2017, eq. 2), the first alone with warm-up.
    """
    if parts > 1:
        part, epochs = divmod(epoch, epochs / parts)[0], epochs // parts
        epoch -= part * epochs
        options = replace(options, warmup_epochs=0.0) if part else options
    if epoch < options.warmup_epochs:
        return options.lr * max(epoch / options.warmup_epochs, 1e-3)
    left = (epochs - epoch) / max(epochs - options.warmup_epochs, 1e-9)
    if options.schedule == "onecycle":
        return options.lr * left
    if options.schedule == "cosine":
        return options.lr * (1 - math.cos(math.pi * left)) / 2
    return options.lr


def average(averaged: Mapping[str, Tensor], network: nn.Module, decay: float) -> None:
    """Move the `averaged` weights towards the network's: `decay` of the old, the rest of the new. 0 does nothing."""
    if not decay:
        return
    current = network.state_dict()
    floats = [name for name, tensor in current.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([averaged[n] for n in floats], [current[n] for n in floats], 1 - decay)
    for name in current.keys() - set(floats):
        averaged[name].copy_(current[name])
