"""Matches a network with the weights of an origin.

In: a network and the weights. Out: a `Fit`. Every weight must exist in its shape. Only these may be new: the classifier
with the hidden layers of the head, attention modules, and a first convolution with another kernel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..config import NetworkSettings
from ..errors import ConfigError
from ..models import Network
from ..models.stages import stages_of
from ..shown import first_line
from ..words import many
from .weights import PIXELS, Weights

__all__ = ["Fit", "fit_of"]

COUNTER = "num_batches_tracked"
HEAD = ("hidden", "classifier")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Which weights of a network come from an origin, and which are new."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    """Weights of the origin's head that the network has no place for."""
    rows: tuple[int, ...] = ()
    """The origin's class of each class of the network, if its classifier is taken."""
    first: str = ""
    """The first convolution, where its channels are fitted."""


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
