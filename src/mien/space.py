"""The disk space of planned runs, so that a comparison is refused before its first hour and not after its last.

Runs are trained one after the other. So the weights of each run remain, and the checkpoint of one run comes and goes; a
new one is written beside the old one.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch

from .config import ModelSettings, NetworkSettings
from .models import build_on
from .optimise import MOMENTS
from .planes import Plane
from .runs import Run

__all__ = ["bytes_needed", "weight_bytes"]


def bytes_needed(runs: Sequence[Run], *, keep_epochs: bool = False) -> int:
    """Bytes that training these runs takes at most, without logits and logs, which are small beside weights.

    `keep_epochs` counts the weights of every epoch, as `--show-peeking` keeps them until a run has ended.
    """
    kept = largest = 0
    for run in runs:
        if isinstance(run.settings, NetworkSettings):
            takes = run.settings.model.taken(run.data.every_plane)
            weights = weight_bytes(takes, run.settings.model, len(run.data.labels))
            members = max(run.settings.boosting.rounds, run.settings.train.snapshots)
            kept += weights * members
            if members > 1:
                largest = max(largest, weights * members)  # the members' own folders, until they are joined
            largest = max(largest, _while_training(weights, run.settings, keep_epochs))
    return kept + largest


def _while_training(weights: int, settings: NetworkSettings, keep_epochs: bool) -> int:
    """The checkpoint twice (the new one is written before the old one goes), and the weights of a better epoch."""
    step = settings.optimizer
    checkpoint = weights * (1 + bool(step.ema) + MOMENTS[step.name])
    return 2 * checkpoint + 2 * weights + keep_epochs * settings.train.epochs * weights


@lru_cache(maxsize=64)
def weight_bytes(takes: tuple[Plane, ...], settings: ModelSettings, classes: int) -> int:
    """Bytes of a network's weights, counted on a network that holds none: it takes no memory, whatever its width."""
    with torch.device("meta"):
        network = build_on(takes, settings, classes=classes)
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
