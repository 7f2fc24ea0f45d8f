"""The samples of an epoch in blocks: the pieces in use are open, and the next one is read in the background.

In: a part and its `BlockOrder`. Out: the planes of any samples of the current batch. A piece is read with one call for
each run of neighbouring rows, at its place in the file (`Store.read`), never through a mapping: mapped pages would
stay. It is dropped when the last of its samples is past.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..planes import Batch
from .blocks import BlockOrder
from .splits import Part

__all__ = ["Window"]


class Window:
    """The open pieces of one epoch."""

    def __init__(self, part: Part, planes: Sequence[str], order: BlockOrder, reader: Executor) -> None:
        """Begin an epoch with nothing open; `reader`, of one thread, reads ahead."""
        self._part, self._names, self._order, self._reader = part, planes, order, reader
        first, last = order.uses()
        self._last = last.tolist()
        self._coming = first.argsort(descending=True).tolist()
        self._open: dict[int, Batch] = {}
        self._ahead: tuple[int, Future[Batch]] | None = None

    def reach(self, place: int) -> None:
        """Drop the pieces whose samples all lie before `place` in the order."""
        for piece in [piece for piece in self._open if self._last[piece] < place]:
            del self._open[piece]
        while self._coming and self._last[self._coming[-1]] < place:
            self._coming.pop()

    def planes(self, positions: Tensor) -> list[NDArray[Any]]:
        """The planes `(b, *shape)` of samples of the batch that was reached; raises `DataError` as `Store.read`."""
        pieces, places = (found.tolist() for found in self._order.places(positions))
        read = [(self._piece(piece), place) for piece, place in zip(pieces, places, strict=True)]
        return [np.stack([piece[name][place] for piece, place in read]) for name in self._names]

    def _piece(self, piece: int) -> Batch:
        if piece not in self._open:
            ahead, self._ahead = self._ahead, None
            if ahead:
                self._open[ahead[0]] = ahead[1].result()
            if piece not in self._open:
                self._open[piece] = self._read(piece)
            self._read_ahead()
        return self._open[piece]

    def _read_ahead(self) -> None:
        """Start reading the next needed piece that is not open."""
        while self._coming and self._coming[-1] in self._open:
            self._coming.pop()
        if self._coming:
            piece = self._coming.pop()
            self._ahead = piece, self._reader.submit(self._read, piece)

    def _read(self, piece: int) -> Batch:
        start, end = self._order.starts[piece : piece + 2].tolist()
        rows = self._part.rows[self._order.distinct[start:end].numpy()]
        return self._part.store.read(rows, self._names)
