"""The order of an epoch if faces are read in blocks, and how well such an order mixes.

A full shuffle needs the whole part in memory, or reads every face from another place of the disk. Here the part is cut
into blocks of neighbouring rows, and the blocks are permuted and dealt to lanes. All lanes advance together: the next
sample is the next one of a lane drawn at random, each lane as often as it has samples. Within a block the samples are
permuted. So each lane has one open block at any time, and a batch has samples from as many places as there are lanes,
throughout the epoch.

The lanes do not change blocks at the same time: lane i begins with the last part of its first block, and ends with the
rest of it. Such a block is cut into two pieces, and each is read once.

In: the positions to train on, the size of a block, a generator. Out: `BlockOrder`. No file is touched here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BLOCK_BYTES", "LANES", "BlockOrder", "Mixing", "block_order", "mixing"]

BLOCK_BYTES = 1 << 20
"""Samples of a block. With `LANES` it defines `data.shuffle = "blocks"`: other values would need another name."""
LANES = 128
"""Blocks that are open at a time."""
STRIPS = 64
"""Number of equal parts of the rows that `mixing` distinguishes."""
TAIL = 0.1
"""Share of the epoch that counts as its end."""


@dataclass(frozen=True)
class BlockOrder:
    """The order of an epoch, and the pieces that its samples are read in."""

    order: Tensor
    """`(n,)` int64 positions of a part, in the order of training; a position may occur several times."""
    distinct: Tensor
    """`(u,)` the positions that occur, ascending."""
    starts: Tensor
    """`(p + 1,)` begin of each piece in `distinct`, and the end of the last one."""

    def places(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The piece of each position, and its place in that piece."""
        found = torch.searchsorted(self.distinct, positions)
        pieces = torch.searchsorted(self.starts, found, right=True) - 1
        return pieces, found - self.starts[pieces]

    def uses(self) -> tuple[Tensor, Tensor]:
        """The first and the last place in `order` that needs each piece, `(p,)` each."""
        pieces, count = self.places(self.order)[0], len(self.order)
        places, blank = torch.arange(count), torch.zeros(len(self.starts) - 1, dtype=torch.int64)
        first = blank.scatter_reduce(0, pieces, places, "amin", include_self=False)
        return first, blank.scatter_reduce(0, pieces, places, "amax", include_self=False)


def block_order(chosen: Tensor, size: int, draws: torch.Generator, lanes: int) -> BlockOrder:
    """The order of an epoch over the positions `chosen` `(n,)`, ascending, in blocks of about `size` of them.

    At most `lanes` blocks are open at a time.

    A position that occurs several times in `chosen` is in one block each time, so the blocks may differ in size.
    """
    edges = [*sorted(set(_whole(chosen, torch.arange(0, len(chosen), size)).tolist())), len(chosen)]
    blocks = torch.randperm(len(edges) - 1, generator=draws).tolist()
    lanes = min(lanes, len(blocks))
    dealt = [
        list(_pieces(chosen, [(edges[b], edges[b + 1]) for b in blocks[lane::lanes]], lane / lanes))
        for lane in range(lanes)
    ]
    own = [sum(end - start for start, end in pieces) for pieces in dealt]
    turns = torch.arange(lanes).repeat_interleave(torch.tensor(own))[torch.randperm(len(chosen), generator=draws)]
    order = torch.empty_like(chosen)
    order[turns.argsort(stable=True)] = torch.cat(
        [chosen[start:end][torch.randperm(end - start, generator=draws)] for pieces in dealt for start, end in pieces]
    )
    starts = torch.tensor(sorted(start for pieces in dealt for start, _ in pieces))
    distinct = chosen[chosen.diff(prepend=chosen[:1] - 1) > 0]
    return BlockOrder(
        order, distinct, torch.cat([torch.searchsorted(distinct, chosen[starts]), torch.tensor([len(distinct)])])
    )


def _pieces(chosen: Tensor, blocks: list[tuple[int, int]], share: float) -> Iterator[tuple[int, int]]:
    """The blocks of a lane, which begins after this share of its first block and ends with that share."""
    first, end = blocks[0]
    cut = int(_whole(chosen, torch.tensor([first + int((end - first) * share)])))
    yield cut, end
    yield from blocks[1:]
    if cut > first:
        yield first, cut


def _whole(chosen: Tensor, places: Tensor) -> Tensor:
    """These indices into `chosen`, moved to the first occurrence of their position."""
    return torch.searchsorted(chosen, chosen[places])


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How well an order mixes samples that are neighbours on the disk; means over the batches."""

    entropy: float
    """Entropy of the places that the rows of a batch come from, relative to a full shuffle: 1 is as good."""
    entropy_at_the_end: float
    """The same over the last tenth of the epoch."""
    classes: float
    """Number of different classes in a batch."""
    classes_at_the_end: float


def mixing(order: Tensor, labels: Tensor, batch: int) -> Mixing:
    """How well an order `(n,)` of the samples with these `labels` `(n,)` mixes them in batches of this size.

    A place is one of `STRIPS` equal parts of the rows. The entropy is Shannon's, of the strips in one batch; the last
    batch, where it is smaller, is left out. Raises `ValueError` if there is no whole batch.
    """
    if len(order) < batch:
        raise ValueError(f"{len(order)} samples are less than one batch of {batch}")
    strips = torch.arange(len(order)) * STRIPS // len(order)
    whole = _entropies(strips[torch.randperm(len(order), generator=torch.Generator().manual_seed(0))], batch)
    found, classes = _entropies(strips[order], batch), _different(labels[order], batch)
    end = -max(1, round(len(found) * TAIL))
    return Mixing(
        entropy=(found.mean() / whole.mean()).item(),
        entropy_at_the_end=(found[end:].mean() / whole.mean()).item(),
        classes=classes.mean().item(),
        classes_at_the_end=classes[end:].mean().item(),
    )


def _counts(values: Tensor, batch: int) -> Tensor:
    """How often each value is in each whole batch: `(batches, values)`."""
    whole = len(values) // batch
    batches = torch.arange(whole).repeat_interleave(batch)
    counts = torch.zeros(whole, int(values.max()) + 1, dtype=torch.float64)
    return counts.index_put_((batches, values[: whole * batch]), torch.ones(1, dtype=torch.float64), accumulate=True)


def _entropies(values: Tensor, batch: int) -> Tensor:
    """The entropy of the values in each whole batch, in nats."""
    shares = _counts(values, batch) / batch
    return -torch.xlogy(shares, shares).sum(1)


def _different(values: Tensor, batch: int) -> Tensor:
    return (_counts(values, batch) > 0).sum(1).double()
