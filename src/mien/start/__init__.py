"""Weights that a network starts from: read, matched name by name, and fitted to its faces and classes.

In: a network with random weights, and an origin (`mien.origins`). Out: the same network with the origin's weights and
normalisation, and a record of the taken weights. Every weight must exist in its shape. Only these may be new: the
classifier with the hidden layers of the head, attention modules, and a first convolution with another kernel. Names and
shapes are compared by the header of a file before a weight is read. Nothing is unpickled but the one file whose sha256
is known.

    weights   the weights of an origin
    fit       which of it a network takes, and which of its own weights are new
    seen      whether it has seen the faces of the test
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config import NetworkSettings
from ..data.store import Store
from ..errors import ConfigError
from ..models import Network, sketch_on
from ..models.stages import stages_of
from ..origins import Origin, find_origin
from ..planes import FACE
from ..words import listed
from .fit import Fit, fit_of
from .seen import check_folds, corpora_of, seen_words
from .weights import PIXELS, Weights, read_weights, reading_tensors

__all__ = ["FACES", "PIXELS", "begin", "check_start", "describe_start", "new_weights"]

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in a grey face (ITU-R BT.601), as `mien data prepare --grey` makes it."""
FACES, BATCH = 512, 64
"""Number of faces for the statistics of batch norm if a model file has it folded into its convolutions."""


def check_start(settings: NetworkSettings, store: Store) -> None:
    """Raise `ConfigError`, one sentence, for weights that the network cannot start from on this store."""
    if settings.start.weights:
        origin = find_origin(settings.start.weights, settings.model.name)
        network = sketch_on(settings.model.taken(store.planes), settings.model, classes=len(store.labels))
        fit_of(network, settings, read_weights(origin, settings, network), store.meta.labels)
        check_folds(origin, settings, store)


def begin(network: Network, settings: NetworkSettings, labels: Sequence[str], faces: NDArray[Any]) -> None:
    """Give a network on the CPU the weights and, for faces, the normalisation that its settings name.

    Args:
        network: with the weights that stay where the origin has none.
        settings: of the run, with `start.weights`.
        labels: of the network's classes.
        faces: `(n, H, W, C)` of the plane that it reads, of the training part: for batch norm that a model file has
            folded away.

    Raises:
        ConfigError: the weights are gone, were changed, or do not fit.
    """
    origin = find_origin(settings.start.weights, settings.model.name)
    if origin.sha256 != settings.start.sha256:
        raise ConfigError(
            f"{origin.file} was changed since this run was planned: its sha256 was {settings.start.sha256[:12]}… and "
            f"is {origin.sha256[:12]}…. Put the old file back, or run the command anew: it plans other runs."
        )
    weights = read_weights(origin, settings, network)
    fit = fit_of(network, settings, weights, tuple(labels))
    own = network.state_dict()
    last = stages_of(network)[-1].keys
    with reading_tensors(origin):
        for name in fit.taken:
            tensor = weights.read(name)
            if name in last:
                tensor = tensor[list(fit.rows)]
            if name == fit.first:
                tensor = _recoloured(tensor, own[name].shape[1])
            own[name].copy_(tensor.reshape(own[name].shape))
    channels = len(network.pixel_mean)
    if settings.model.plane == FACE:  # other planes have their own units
        network.set_normalisation(_channels(weights.mean, channels), _channels(weights.std, channels))
    if weights.folded:
        _unfold(network, set(weights.folded), faces[:: max(1, len(faces) // FACES)])


def new_weights(network: Network, settings: NetworkSettings, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the weights that the origin does not have, and that the seed draws.

    Raises `ConfigError` as `check_start` does.
    """
    origin = find_origin(settings.start.weights, settings.model.name)
    return fit_of(network, settings, read_weights(origin, settings, network), labels).new


def describe_start(settings: NetworkSettings, store: Store) -> dict[str, str]:
    """The facts about the initial weights for `env.json`; empty for random ones."""
    if not settings.start.weights:
        return {}
    origin = find_origin(settings.start.weights, settings.model.name)
    network = sketch_on(settings.model.taken(store.planes), settings.model, classes=len(store.labels))
    weights = read_weights(origin, settings, network)
    fit = fit_of(network, settings, weights, store.meta.labels)
    facts = {
        "weights": origin.name,
        "sha256": settings.start.sha256,
        "said": _taken_words(origin, settings, fit, network, weights),
        "normalisation": f"mean {_numbers(weights.mean)}, deviation {_numbers(weights.std)}",
        "new": ", ".join(fit.new),
    }
    more = {"corpora": corpora_of(origin), "seen": seen_words(origin, store)}
    return facts | {name: words for name, words in more.items() if words}


@torch.no_grad()
def _unfold(network: Network, names: set[str], faces: NDArray[Any]) -> None:
    """Give these batch norms the statistics of some faces, and the matching scale and shift: the logits stay equal.

    In training, batch norm divides by the deviation of its batch. One that says "deviation 1" of maps that have another
    would turn the network into another at its first step.
    """
    sums: dict[str, list[tuple[int, Tensor]]] = {name: [] for name in names}
    layers = {name: layer for name, layer in network.named_modules() if name in names}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def see(_layer: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
            maps = inputs[0].double()
            moments = torch.stack([maps.mean((0, 2, 3)), maps.square().mean((0, 2, 3))])
            sums[name].append((len(maps), moments))  # with `mirror`, twice as many as faces

        return see

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    mode = network.training
    try:
        for chunk in np.split(faces, range(BATCH, len(faces), BATCH)):
            network.eval()(torch.from_numpy(np.ascontiguousarray(chunk)))
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()
    for name, layer in layers.items():
        count = sum(number for number, _ in sums[name])
        mean, square = torch.stack([number * moments for number, moments in sums[name]]).sum(0) / count
        variance = (square - mean.square()).clamp_min(0)
        own = layer.state_dict()
        own["running_mean"].copy_(mean)
        own["running_var"].copy_(variance)
        own["weight"].copy_((variance + layer.eps).sqrt())
        own["bias"].add_(mean.to(own["bias"].dtype))


def _recoloured(kernel: Tensor, channels: int) -> Tensor:
    """A first kernel `(C', C, h, w)` for other channels: summed for grey, or spread over red, green and blue so that a
    face in colour gives what its grey one gave."""
    if channels == 1:
        return kernel.sum(1, keepdim=True)
    return kernel * kernel.new_tensor(LUMA)[None, :, None, None]


def _channels(values: Sequence[float], channels: int) -> list[float]:
    """Means or deviations for other channels: their average for grey, the same for each colour."""
    return list(values) if len(values) == channels else [float(np.mean(values))] * channels


def _taken_words(origin: Origin, settings: NetworkSettings, fit: Fit, network: Network, weights: Weights) -> str:
    """One or two sentences on the taken weights and the new ones."""
    own = dict(network.named_parameters())
    taken = sum(own[name].numel() for name in fit.taken if name in own)
    total = sum(parameter.numel() for parameter in own.values())
    new = [name for name in fit.new if name in own]
    words = f"{taken / 1e6:.2f} of {total / 1e6:.2f} M parameters were taken over"
    words += f"; random were {listed(new[:3])}{' and others' * (len(new) > 3)}" if new else ""
    kernel = (
        " The first kernel was summed over red, green and blue."
        if len(network.pixel_mean) == 1
        else (" The first kernel was spread over red, green and blue.")
    )
    words += "." + kernel * bool(fit.first)
    if weights.folded:
        words += (
            " The file has batch norm folded into its convolutions: it got the statistics of "
            f"{FACES} training faces, which leaves the logits as they were."
        )
    return words


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
