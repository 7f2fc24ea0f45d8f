"""The training part as it is stored, in batches: an epoch is slices of one permutation.

The part is in memory: its own, or for a large part the system's one copy of the file, which all processes share. With
`data.shuffle = "blocks"` it stays on the disk, and a window moves over it (`mien.data.window`).

Every random draw is a function of (seed, purpose, epoch, step), never of earlier draws. So an interrupted run resumes
at any step with the same draws, and runs with the same seed use the same order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import NetworkSettings
from ..planes import Plane, side_of
from .blocks import BLOCK_BYTES, LANES, block_order
from .splits import Part
from .store import HEADER_BYTES, Store
from .window import Window

__all__ = ["Batches", "bootstrap", "generator", "stream"]

MAPPED_BYTES = 256 << 20
"""A part with more bytes is not copied into this process, because every process would hold a copy."""


def stream(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for one purpose, such as `stream(0, "order", epoch)`."""
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that starts at `stream(seed, *purpose)`."""
    return torch.Generator(device).manual_seed(stream(seed, *purpose))


def bootstrap(seed: int, count: int) -> Tensor:
    """`count` positions of `count` samples, drawn with replacement: about 63.2 % of them are different (Breiman 1996).

    One seed has one draw, whatever the network. A sample that is not drawn is out-of-bag for that seed.
    """
    return torch.randint(count, (count,), generator=generator(seed, "bootstrap"))


class Batches:
    """Samples of a part in batches: `epoch` yields the positions of each batch, and `planes` returns their planes."""

    def __init__(
        self,
        part: Part,
        settings: NetworkSettings,
        device: torch.device,
        shares: NDArray[np.float64] | None = None,
    ) -> None:
        """`shares` `(n,)` are the probabilities with which each epoch draws its samples, with replacement."""
        self.labels = torch.from_numpy(part.labels).to(device)
        """`(n,)` int64."""
        takes = settings.model.taken(part.store.planes)
        self.side = side_of(takes) or part.store.meta.crop.size
        """Side in pixels of the first plane that has pixels, or else of the face, as stored."""
        self._seed = settings.seed
        self._sampling = settings.train.sampling
        self._size = settings.train.batch_size
        self._samples = _Blocks(part, takes) if settings.data.shuffle == "blocks" else _Memory(part, takes, device)
        self._shares = None if shares is None else torch.from_numpy(shares)

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
        """`steps` index tensors. Together they are a permutation of the part, or of the drawn samples."""
        draws = generator(self._seed, "order", number)
        shares = self._balanced() if self._sampling == "balanced" else self._shares
        if shares is not None:
            chosen = torch.multinomial(shares, len(self), replacement=True, generator=draws)
        elif self._sampling == "bootstrap":
            chosen = bootstrap(self._seed, len(self))
        else:
            chosen = torch.arange(len(self))
        order = self._samples.order(chosen, draws, drawn=shares is not None).to(self.labels.device)
        ends = range(self._size, self._size * self.steps, self._size)
        place = 0
        for rows in torch.tensor_split(order, tuple(ends)):
            self._samples.reach(place)
            place += len(rows)
            yield rows

    def planes(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The planes `(B, *shape)`, on the device, of the samples at positions `rows` `(B,)` of the current batch,
        in the order of `takes`. Raises `DataError` if they cannot be read.
        """
        return self._samples.at(rows)

    def _balanced(self) -> Tensor:
        """Probability of each sample `(n,)` if every class is drawn equally often."""
        labels = self.labels.cpu()
        return 1.0 / labels.bincount()[labels]


class _Memory:
    """All samples of a part in memory, with a full shuffle."""

    def __init__(self, part: Part, takes: Sequence[Plane], device: torch.device) -> None:
        self._rows: Tensor | None = None
        if device.type == "cpu" and len(part) * sum(plane.item_bytes for plane in takes) >= MAPPED_BYTES:
            self._planes = tuple(_mapped(part.store, plane) for plane in takes)
            self._rows = torch.from_numpy(part.rows)
        else:
            batch = part.read([plane.name for plane in takes])
            self._planes = tuple(torch.from_numpy(batch[plane.name]).to(device) for plane in takes)

    def order(self, chosen: Tensor, draws: torch.Generator, *, drawn: bool) -> Tensor:
        """The `chosen` positions in random order; they already have it if they were `drawn` one by one."""
        return chosen if drawn else chosen[torch.randperm(len(chosen), generator=draws)]

    def reach(self, place: int) -> None:
        """Do nothing: all samples stay in memory."""

    def at(self, rows: Tensor) -> tuple[Tensor, ...]:
        places = rows if self._rows is None else self._rows[rows]
        return tuple(plane[places] for plane in self._planes)


class _Blocks:
    """The samples of a part on the disk, with a shuffle in blocks."""

    def __init__(self, part: Part, takes: Sequence[Plane]) -> None:
        self._part, self._reader = part, ThreadPoolExecutor(1)
        self._names = [plane.name for plane in takes]
        self._size = max(1, BLOCK_BYTES // sum(plane.item_bytes for plane in takes))

    def order(self, chosen: Tensor, draws: torch.Generator, *, drawn: bool) -> Tensor:
        """The `chosen` positions in the order of their blocks. The window over them restarts."""
        found = block_order(chosen.sort().values, self._size, draws, LANES)
        self._window = Window(self._part, self._names, found, self._reader)
        return found.order

    def reach(self, place: int) -> None:
        self._window.reach(place)

    def at(self, rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(plane).to(rows.device) for plane in self._window.planes(rows.cpu()))


def _mapped(store: Store, plane: Plane) -> Tensor:
    """A plane `(N, *shape)` of a store, mapped from the file; writes stay private to the process."""
    store.read(np.array([], np.int64))  # it was not replaced meanwhile
    size = HEADER_BYTES + len(store) * plane.item_bytes
    whole = torch.from_file(str(store.file(plane.name)), shared=False, size=size, dtype=torch.uint8)
    return whole[HEADER_BYTES:].view(getattr(torch, plane.dtype)).view(len(store), *plane.shape)
