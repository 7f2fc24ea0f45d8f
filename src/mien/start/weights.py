"""The weights of an origin: first names and shapes, then each weight on request.

In: an origin (`mien.origins`) and the network that is to have its weights. Out: `Weights`, under the network's own
names. Nothing is unpickled but the one file whose sha256 is known.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..config import NetworkSettings
from ..errors import ConfigError
from ..from_onnx import Model, read_model
from ..models import Network
from ..models.foreign import own_names
from ..models.layers import Pointwise
from ..origins import Origin
from ..shown import first_line

__all__ = ["PIXELS", "Weights", "read_weights", "reading_tensors"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the pixels that torchvision's and timm's networks were trained on (ImageNet)."""
OTHERS = {"efficientnet-lite0": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))}
PIXELS = ("pixel_mean", "pixel_std")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of an origin, under mien's names."""

    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]
    """A weight by its name, from the file."""
    mean: tuple[float, ...]
    """Of each channel of its pixels in [0, 1]."""
    std: tuple[float, ...]
    labels: tuple[str, ...] = ()
    """Classes of its classifier; empty where the file does not say."""
    folded: tuple[str, ...] = ()
    """Names of the batch norms that have no statistics, because they were folded into convolutions."""


def read_weights(origin: Origin, settings: NetworkSettings, network: Network) -> Weights:
    """What an origin holds, under the names of a network; its weights are read when they are asked for.

    Raises `ConfigError` where the file is damaged or is of another network, `BundleError` for a model file.
    """
    name = settings.model.name
    if origin.kind == "model":
        model = read_model(origin.file)
        _check_model(origin, settings, model, network)
        return _unpacked(model, network)
    with reading_tensors(origin):
        if origin.kind == "published":
            tensors = torch.load(origin.file, map_location="cpu", weights_only=True)
            return _foreign(name, {key: tuple(tensor.shape) for key, tensor in tensors.items()}, tensors.__getitem__)
        with safe_open(origin.file, "pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            pixels = [file.get_tensor(key).double().tolist() for key in PIXELS if len(shapes.get(key, ())) == 1]
    found = _foreign(name, shapes, lambda key: _tensor(origin, key))
    if len(pixels) == len(PIXELS):
        found = replace(found, mean=tuple(pixels[0]), std=tuple(pixels[1]))
    return replace(found, labels=origin.run.data.labels) if origin.kind == "run" else found


def _tensor(origin: Origin, key: str) -> Tensor:
    with safe_open(origin.file, "pt") as file:
        tensor: Tensor = file.get_tensor(key)
        return tensor


def _foreign(name: str, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Tensor]) -> Weights:
    """Weights under their own names, as those of the network called `name`."""
    mean, std = OTHERS.get(name, (MEAN, STD))
    theirs = {own: key for key, own in own_names(name, shapes).items() if key not in PIXELS}
    return Weights(
        shapes={own: shapes[key] for own, key in theirs.items()},
        read=lambda own: read(theirs[own]),
        mean=mean,
        std=std,
    )


def _unpacked(model: Model, network: Network) -> Weights:
    """The weights of a model file, with a batch norm that changes nothing but adds the bias of its convolution."""
    tensors = {key: torch.from_numpy(array) for key, array in model.arrays.items()}
    folded, before = [], ""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            before = name
        elif isinstance(layer, nn.BatchNorm2d) and f"{name}.weight" not in tensors and f"{before}.bias" in tensors:
            bias = tensors.pop(f"{before}.bias")
            if f"{before}.bias" in network.state_dict():
                tensors[f"{before}.bias"] = torch.zeros_like(bias)
            zeros, ones = torch.zeros_like(bias), torch.ones_like(bias)
            stats = {"weight": ones, "bias": bias, "running_mean": zeros, "running_var": ones - layer.eps}
            tensors |= {f"{name}.{key}": tensor for key, tensor in stats.items()}
            folded.append(name)
    return Weights(
        shapes={key: tuple(tensor.shape) for key, tensor in tensors.items()},
        read=tensors.__getitem__,
        mean=model.mean,
        std=model.std,
        labels=model.card.labels,
        folded=tuple(folded),
    )


def _check_model(origin: Origin, settings: NetworkSettings, model: Model, network: Network) -> None:
    """Refuse a model file of another network, or with the stem of another."""
    name = settings.model.name
    if model.card.network != name:
        raise ConfigError(
            f"start.weights: {origin.name} is of {model.card.network}, and model.name is {name}. "
            f"Set model.name={model.card.network}."
        )
    for path, layer in network.named_modules():
        stride = layer.step if isinstance(layer, Pointwise) else layer.stride[0] if isinstance(layer, nn.Conv2d) else 0
        if stride and model.strides.get(f"{path}.weight", stride) != stride:
            other = "small" if settings.model.stem == "imagenet" else "imagenet"
            raise ConfigError(
                f"start.weights: {origin.name} was made with another stem than model.stem={settings.model.stem}: its "
                f"{path} has stride {model.strides[f'{path}.weight']}. Set model.stem={other}."
            )


@contextmanager
def reading_tensors(origin: Origin) -> Iterator[None]:
    """Surrounds the reading of a file of tensors: any fault becomes one sentence."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"start.weights: {origin.file} cannot be read ({first_line(error)}). A file of tensors is NAME.safetensors."
        ) from None
