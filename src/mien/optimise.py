"""How the weights step: the optimizer, the rate at each point of training, the averaged weights.

In: a network and the run's settings. A new optimizer or schedule is a branch here and a word in its setting.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .config import NetworkSettings, OptimizerSettings

__all__ = ["MOMENTS", "average", "build_optimizer", "fuses", "learning_rate"]

MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}
"""Numbers that each optimizer keeps for a weight, in memory and in a checkpoint."""


def build_optimizer(network: nn.Module, settings: NetworkSettings) -> torch.optim.Optimizer:
    """The optimizer of a run. Biases and the parameters of norms, which have one dimension, do not decay."""
    options = settings.optimizer
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    fused = fuses(settings)
    if options.name == "sgd":
        nesterov = options.momentum > 0
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=nesterov, fused=fused)
    kind = torch.optim.AdamW if options.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=options.lr, betas=(options.momentum, 0.999), fused=fused)


def fuses(settings: NetworkSettings) -> bool:
    """Whether the optimizer is fused. In float16 it is not: fused SGD of torch 2.13 keeps an unset momentum there when
    the first step overflows."""
    return settings.train.precision != "float16"


def learning_rate(options: OptimizerSettings, epoch: float, epochs: int) -> float:
    """The rate at a point of training, `epoch` from 0 to `epochs`."""
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
