"""What every network shares: pixels in, a map, a head; and the rules of the options all of them take.

In: a plane as stored, (B, H, W, C): the pixels of faces, uint8, or flow, float32. Out: logits (B, K). The normalisation
is part of the network (two buffers saved with the weights), so training, `Predictor` and the exported file cannot
disagree on it.

The three heads:

======  =======================  ===============================================================
head    from map to vector       from vector to logits
======  =======================  ===============================================================
`fc`    average over 7x7 cells   two hidden layers of 4096, then the classifier (VGG as published)
`flat`  every cell as it is      two hidden layers of 4096, then the classifier
`gap`   average over all cells   the classifier alone (ResNet, DenseNet as published)
======  =======================  ===============================================================

`flat` is `fc` without the 7x7 average, which at 48 px only copies cells: VGG-16 ends in one cell there, and
48/49 of the first hidden layer's 102.8 M weights read copies of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.config import ModelSettings
from mien.data.augment import turned
from mien.errors import ConfigError, DataError
from mien.planes import PICTURES, Plane, side_of

__all__ = [
    "CLASSIFIERS",
    "COSINE_SCALE",
    "Network",
    "Pointwise",
    "head_layers",
    "head_stages",
    "map_shape",
    "normalises",
    "pass_on",
    "scaled",
]

FC_CELLS = 7
HIDDEN = 4096
COSINE_SCALE = 30.0
"""Of the logits of a cosine classifier (Cao 2019, arXiv:1906.07413, the authors' code)."""


class Network(nn.Module):
    """(B, H, W, C) -> logits (B, K). forward = classify(features(pixels(images))).

    With `mirror`, in evaluation mode, the logits are the mean over each sample and its mirror image. Of mirrored flow
    u changes its sign.

    A network sets `features` (a method or a module: (B, C, H, W) -> (B, C', h, w)) and the two halves of its
    head from `head_layers`: `reduce` and `classifier`. It names its stages, by which it is frozen and by which the
    rate falls towards the input (`mien.models.stages`).
    """

    features: Callable[[Tensor], Tensor]
    reduce: Callable[[Tensor], Tensor]
    classifier: Callable[[Tensor], Tensor]
    pixel_mean: Tensor
    pixel_std: Tensor
    mirror: bool = False
    takes: tuple[Plane, ...] = ()
    """The planes that `forward` takes, in its order; set where the network is built."""

    @property
    def stages(self) -> Mapping[str, Sequence[str]]:
        """From the input to the classifier: the name of each stage, and what the names of its weights begin with.

        The first begins with the first convolution, the last is the classifier alone.
        """
        return {"body": ("features.",), **head_stages("classifier", self.classifier)}

    @property
    def branches(self) -> Sequence[Network]:
        """The networks that read a plane each, in the order of `takes`: this one, unless it reads several."""
        return (self,)

    def __init__(self, in_chans: int) -> None:
        super().__init__()
        self.register_buffer("pixel_mean", torch.full((in_chans,), 0.5))
        self.register_buffer("pixel_std", torch.full((in_chans,), 0.25))

    def set_normalisation(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the mean and standard deviation of each channel, both (C,), in units of 255: of pixels in [0, 1].

        Raises `ConfigError` when a length is not C or a deviation is not positive.
        """
        chans = len(self.pixel_mean)
        if len(mean) != chans or len(std) != chans:
            raise ConfigError(
                f"The normalisation has {len(mean)} means and {len(std)} deviations, the network {chans} "
                "input channels. Give one of each per channel."
            )
        if min(std) <= 0:
            raise ConfigError(f"The pixel deviations {list(std)} must all be above 0; are all pixels the same?")
        with torch.no_grad():
            self.pixel_mean.copy_(torch.as_tensor(mean, dtype=self.pixel_mean.dtype))
            self.pixel_std.copy_(torch.as_tensor(std, dtype=self.pixel_std.dtype))

    def pixels(self, images: Tensor) -> Tensor:
        """(B, H, W, C), uint8 or float in the same units -> normalised (B, C, H, W) in the dtype of the weights.

        The result lies channels-last in memory, at no cost: it keeps the order of NHWC. Gradients flow through
        float images. Raises `DataError` when the images do not have the network's channels.
        """
        chans = len(self.pixel_mean)
        if images.ndim != 4 or images.shape[-1] != chans:
            raise DataError(
                f"Images of shape {tuple(images.shape)} do not fit this network: it takes (B, H, W, {chans})."
            )
        scale = 1 / (255 * self.pixel_std)
        shift = -self.pixel_mean / self.pixel_std
        # Channels first before the arithmetic: ONNX Runtime broadcasts along the last axis, and a channel is short.
        faces = images.permute(0, 3, 1, 2).to(scale.dtype)
        return faces * scale[:, None, None] + shift[:, None, None]

    def classify(self, maps: Tensor) -> Tensor:
        """The map of `features`, (B, C', h, w) -> logits (B, K)."""
        return self.classifier(self.reduce(maps))

    def forward(self, images: Tensor) -> Tensor:
        faces = self.pixels(images)
        if self.training or not self.mirror:
            return self.classify(self.features(faces))
        # One pass over both: an exporter folds batch norm into convolutions that are used once.
        logits = self.classify(self.features(torch.cat([faces, self._turned(images, faces)])))
        return logits.reshape(2, -1, logits.shape[1]).mean(0)

    def _turned(self, images: Tensor, faces: Tensor) -> Tensor:
        """The normalised mirror images; `faces` are the normalised `images`."""
        if any(plane.kind == "flow" for plane in self.takes):
            return self.pixels(turned(images, "flow"))
        return faces.flip(3)

    def blank(self, count: int, side: int | None = None, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        """`count` samples of zeros, as `forward` takes them; the first picture is `side` x `side`, as stored unless
        given, and others are larger or smaller in proportion.
        """
        stored = side_of(self.takes)
        shapes = [
            tuple(round(own * (side or stored) / stored) for own in plane.shape[:2]) + plane.shape[2:]
            if plane.kind in PICTURES
            else plane.shape
            for plane in self.takes
        ]
        return tuple(
            torch.zeros(count, *shape, dtype=getattr(torch, plane.dtype), device=device)
            for plane, shape in zip(self.takes, shapes, strict=True)
        )


class Pointwise(nn.Conv2d):
    """A 1x1 convolution that reads every `step`-th row and column: (B, C, h, w) -> (B, C', ceil(h/step), ceil(w/step)).

    Where gradients flow, the map is indexed first and the convolution has stride 1: the same numbers, the same key.
    The backward pass of a strided 1x1 convolution writes past its memory in oneDNN (torch 2.13; 8 input channels,
    AVX-512; docs/log.md). Without gradients the stride stays in the convolution: an exported slice costs 5 % of
    compact-s.
    """

    def __init__(self, before: int, channels: int, step: int) -> None:
        super().__init__(before, channels, 1, bias=False)
        self.step = step

    def forward(self, maps: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(maps[..., :: self.step, :: self.step])
        return functional.conv2d(maps, self.weight, stride=self.step)


class Cosine(nn.Linear):
    """(B, D) -> (B, K): the cosine of the angle between a vector and that of each class, times `COSINE_SCALE`."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        return COSINE_SCALE * functional.linear(functional.normalize(vectors), functional.normalize(self.weight))


CLASSIFIERS: dict[str, Callable[[int, int], nn.Module]] = {"linear": nn.Linear, "cosine": Cosine}
"""The last layer by the values of `model.classifier`: (B, D) -> (B, K)."""


class MapAverage(nn.Module):
    """(B, C, h, w) -> (B, C): the mean over all cells, as `nn.AdaptiveAvgPool2d(1)` and `nn.Flatten` have it.

    Those two would be exported as ten operations, nine of which work out how the map lies in memory.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


class CellAverage(nn.Module):
    """(B, C, h, w) -> (B, C, 7, 7): each cell the mean of those it covers, as `nn.AdaptiveAvgPool2d(7)` has it.

    Written as two matrix products, because ONNX has no pool whose output does not divide its input: 1x1 cells
    of a 48 px face become 7x7 here.
    """

    def forward(self, maps: Tensor) -> Tensor:
        height, wide = int(maps.shape[2]), int(maps.shape[3])
        rows, columns = (torch.tensor(averages(n), dtype=maps.dtype, device=maps.device) for n in (height, wide))
        return rows @ maps @ columns.T


def averages(cells: int) -> list[list[float]]:
    """The (7, cells) matrix whose row i averages the cells from floor(i n / 7) to ceil((i + 1) n / 7)."""
    spans = [(i * cells // FC_CELLS, -(-(i + 1) * cells // FC_CELLS)) for i in range(FC_CELLS)]
    return [[(start <= cell < stop) / (stop - start) for cell in range(cells)] for start, stop in spans]


def pass_on(network: nn.Module) -> None:
    """Let every 3x3 convolution begin as the identity on as many channels as it can (Zagoruyko 2017, arXiv:1706.00388).

    Output channels beyond the input's keep the weights that were drawn.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            nn.init.dirac_(layer.weight.data[: layer.in_channels], layer.groups)


def normalises(key: str) -> bool:
    """Whether a name in a network's `state_dict` is that of a normalisation: taken from the data, and not learnt."""
    return key.rpartition(".")[2] in ("pixel_mean", "pixel_std")


def head_stages(name: str, head: Callable[[Tensor], Tensor]) -> dict[str, tuple[str, ...]]:
    """The stages of the half of a head that has weights, which the network calls `name`: hidden layers, the last one.

    In the heads with hidden layers these are a stage of their own, with the dropout between them, so that what stays
    after it is the classifier alone, with the dropout before it.
    """
    if not isinstance(head, nn.Sequential):
        return {"classifier": (f"{name}.",)}
    layers = [key for key, layer in head.named_children() if isinstance(layer, nn.Linear | nn.Dropout)]
    own = 2 if len(layers) > 1 and isinstance(head.get_submodule(layers[-2]), nn.Dropout) else 1
    names = [f"{name}.{key}." for key in layers]
    return {"hidden": tuple(names[:-own]), "classifier": tuple(names[-own:])}


def scaled(channels: int, width: float, multiple: int = 8) -> int:
    """`channels` times `width`, rounded to a multiple of `multiple` and at least one of it."""
    return max(multiple, round(channels * width / multiple) * multiple)


def map_shape(network: Network, size: int) -> tuple[int, int, int]:
    """The shape (C', h, w) of the map that `network.features` makes of a face of `size` x `size` pixels.

    Found by a run in evaluation mode (running statistics stay as they are), so it holds for any network.
    Raises `ConfigError` when the network halves the face more often than its size allows.
    """
    was_training = network.training
    buffer = network.pixel_mean
    try:
        with torch.no_grad():
            maps = network.eval().features(buffer.new_zeros(1, len(buffer), size, size))
    except RuntimeError as problem:
        raise ConfigError(
            f"Faces of {size}x{size} px are too small for this network: its map has no cell left. "
            "Use larger faces, or model.stem = 'small'."
        ) from problem
    finally:
        network.train(was_training)
    _, channels, height, wide = maps.shape
    return channels, height, wide


def head_layers(network: Network, settings: ModelSettings, *, classes: int, size: int) -> tuple[nn.Module, nn.Module]:
    """The two halves of a network's head: `reduce`, (B, C', h, w) -> (B, D), and `classifier`, (B, D) -> (B, K).

    `features` must be there, for faces of `size` px; `reduce` has no weights. Dropout falls before the classifier and,
    in `fc` and `flat`, after the first hidden layer too, where VGG has it; their linear layers are numbered 0, 3, 6.
    """
    channels, height, wide = map_shape(network, size)
    head, dropout = settings.named_head, settings.dropout
    if head == "gap":
        reduce = nn.Sequential(MapAverage(), nn.Dropout(dropout))
        return reduce, CLASSIFIERS[settings.classifier](channels, classes)
    cells = FC_CELLS * FC_CELLS if head == "fc" else height * wide
    pool = CellAverage() if head == "fc" else nn.Identity()
    hidden = scaled(HIDDEN, settings.width)
    classifier = nn.Sequential(
        nn.Linear(channels * cells, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        CLASSIFIERS[settings.classifier](hidden, classes),
    )
    return nn.Sequential(pool, nn.Flatten()), classifier
