"""The training part in memory, as uint8: an epoch is slices of one permutation.

Every random draw is a function of (seed, purpose, epoch, step), never of earlier draws. So an interrupted run resumes
at any step with the same draws, and runs with the same seed use the same order.
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..config import NetworkSettings
from ..planes import FACE
from .splits import Part

__all__ = ["Batches", "bootstrap", "generator", "stream"]


def stream(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for one purpose, such as `stream(0, "order", epoch)`."""
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that starts at `stream(seed, *purpose)`."""
    return torch.Generator(device).manual_seed(stream(seed, *purpose))


def bootstrap(seed: int, count: int) -> Tensor:
    """`count` positions of `count` samples, drawn with replacement: about 63.2 % of them are different (Breiman 1996).

    One seed has one draw, whatever the network. A sample that is not drawn is out of the bag of that seed.
    """
    return torch.randint(count, (count,), generator=generator(seed, "bootstrap"))


class Batches:
    """Images and labels of a part, on the device; `epoch` yields the positions of each batch."""

    def __init__(self, part: Part, settings: NetworkSettings, device: torch.device) -> None:
        self.images = torch.from_numpy(part.read()[FACE]).to(device)
        """`(n, H, W, C)` uint8."""
        self.labels = torch.from_numpy(part.labels).to(device)
        """`(n,)` int64."""
        self._seed = settings.seed
        self._sampling = settings.train.sampling
        self._size = settings.train.batch_size

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch. The last batch may be smaller. A single remaining sample joins the batch before,
        because batch norm needs two.
        """
        whole, left = divmod(len(self), self._size)
        return max(1, whole + (left > 1))

    def epoch(self, number: int) -> Iterator[Tensor]:
        """`steps` index tensors: together a permutation of the part, or of what is drawn from it."""
        draws = generator(self._seed, "order", number)
        if self._sampling == "balanced":
            order = torch.multinomial(self._shares(), len(self), replacement=True, generator=draws)
        else:
            order = torch.randperm(len(self), generator=draws)
        if self._sampling == "bootstrap":
            order = bootstrap(self._seed, len(self))[order]
        ends = range(self._size, self._size * self.steps, self._size)
        yield from torch.tensor_split(order.to(self.labels.device), tuple(ends))

    def _shares(self) -> Tensor:
        """Probability of each sample `(n,)` where every class is drawn equally often."""
        labels = self.labels.cpu()
        return 1.0 / labels.bincount()[labels]
