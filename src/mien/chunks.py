"""The gradients of one optimizer step, chunk by chunk: chained, or independent, so that several processes can share
them.

With `train.chunks = "chained"`, the random draws and the running averages of batch norm continue from one chunk to the
next. With `"apart"`, the draws of a chunk depend only on (seed, epoch, step, chunk). The averages are updated after the
step, from the mean and the variance of each chunk, in the order of the chunks. Gradients are added in the same order.
So any process can compute any chunk, and the sums are the same numbers.

In: a network in training mode, and a function that takes one chunk forward and backward. Out: the loss and the number
of correct predictions of each chunk, of all processes. The gradients and the averages are in the network.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .ranks import ALONE, Ranks, cut, flat

__all__ = ["Learn", "learn_apart"]

Learn = Callable[[int], tuple[float, float]]
"""Computes the forward and the backward pass of the chunk with this number. Returns the sum of its losses and its
number of correct predictions.
"""


def learn_apart(network: nn.Module, count: int, learn: Learn, ranks: Ranks = ALONE) -> list[tuple[float, float]]:
    """Let every process `learn` its share of the `count` chunks of a step. Returns the losses and correct
    predictions of all chunks.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    own, said, gradients = ranks.share(count), [], []
    with _Norms(network) as norms:
        for number in own:
            said.append(learn(number))
            norms.take()
            if not ranks.leads:
                gradients.append(flat(parameters))
                network.zero_grad(set_to_none=True)
        norms.update(ranks, count)
    ranks.add_up(parameters, gradients, count)
    told = torch.tensor(said, dtype=torch.float64).reshape(-1, 2)
    return [(loss, right) for loss, right in ranks.joined(told, count).tolist()]


class _Norms:
    """The batch norm layers that collect statistics, and their mean and variance in each chunk.

    Their momentum is 1 during a chunk, so a running average equals the chunk's own mean or variance.
    """

    def __init__(self, network: nn.Module) -> None:
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
        self._layers = [layer for layer in norms if layer.training]
        self._momenta = [layer.momentum or 0.0 for layer in self._layers]
        buffers = (average for layer in self._layers for average in (layer.running_mean, layer.running_var))
        self._buffers = [average for average in buffers if average is not None]
        self._average = self._row()
        self._seen: list[Tensor] = []

    def __enter__(self) -> "_Norms":
        for layer in self._layers:
            layer.momentum = 1.0
        return self

    def __exit__(self, *_: object) -> None:
        for layer, momentum in zip(self._layers, self._momenta, strict=True):
            layer.momentum = momentum

    def take(self) -> None:
        """Keep the means and variances of the last chunk."""
        self._seen.append(self._row())

    def update(self, ranks: Ranks, count: int) -> None:
        """Move the averages towards each of the `count` chunks of all processes in turn, by each layer's momentum."""
        if not self._layers:
            return
        own = torch.stack(self._seen) if self._seen else self._average.new_empty(0, len(self._average))
        pairs = zip(self._layers, self._momenta, strict=True)
        momenta = torch.cat([self._average.new_full((2 * layer.num_features,), momentum) for layer, momentum in pairs])
        for seen in ranks.joined(own, count):
            self._average = self._average * (1 - momenta) + seen * momenta
        for buffer, part in zip(self._buffers, cut(self._average, self._buffers), strict=True):
            buffer.copy_(part)
        for layer in self._layers:
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.add_(count - len(self._seen))

    def _row(self) -> Tensor:
        return torch.cat(self._buffers) if self._buffers else torch.empty(0)
