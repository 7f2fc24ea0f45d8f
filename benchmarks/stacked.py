"""Does it pay to train many folds of STSTNet in one vectorised pass? `python benchmarks/stacked.py --threads 1`.

One step (forward and backward) of each fold by itself, against all folds at once by `torch.func.vmap` over stacked
weights. Rounds alternate; the least time of each counts. Said beside: the largest difference of the gradients, with
batch norm by the statistics of each fold's own batch.
"""

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mien.config import ModelSettings
from mien.models import Network, build

ROUNDS = 4
SIDE = 28


class Statistics(nn.BatchNorm2d):
    """Batch norm in training that keeps no running statistics, which a vectorised pass cannot write in place."""

    def forward(self, maps: Tensor) -> Tensor:
        return nn.functional.batch_norm(maps, None, None, self.weight, self.bias, training=True, eps=self.eps)


def vectorised(network: Network) -> Network:
    """A copy whose layers work under `vmap`."""
    changed = copy.deepcopy(network)
    for layer in changed.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.__class__ = Statistics
        elif isinstance(layer, nn.ReLU):
            layer.inplace = False
    return changed


def seconds(work: Callable[[], None]) -> float:
    """Of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured(folds: int, batch: int) -> tuple[float, float, float]:
    """Milliseconds of a step of one fold, apart and stacked, and the largest difference of a gradient."""
    torch.manual_seed(0)
    networks = [build(ModelSettings(name="ststnet", in_chans=3), classes=3, size=SIDE) for _ in range(folds)]
    images = torch.randint(0, 256, (folds, batch, SIDE, SIDE, 3), dtype=torch.uint8)
    weights, buffers = stack_module_state(networks)
    stacked = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    one = vectorised(networks[0])
    together = vmap(lambda own, rest, faces: functional_call(one, (own, rest), (faces,)))

    def apart() -> None:
        for network, faces in zip(networks, images, strict=True):
            network.zero_grad()
            network(faces).square().mean().backward()

    def at_once() -> None:
        for weight in stacked.values():
            weight.grad = None
        (together(stacked, buffers, images).square().mean() * folds).backward()

    for network in networks:
        network.to(memory_format=torch.channels_last)
    times = [(seconds(apart), seconds(at_once)) for _ in range(ROUNDS)][1:]
    gap = max(
        float((weight.grad - stacked[name].grad[place]).abs().max())
        for place, network in enumerate(networks)
        for name, weight in network.named_parameters()
    )
    each, whole = (1000 * min(column) / folds for column in zip(*times, strict=True))
    return each, whole, gap


def main() -> None:
    """A line for each size of a batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folds", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for batch in (4, 16, 64, 256):
        each, whole, gap = measured(options.folds, batch)
        print(f"batch {batch}: apart {each:.2f} ms, stacked {whole:.2f} ms, × {each / whole:.2f}; gradients {gap:.1e}")


if __name__ == "__main__":
    main()
