"""Weights that a network starts from: read, matched name by name, and fitted to its faces and classes.

In: a network with random weights, and an origin (`mien.origins`). Out: the same network with the origin's weights and
normalisation, and what was taken. Every weight has to be there, in its shape. New may be: the classifier (hidden layers
of the head too), modules of attention, and a first convolution with another kernel. Names and shapes are compared by
the header of a file before a weight is read. Nothing is unpickled but the one file whose sha256 is known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .bundle import Bundle
from .config import DataSettings, NetworkSettings
from .data.store import Store
from .errors import ConfigError, DataError
from .familiar import count_copies, familiar
from .from_onnx import Model, read_model
from .models import Network, sketch
from .models.foreign import own_names
from .models.layers import Pointwise
from .models.stages import stages_of
from .origins import Origin, find_origin
from .planes import FACE
from .shown import first_line
from .words import listed, many

__all__ = ["begin", "check_start", "describe_start"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels that torchvision's and timm's networks were trained on (ImageNet)."""
OTHERS = {"efficientnet-lite0": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))}
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in a grey face (ITU-R BT.601), as `mien data prepare --grey` makes it."""
PIXELS = ("pixel_mean", "pixel_std")
COUNTER = "num_batches_tracked"
FACES, BATCH = 512, 64
"""Faces that batch norm is given its statistics from, where a model file has it folded into its convolutions."""
HEAD = ("hidden", "classifier")
WITHIN: dict[str, Any] = {
    name: getattr(DataSettings(), name) for name in ("train_limit", "label_noise", "valid_fraction")
}
"""Settings of the data that move no face into the test or out of it."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What an origin holds, under mien's names."""

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


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Which weights of a network come from an origin, and which are new."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    """Weights of the origin's head that the network has no place for."""
    rows: tuple[int, ...] = ()
    """The origin's class of each class of the network, where its classifier is taken."""
    first: str = ""
    """The first convolution, where its channels are fitted."""


def check_start(settings: NetworkSettings, store: Store) -> None:
    """Raise `ConfigError`, one sentence, for weights that the network cannot start from on this store."""
    if settings.start.weights:
        origin = find_origin(settings.start.weights, settings.model.name)
        network = sketch(settings.model, classes=len(store.labels), size=store.meta.crop.size)
        fit_of(network, settings, read_weights(origin, settings, network), store.meta.labels)
        _check_folds(origin, settings, store)


def begin(network: Network, settings: NetworkSettings, labels: Sequence[str], faces: NDArray[np.uint8]) -> None:
    """Give a network on the CPU the weights and the normalisation that its settings name.

    Args:
        network: with the weights that stay where the origin has none.
        settings: of the run, with `start.weights`.
        labels: of the network's classes.
        faces: `(n, H, W, C)` uint8 of the training part, for batch norm that a model file has folded away.

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
    with _reading(origin):
        for name in fit.taken:
            tensor = weights.read(name)
            if name in last:
                tensor = tensor[list(fit.rows)]
            if name == fit.first:
                tensor = _recoloured(tensor, own[name].shape[1])
            own[name].copy_(tensor.reshape(own[name].shape))
    channels = len(network.pixel_mean)
    network.set_normalisation(_channels(weights.mean, channels), _channels(weights.std, channels))
    if weights.folded:
        _unfold(network, set(weights.folded), faces[:: max(1, len(faces) // FACES)])


def fit_of(network: Network, settings: NetworkSettings, weights: Weights, labels: tuple[str, ...]) -> Fit:
    """Match weights with a network, name by name; raises `ConfigError` for the first that does not fit."""
    named = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if name not in PIXELS}
    stages = {stage.name: stage.keys for stage in stages_of(network)}
    last = stages["classifier"]
    optional = {key for name in HEAD for key in stages.get(name, ())} | {key for key in named if ".attention" in key}
    first = next(name for name, shape in named.items() if len(shape) == 4)
    rows = _rows(weights, last, named, labels)
    taken, new, recoloured = list[str](), list[str](), ""
    for name, shape in named.items():
        seen = weights.shapes.get(name)
        if name in last:
            (taken if rows else new).append(name)
        elif seen is not None and (seen == shape or (name in optional and _flat(seen) == shape)):
            taken.append(name)
        elif name == first and seen is not None and (seen[0], *seen[2:]) == (shape[0], *shape[2:]):
            _check_channels(seen[1], shape[1], settings)
            taken.append(name)
            recoloured = name
        elif name in optional or (name == first and seen is not None and seen[:1] == shape[:1]):
            new.append(name)
        elif not name.endswith(COUNTER):
            raise ConfigError(_misfit(settings, name, shape, seen))
    head = tuple({key.partition(".")[0] + "." for key in last})
    extra = [name for name in weights.shapes if name not in named]
    dropped = tuple(name for name in extra if name.startswith(head) and name.partition(".")[0] != "features")
    if strange := next((name for name in extra if name not in dropped), ""):
        raise ConfigError(_misfit(settings, strange, None, weights.shapes[strange]))
    return Fit(taken=tuple(taken), new=tuple(new), dropped=dropped, rows=rows, first=recoloured)


def describe_start(settings: NetworkSettings, store: Store) -> dict[str, str]:
    """What `env.json` says of the weights that a run starts from; empty for random ones."""
    if not settings.start.weights:
        return {}
    origin = find_origin(settings.start.weights, settings.model.name)
    network = sketch(settings.model, classes=len(store.labels), size=store.meta.crop.size)
    weights = read_weights(origin, settings, network)
    fit = fit_of(network, settings, weights, store.meta.labels)
    facts = {
        "weights": origin.name,
        "sha256": settings.start.sha256,
        "said": _said(origin, settings, fit, network, weights),
        "normalisation": f"mean {_numbers(weights.mean)}, deviation {_numbers(weights.std)}",
        "new": ", ".join(fit.new),
    }
    seen = seen_words(origin, store)
    return facts | ({"seen": seen} if seen else {})


def seen_words(origin: Origin, store: Store) -> str:
    """What a reader must know of the faces that weights were trained on; empty where nothing links them to these."""
    name = f"What it starts from, {origin.name},"
    if origin.kind == "model":
        card = Bundle.open(origin.file).card
        return familiar(name, card.corpus, card.fingerprint, store, "test")[0]
    if origin.kind != "run" or origin.run.data.fingerprint == store.meta.sha256:
        return ""  # of the same store other folds are refused, and a holdout's test was set aside
    data = origin.run.data
    words, _ = familiar(name, data.corpus, data.fingerprint, store, "test")
    return f"{words} {_copies(origin, store)}".strip()


def _copies(origin: Origin, store: Store) -> str:
    """How many of the faces that may be tested on were trained or chosen on, where that store is still there."""
    run = origin.run
    try:
        other = Store.open(run.data.store)
    except DataError:
        return ""
    rows = store.rows("test") if len(store.rows("test")) else np.arange(len(store))
    if other.meta.sha256 != run.data.fingerprint or other.meta.crop.plane.shape != store.meta.crop.plane.shape:
        return ""
    batches = (store.read(part)[FACE] for part in np.split(rows, range(1024, len(rows), 1024)))
    equal = count_copies(other, other.samples.split != "test", batches)
    return f"Of {len(rows):,} faces to be tested on, {equal:,} are pictures that it was trained or chosen on."


def _check_folds(origin: Origin, settings: NetworkSettings, store: Store) -> None:
    """Refuse a run on the same store that may have been trained on what this one tests."""
    if origin.kind != "run" or origin.run.data.fingerprint != store.meta.sha256:
        return
    theirs, ours = (replace(one, **WITHIN) for one in (origin.run.settings.data, settings.data))
    if theirs == ours or theirs.protocol == ours.protocol == "holdout":
        return
    raise ConfigError(
        f"start.weights: {origin.name} was trained on this store with data.protocol={theirs.protocol}, fold "
        f"{theirs.fold}; this run tests with {ours.protocol}, fold {ours.fold}. It may have learnt the faces of the "
        "test. Start from a run with the same division, or from another corpus."
    )


def read_weights(origin: Origin, settings: NetworkSettings, network: Network) -> Weights:
    """What an origin holds, under the names of a network; its weights are read when they are asked for.

    Raises `ConfigError` where the file is damaged or is of another network, `BundleError` for a model file.
    """
    name = settings.model.name
    if origin.kind == "model":
        model = read_model(origin.file)
        _check_model(origin, settings, model, network)
        return _unpacked(model, network)
    with _reading(origin):
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


@torch.no_grad()
def _unfold(network: Network, names: set[str], faces: NDArray[np.uint8]) -> None:
    """Give these batch norms the statistics of some faces, and scale and shift by them: the logits stay.

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


def _rows(
    weights: Weights, last: Sequence[str], named: Mapping[str, tuple[int, ...]], labels: tuple[str, ...]
) -> tuple[int, ...]:
    """The origin's class of each class; empty where its classifier has to be replaced."""
    classes = len(labels)
    for name in last:
        seen = weights.shapes.get(name)
        if seen is None or seen[1:] != named[name][1:] or (not weights.labels and seen[0] != classes):
            return ()
    known = weights.labels or labels
    return tuple(known.index(label) for label in labels) if set(labels) <= set(known) else ()


def _flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as that of a linear layer: timm's VGG has its hidden layers as convolutions."""
    return (shape[0], int(np.prod(shape[1:])))


def _check_channels(theirs: int, ours: int, settings: NetworkSettings) -> None:
    if {theirs, ours} != {1, 3}:
        raise ConfigError(
            f"start.weights={settings.start.weights} takes {many(theirs, 'colour channel')}, and the faces have "
            f"{ours}. Grey faces and faces in colour can start from each other's weights, others cannot."
        )


def _recoloured(kernel: Tensor, channels: int) -> Tensor:
    """A first kernel `(C', C, h, w)` for other channels: summed for grey, or spread over red, green and blue so that a
    face in colour gives what its grey one gave."""
    if channels == 1:
        return kernel.sum(1, keepdim=True)
    return kernel * kernel.new_tensor(LUMA)[None, :, None, None]


def _channels(values: Sequence[float], channels: int) -> list[float]:
    """Means or deviations for other channels: their average for grey, the same for each colour."""
    return list(values) if len(values) == channels else [float(np.mean(values))] * channels


def _misfit(settings: NetworkSettings, name: str, shape: tuple[int, ...] | None, seen: tuple[int, ...] | None) -> str:
    model = settings.model
    who = f"{model.name} at width {model.width:g} with stem {model.stem}"
    if shape is None:
        what = f"it has weights for {first_line(name)}, and {who} has no such layer"
    elif seen is None:
        what = f"it has no weights for {name} of {who}"
    else:
        what = f"its {name} is {seen}, and that of {who} is {shape}"
    return (
        f"start.weights={first_line(settings.start.weights)} does not fit: {what}. Set the table [model] to that of "
        "the network that it is of."
    )


def _said(origin: Origin, settings: NetworkSettings, fit: Fit, network: Network, weights: Weights) -> str:
    """In a sentence or two: what was taken over, and what was new."""
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


@contextmanager
def _reading(origin: Origin) -> Iterator[None]:
    """Around the reading of a file of tensors: whatever is wrong with it is one sentence."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"start.weights: {origin.file} cannot be read ({first_line(error)}). A file of tensors is NAME.safetensors."
        ) from None
