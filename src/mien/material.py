"""The data of a training, prepared once and augmented batch by batch.

In: the training part, the part that judges epochs, the settings. Out: a `Material`, which gives the augmented planes of
the samples of a step, their loss, and the samples that judge an epoch.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import NetworkSettings
from .data import augment
from .data.batches import Batches, generator
from .data.splits import Part
from .inference import PREDICT_BATCH
from .losses import Objective
from .planes import Batch
from .ranks import Ranks

__all__ = ["Material"]

JUDGED = 32 * PREDICT_BATCH
"""Number of faces that are read together to judge an epoch, if they are not kept in memory."""


class Material:
    """The data of a training, read once: the training part with its targets, and the faces that judge an epoch."""

    def __init__(
        self,
        training: Part,
        valid: Part,
        settings: NetworkSettings,
        device: torch.device,
        shares: NDArray[np.float64] | None = None,
    ) -> None:
        drawn = shares is not None and settings.boosting.by == "resampling"
        takes = settings.model.taken(training.store.planes)
        self.batches = Batches(training, settings, device, shares if drawn else None)
        self.objective = Objective(training, settings.loss, device, None if drawn else shares)
        self.classes = len(valid.store.labels)
        self.valid_labels = torch.from_numpy(valid.labels)
        self._settings = settings
        self._valid = valid
        self._takes, self._names = takes, [plane.name for plane in takes]
        self._face = training.store.meta.crop.size
        self._kept = None if settings.data.shuffle == "blocks" else valid.read(self._names)

    def start(self, epoch: int) -> None:
        """Set the values of a whole epoch: which pictures are mirrored, their side, the class weights."""
        self.objective.start(epoch / self._settings.train.epochs)
        options, sizes = self._settings.augment, self._settings.train.sizes
        coin = generator(self._settings.seed, "flip", 0 if options.alternate else epoch)
        flips = (torch.rand(len(self.batches), generator=coin) < 0.5) ^ bool(options.alternate and epoch % 2)
        self._flips = (flips & options.flip).to(self.batches.labels.device)
        self._side = sizes[epoch * len(sizes) // self._settings.train.epochs] if sizes else self.batches.side

    def planes(self, rows: Tensor, draws: torch.Generator) -> tuple[Tensor, ...]:
        """The augmented planes of the samples at positions `rows`, in the epoch that was started."""
        options, flips = self._settings.augment, self._flips[rows]
        changes, side = augment.draw(options, len(rows), draws), self.batches.side
        return tuple(
            augment.change(batch, plane, options, changes, flips, side=side, size=self._side, face=self._face)
            for batch, plane in zip(self.batches.planes(rows), self._takes, strict=True)
        )

    def judged(self, ranks: Ranks) -> Iterator[Batch]:
        """This process's share of the samples that judge an epoch, from memory, or some at a time from the disk.

        A share consists of whole batches of `PREDICT_BATCH`, so that a face is always in the same batch, whichever
        process judges it.
        """
        own = ranks.share(len(self._valid), PREDICT_BATCH)
        for start in range(own.start, own.stop, JUDGED):
            some = slice(start, min(start + JUDGED, own.stop))
            if self._kept is None:
                yield self._valid.store.read(self._valid.rows[some], self._names)
            else:
                yield {name: plane[some] for name, plane in self._kept.items()}
