"""What a network costs: parameters, arithmetic and memory, counted rather than timed.

In: a network, and the side of the faces in pixels where it is not that of the store. Out: a `Cost`, of one face.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.models.layers import Network

__all__ = ["Cost", "count"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one face."""

    parameters: int
    """Trained values; running statistics and the normalisation of pixels are not among them."""
    flops: int
    """Of one forward pass: 2 x multiply-adds of convolutions and linear layers; the rest is left out."""
    activation_bytes: int
    """Outputs of all layers of one forward pass in training, which the backward pass reads (in place: once)."""


def count(network: Network, side: int | None = None) -> Cost:
    """Count the cost of one face, or sample of what the network takes, by a forward pass in evaluation mode.

    Its images are `side` x `side` pixels, as they are stored unless given. The mode and the statistics of the network
    stay as they are. Dropout masks are not counted. A network on the meta device is counted without memory.
    """
    flops = 0
    storages: dict[int, int] = {}
    kept: list[Tensor] = []

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flops
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            cells = output.numel() // layer.weight.shape[0]
            flops += 2 * cells * layer.weight.numel()
        kept.append(output)  # alive, so that no later output is given the same address
        storage = output.untyped_storage()
        storages[storage._cdata] = storage.nbytes()  # on the meta device all addresses of data are 0

    leaves = [layer for layer in network.modules() if next(layer.children(), None) is None]
    hooks = [layer.register_forward_hook(see) for layer in leaves]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(*network.blank(1, side, network.pixel_mean.device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return Cost(
        parameters=sum(weight.numel() for weight in network.parameters()),
        flops=flops,
        activation_bytes=sum(storages.values()),
    )
