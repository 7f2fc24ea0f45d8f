"""The training part in memory, as uint8: an epoch is slices of one permutation.

Every random draw is a function of (seed, what for, epoch, step), never of what was drawn before. So a run
that was killed goes on at any step with the same draws, and runs with the same seed see the same order.
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..config import TrainSettings
from .splits import Part

__all__ = ["Batches", "generator", "stream"]


def stream(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for one purpose, such as `stream(0, "order", epoch)`."""
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that starts at `stream(seed, *purpose)`."""
    return torch.Generator(device).manual_seed(stream(seed, *purpose))


class Batches:
    """Images and targets of a part, on the device; `epoch` yields the row numbers of each batch."""

    def __init__(self, part: Part, settings: TrainSettings, device: torch.device) -> None:
        self.images = torch.from_numpy(part.images()).to(device)
        """`(n, H, W, C)` uint8."""
        self.labels = torch.from_numpy(part.labels).to(device)
        """`(n,)` int64."""
        self.targets = _targets(part, settings).to(device)
        """`(n, K)` float32 distributions."""
        self._settings = settings

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch. The last batch may be smaller, but for one sample left over, which batch norm
        cannot do with: it joins the batch before."""
        whole, left = divmod(len(self), self._settings.batch_size)
        return max(1, whole + (left > 1))

    def epoch(self, number: int) -> Iterator[Tensor]:
        """`steps` index tensors that together are one permutation of the part, made for this epoch."""
        order = torch.randperm(len(self), generator=generator(self._settings.seed, "order", number))
        size = self._settings.batch_size
        yield from torch.tensor_split(order.to(self.labels.device), tuple(range(size, size * self.steps, size)))


def _targets(part: Part, settings: TrainSettings) -> Tensor:
    classes = len(part.store.labels)
    if settings.soft_labels and part.soft is not None:
        targets = torch.from_numpy(part.soft)
    else:
        targets = torch.nn.functional.one_hot(torch.from_numpy(part.labels), classes).float()
    return targets * (1 - settings.label_smoothing) + settings.label_smoothing / classes
