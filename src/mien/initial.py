"""A network before its first step: its weights, its normalisation, and whether it can be trained at all."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray

from .config import NetworkSettings, TrainSettings
from .data.batches import stream
from .data.splits import Part
from .errors import ConfigError
from .inference import placed
from .models import Network, build
from .planes import FACE
from .start import FACES, PIXELS, begin, new_weights

__all__ = ["build_network", "first_weights", "rehearse"]

NORMALISATION_SAMPLES = 4096
"""Faces of the training part that the mean and the spread of pixels are taken from."""


def build_network(settings: NetworkSettings, training: Part, device: torch.device) -> Network:
    """A new network for a part: weights from the seed's own stream, normalisation from the part's pixels.

    Where the settings name weights to start from, both are theirs instead.
    """
    store = training.store
    torch.manual_seed(stream(settings.seed, "weights"))
    network = build(settings.model, classes=len(store.labels), size=store.meta.crop.size)
    sample = store.read(training.rows[:: max(1, len(training) // NORMALISATION_SAMPLES)])[FACE]
    shares = _levels(sample) / sample[..., 0].size
    levels = np.arange(256) / 255
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(1))
    network.set_normalisation(mean.tolist(), std.clip(1e-3).tolist())
    if settings.start.weights:
        begin(network, settings, store.meta.labels, sample[:: max(1, len(sample) // FACES)])
    return placed(network, device)


def first_weights(settings: NetworkSettings, labels: tuple[str, ...], size: int) -> str:
    """A sha256 of the weights before the first step, on faces of `size` px of these classes: equal for equal starts.

    The normalisation of pixels, which is the data's, is left out; weights that are taken over count by `start.sha256`.
    """
    torch.manual_seed(stream(settings.seed, "weights"))
    network = build(settings.model, classes=len(labels), size=size)
    named = {name: tensor for name, tensor in network.state_dict().items() if name not in PIXELS}
    digest = hashlib.sha256(settings.start.sha256.encode())
    for name in new_weights(network, settings, labels) if settings.start.weights else named:
        digest.update(name.encode() + named[name].numpy().tobytes())
    return digest.hexdigest()


def _levels(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each channel of images `(n, H, W, C)` has each level: `(C, 256)`, without a larger copy of them."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for image in images:
        counts += [np.bincount(channel, minlength=256) for channel in image.reshape(-1, len(counts)).T]
    return counts


@torch.no_grad()
def rehearse(settings: NetworkSettings, *, classes: int, size: int) -> None:
    """Pass as few blank faces of `size` px through a new network as training ever will, at every size that it will.

    Raises `ConfigError` for a network that cannot be built, or cannot be trained so.
    """
    model, options = settings.model, settings.train
    network = build(model, classes=classes, size=size).train()
    for side in options.sizes or (size,):
        try:
            network(torch.zeros(_fewest(options), side, side, model.in_chans, dtype=torch.uint8))
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
    """Samples in the smallest chunk that can come up."""
    return 1 if options.batch_size == 1 or options.micro_batch in (1, 2) else 2
