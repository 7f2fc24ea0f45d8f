"""A network before its first step: its weights, its normalisation, and whether it can be trained at all."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from .config import NetworkSettings, TrainSettings
from .data.batches import stream
from .data.splits import Part
from .errors import ConfigError
from .inference import placed
from .models import Network, build_on
from .models.layers import normalises
from .planes import Plane, side_of
from .start import FACES, begin, new_weights

__all__ = ["build_network", "first_weights", "rehearse"]

NORMALISATION_SAMPLES = 4096
"""Number of training samples that give the mean and the deviation of pixels."""
LEAST_SPREAD = 1e-3
"""Smallest deviation of pixels in [0, 1]."""


def build_network(settings: NetworkSettings, training: Part, device: torch.device) -> Network:
    """A new network for a part: weights from the seed's own stream, normalisation from the part's planes.

    If the settings name weights to start from, both come from these.
    """
    store = training.store
    torch.manual_seed(stream(settings.seed, "weights"))
    takes = settings.model.taken(store.planes)
    network = build_on(takes, settings.model, classes=len(store.labels))
    rows = training.rows[:: max(1, len(training) // NORMALISATION_SAMPLES)]
    samples = store.read(rows, [plane.name for plane in takes])
    for branch, plane in zip(network.branches, takes, strict=True):
        sample = samples[plane.name]
        mean, std = _pixels(sample) if plane.kind == "image" else _numbers(sample, plane)
        branch.set_normalisation(mean.tolist(), std.tolist())
    if settings.start.weights:
        sample = samples[takes[0].name]
        begin(network, settings, store.meta.labels, sample[:: max(1, len(sample) // FACES)])
    return placed(network, device)


def first_weights(settings: NetworkSettings, labels: tuple[str, ...], planes: Mapping[str, Plane]) -> str:
    """A sha256 of the weights before the first step, for these planes and classes: equal for equal starts.

    The normalisation of pixels is left out, because it depends on the data. Given weights count by `start.sha256`.
    """
    torch.manual_seed(stream(settings.seed, "weights"))
    network = build_on(settings.model.taken(planes), settings.model, classes=len(labels))
    named = {name: tensor for name, tensor in network.state_dict().items() if not normalises(name)}
    digest = hashlib.sha256(settings.start.sha256.encode())
    for name in new_weights(network, settings, labels) if settings.start.weights else named:
        digest.update(name.encode() + named[name].numpy().tobytes())
    return digest.hexdigest()


def _pixels(images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each channel `(C,)` of images `(n, H, W, C)`, in units of 255."""
    shares = _levels(images) / images[..., 0].size
    levels = np.arange(256) / 255
    mean = shares @ levels
    return mean, np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(1)).clip(LEAST_SPREAD)


def _numbers(sample: NDArray[np.floating], plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of each channel of flow, and of each value of points and numbers, as far as they are known.

    Their units may be tiny, so values without any deviation are left unchanged.
    """
    if plane.kind == "flow":
        mean, std = (getattr(sample, name)(axis=(0, 1, 2), dtype=np.float64) / 255 for name in ("mean", "std"))
    else:
        known = np.ma.masked_invalid(sample.reshape(len(sample), -1))
        mean, std = (np.ma.filled(of(axis=0, dtype=np.float64), 0.0) / 255 for of in (known.mean, known.std))
    return mean, np.where(std > 0, std, 1.0)


def _levels(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Histogram of the levels of each channel of images `(n, H, W, C)`, `(C, 256)`, without a larger copy of them."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for image in images:
        counts += [np.bincount(channel, minlength=256) for channel in image.reshape(-1, len(counts)).T]
    return counts


@torch.no_grad()
def rehearse(settings: NetworkSettings, takes: tuple[Plane, ...], *, classes: int) -> None:
    """Pass the fewest blank samples that training may use through a new network, at every size that it will use.

    Raises `ConfigError` for a network that cannot be built, or cannot be trained with these settings.
    """
    model, options = settings.model, settings.train
    network, size = build_on(takes, model, classes=classes).train(), side_of(takes)
    for side in options.sizes or (size,):
        try:
            network(*network.blank(_fewest(options), side))
        except ValueError:
            raise ConfigError(
                f"{model.name} at {side} px cannot be trained on one face at a time: its batch norm needs two. Set "
                "train.batch_size to 2 or more and train.micro_batch to 3 or more."
            ) from None
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"{model.name} with head {model.head}, made for faces of {size} px, cannot be trained at {side} px "
                f"({reason}). Change train.sizes, or set model.head to gap."
            ) from None


def _fewest(options: TrainSettings) -> int:
    """Samples in the smallest possible chunk."""
    return 1 if options.batch_size == 1 or options.micro_batch in (1, 2) else 2
