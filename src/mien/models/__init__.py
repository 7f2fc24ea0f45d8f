"""The networks, by name. A new one is one file and one line in `NETWORKS` (docs/adding-a-network.md).

`FLOW_NETWORKS` are those of micro-expressions: as published, of the shared options they have the two kinds of dropout.
`VALUE_NETWORKS` read points and numbers. Two planes are read by two of all these, as one network (`fused`).

In: a run's `ModelSettings`, the number of classes, the plane that it reads or the side of the faces in pixels. Out: a
`Network` with weights drawn from torch's global generator; seed it before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import torch

from mien.config import MLP, ModelSettings
from mien.errors import ConfigError
from mien.machine import memory_bytes
from mien.models.attention import ATTENTION
from mien.models.compact import compact_l, compact_m, compact_s
from mien.models.densenet import densenet121
from mien.models.dual_inception import dual_inception
from mien.models.efficientnet_lite0 import efficientnet_lite0
from mien.models.fused import Fused
from mien.models.layers import Network, pass_on
from mien.models.mlp import mlp
from mien.models.offapexnet import offapexnet
from mien.models.rcn_a import rcn_a
from mien.models.resnet import resnet34
from mien.models.ststnet import ststnet
from mien.models.vgg import vgg16
from mien.models.vgg_paper import vgg_paper
from mien.planes import FACE, PICTURES, Plane

__all__ = ["FLOW_NETWORKS", "NETWORKS", "VALUE_NETWORKS", "Network", "build", "build_on", "sketch", "sketch_on"]

NETWORKS: dict[str, Callable[..., Network]] = {
    "compact-l": compact_l,
    "compact-m": compact_m,
    "compact-s": compact_s,
    "densenet121": densenet121,
    "efficientnet-lite0": efficientnet_lite0,
    "resnet34": resnet34,
    "vgg16": vgg16,
    "vgg_paper": vgg_paper,
}
FLOW_NETWORKS: dict[str, Callable[..., Network]] = {
    "dual-inception": dual_inception,
    "offapexnet": offapexnet,
    "rcn-a": rcn_a,
    "ststnet": ststnet,
}
VALUE_NETWORKS: dict[str, Callable[..., Network]] = {MLP: mlp}
"""Those that read points and numbers. Of the shared options they have width and the two kinds of dropout."""
FIXED = ("attention", "classifier", "head", "stem", "width")
"""Settings that networks of micro-expressions do not have."""
FIXED_VALUES = ("attention", "head", "stem")
"""Settings that networks of values do not have."""


def build(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """The network that `settings` names, for `classes` classes and faces of `size` x `size` pixels.

    Raises `ConfigError` for an unknown name, an option out of its range, faces too small for the network, or weights
    that do not fit into memory.
    """
    check(settings, classes=classes, size=size)
    return build_on((_faces(settings, size),), settings, classes=classes)


def build_on(takes: tuple[Plane, ...], settings: ModelSettings, *, classes: int) -> Network:
    """As `build`, for the planes that `ModelSettings.taken` gives."""
    weights = 4 * sum(weight.numel() for weight in sketch_on(takes, settings, classes=classes).parameters())
    if weights > memory_bytes():
        raise ConfigError(
            f"{settings.name} at width {settings.width:g} with head {settings.named_head} has {weights / 4e6:,.0f} "
            f"million parameters: the weights alone take {weights / 1e9:.0f} GB, and this machine has "
            f"{memory_bytes() / 1e9:.0f} GB of memory. Lower model.width, or set model.head to gap."
        )
    network = _made(takes, settings, classes)
    network.mirror = settings.mirror
    if settings.init == "dirac":
        pass_on(network)
    return network


def sketch(settings: ModelSettings, *, classes: int, size: int) -> Network:
    """The network of `build` on torch's meta device: it has shapes and no memory, and draws no random numbers.

    Raises `ConfigError` as `build` does, but for weights of any size.
    """
    check(settings, classes=classes, size=size)
    return sketch_on((_faces(settings, size),), settings, classes=classes)


@lru_cache(maxsize=16)
def sketch_on(takes: tuple[Plane, ...], settings: ModelSettings, *, classes: int) -> Network:
    """As `sketch`, for the planes that `ModelSettings.taken` gives."""
    with torch.device("meta"):
        return _made(takes, settings, classes)


def _made(takes: tuple[Plane, ...], settings: ModelSettings, classes: int) -> Network:
    _check_mirror(takes, settings)
    if len(takes) > 1:
        branches = [_made((plane,), own, classes) for plane, own in zip(takes, _apart(takes, settings), strict=True)]
        return Fused(branches, settings, classes=classes)
    (plane,) = takes
    if plane.kind in PICTURES:
        settings = replace(settings, in_chans=settings.in_chans or plane.shape[2])
        check(settings, classes=classes, size=plane.shape[0])
        network = _maker(settings.name)(settings, classes=classes, size=plane.shape[0])
    else:
        network = _of_values(plane, settings, classes)
    network.takes = takes
    return network


def _check_mirror(takes: Sequence[Plane], settings: ModelSettings) -> None:
    points = next((plane.name for plane in takes if plane.kind == "points"), "")
    if settings.mirror and points and FACE not in [plane.name for plane in takes]:
        raise ConfigError(
            f"model.mirror turns {points} about the middle of the face, and the network does not read the face. Set "
            "model.mirror=false, or read the face too."
        )


def _of_values(plane: Plane, settings: ModelSettings, classes: int) -> Network:
    """The network on a plane of points or numbers."""
    _check_fixed(settings, FIXED_VALUES)
    return VALUE_NETWORKS[settings.name](settings, classes=classes, numbers=math.prod(plane.shape))


def _apart(takes: Sequence[Plane], settings: ModelSettings) -> Iterator[ModelSettings]:
    """The settings of each branch, as of a network of its own; one has those of the options that it knows."""
    first = replace(settings, beside="", branch="", fusion="late", classifier="linear", mirror=False)
    yield first
    name, usual = settings.branch_on(takes[1]), ModelSettings()
    if name not in (names := sorted([*NETWORKS, *FLOW_NETWORKS, *VALUE_NETWORKS])):
        raise ConfigError(f"model.branch is {name!r}; it must be one of {', '.join(names)}.")
    published = settings.named_head == replace(first, head="published").named_head
    fixed = FIXED if name in FLOW_NETWORKS else FIXED_VALUES if name in VALUE_NETWORKS else ()
    second = replace(first, name=name, plane=takes[1].name, in_chans=0, head="published" if published else first.head)
    yield replace(second, **{option: getattr(usual, option) for option in fixed})


def _faces(settings: ModelSettings, size: int) -> Plane:
    return Plane(name=FACE, kind="image", shape=(size, size, settings.in_chans), dtype="uint8")


def _maker(name: str) -> Callable[..., Network]:
    return NETWORKS[name] if name in NETWORKS else FLOW_NETWORKS[name]


def check(settings: ModelSettings, *, classes: int, size: int) -> None:
    """Raise `ConfigError`, one sentence, for what no network can be built with; settings are in their ranges."""
    names = sorted([*NETWORKS, *FLOW_NETWORKS])
    options: list[tuple[str, object, bool, str]] = [
        ("model.name", settings.name, settings.name in names, f"one of {', '.join(names)}"),
        ("model.attention", settings.attention, settings.attention in ATTENTION, f"one of {', '.join(ATTENTION)}"),
        ("model.in_chans", settings.in_chans, settings.in_chans >= 1, "at least 1"),
        ("the number of classes", classes, classes >= 2, "at least 2"),
        ("the face size", size, size >= 1, "at least 1 pixel"),
    ]
    for what, seen, good, expected in options:
        if not good:
            raise ConfigError(f"{what} is {seen!r}; it must be {expected}.")
    if settings.name in FLOW_NETWORKS:
        _check_fixed(settings, FIXED)


def _check_fixed(settings: ModelSettings, fixed: Sequence[str]) -> None:
    published = ModelSettings()
    for option in fixed:
        if getattr(settings, option) != getattr(published, option):
            raise ConfigError(
                f"model.{option} is {getattr(settings, option)!r}; {settings.name} is built as published and has no "
                f"such option. Leave it at {getattr(published, option)!r}."
            )
