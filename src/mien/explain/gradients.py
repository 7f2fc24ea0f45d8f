r"""Explanations by gradients: Grad-CAM, Grad-CAM++ and integrated gradients. In: a network, faces, classes. Out: maps.

Grad-CAM and Grad-CAM++ weight the channels of one map inside the network. Usually that is the last one. But for a face
of 48 px, the last map of VGG-16 and of DenseNet-121 with its published stem is a single cell, which shows no location.
So mien uses the deepest map with at least `CELLS` x `CELLS` cells (`last_map`; docs/explain.md gives the reason for
this number). All three explain the logit \(f_c\), before the softmax. They run on the network's device, in evaluation
mode, and leave no gradient behind.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from ..models import Network

__all__ = ["CELLS", "STEPS", "Layer", "grad_cam", "grad_cam_pp", "integrated_gradients", "last_map"]

Maps = NDArray[np.float32]
Weights = Callable[[Tensor, Tensor], Tensor]
"""From a map `(B, C, h, w)` and the logit's gradient there to weights that broadcast to it."""

CELLS = 6
"""The fewest cells a side of the map that Grad-CAM looks at."""
STEPS = 64
"""Number of points on the path from the flat face to the face."""
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A place inside a network whose output is a map."""

    name: str
    """As `named_modules` has it."""
    module: nn.Module
    cells: tuple[int, int]
    """Height and width of its map."""


def grad_cam(network: Network, images: NDArray[np.uint8], classes: NDArray[np.int64], *, cells: int = CELLS) -> Maps:
    r"""Grad-CAM (Selvaraju 2017, arXiv:1610.02391, eq. 1 and 2).

    With A the deepest map of at least `cells` x `cells` cells, Z the number of its cells,

    \[\alpha_k = \frac{1}{Z} \sum_{ij} \frac{\partial f_c}{\partial A^k_{ij}},\qquad
    M = \mathrm{ReLU}\Bigl(\sum_k \alpha_k A^k\Bigr),\]

    enlarged to the face (bilinear). Where the map is the last one and a `gap` head follows, the sum is that of CAM
    (Zhou 2016, arXiv:1512.04150) divided by Z.

    Args:
        network: whose class is explained.
        images: `(B, H, W, C)` uint8.
        classes: `(B,)`.
        cells: the fewest cells a side.

    Returns:
        `(B, H, W)` float32, 0 or more; 0 throughout if nothing at this depth supports the class.
    """
    return _weighted(network, images, classes, cells, lambda maps, slopes: slopes.mean((2, 3), keepdim=True))


def grad_cam_pp(network: Network, images: NDArray[np.uint8], classes: NDArray[np.int64], *, cells: int = CELLS) -> Maps:
    r"""Grad-CAM++ (Chattopadhay 2018, arXiv:1710.11063, sec. 3, for a network of ReLUs).

    The class's score is \(\exp f_c\), whose derivatives of order n are \(\exp(f_c)\,g^n\) with
    \(g = \partial f_c / \partial A\). So

    \[\alpha^k_{ij} = \frac{(g^k_{ij})^2}{2 (g^k_{ij})^2 + \sum_{ab} A^k_{ab} (g^k_{ij})^3},\qquad
    M = \mathrm{ReLU}\Bigl(\sum_k \bigl(\sum_{ij} \alpha^k_{ij}\,\mathrm{ReLU}(g^k_{ij})\bigr) A^k\Bigr),\]

    \(\alpha\) 0 where g is. The factor \(\exp f_c\) scales the whole map of a face and is left out. Arguments and
    result are those of `grad_cam`.
    """
    return _weighted(network, images, classes, cells, _plus_plus)


def integrated_gradients(
    network: Network, images: NDArray[np.uint8], classes: NDArray[np.int64], *, steps: int = STEPS
) -> Maps:
    r"""Integrated gradients (Sundararajan 2017, arXiv:1703.01365, eq. 1), summed over colour channels.

    The way goes from \(x'\), a flat face in the face's own mean colour, to the face x:

    \[M_{ij} = \sum_{ch} (x - x')_{ij,ch} \int_0^1
    \frac{\partial f_c\bigl(x' + t(x - x')\bigr)}{\partial x_{ij,ch}}\,dt, \qquad \sum_{ij} M_{ij} = f_c(x) - f_c(x').\]

    A black baseline would give no weight to dark parts: brows, pupils, an open mouth. The integral is taken at the
    middles of `steps` equal parts; the second equation tells how good that is.

    Args:
        network: whose class is explained.
        images: `(B, H, W, C)` uint8.
        classes: `(B,)`.
        steps: of the integral.

    Returns:
        `(B, H, W)` float32, in the logit's units: above 0 supports the class, below 0 opposes it.
    """
    found = []
    for faces, labels in _batches(network, images, classes):
        way = faces - faces.mean((1, 2), keepdim=True)
        slopes = torch.zeros_like(faces)
        for step in range(steps):
            point = faces - way * (1 - (step + 0.5) / steps)
            slopes += _slopes(network, point.requires_grad_(), labels) / steps
        found.append((way * slopes).sum(-1))
    return _numpy(found, images)


def last_map(network: Network, size: int, cells: int = CELLS) -> Layer:
    """The deepest place before the head whose map of a face of `size` x `size` pixels has `cells` x `cells` or more.

    Everything that reaches the logits passes through this place. If no map is that large, it is the deepest of the
    largest maps.
    """
    reduce = network.reduce
    head = {id(layer) for layer in (reduce.modules() if isinstance(reduce, nn.Module) else ())}
    found: list[Layer] = []

    def watch(name: str, layer: nn.Module) -> RemovableHandle:
        def see(_layer: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                found.append(Layer(name=name, module=layer, cells=(output.shape[2], output.shape[3])))

        return layer.register_forward_hook(see)

    hooks = [watch(name, layer) for name, layer in network.named_modules() if id(layer) not in head]
    buffer = network.pixel_mean
    try:
        with torch.no_grad():
            network.eval()(buffer.new_zeros(1, size, size, len(buffer)))
    finally:
        for hook in hooks:
            hook.remove()
    enough = min(cells, max(min(layer.cells) for layer in found))
    return next(layer for layer in reversed(found) if min(layer.cells) >= enough)


def _weighted(network: Network, images: NDArray[np.uint8], classes: NDArray[np.int64], cells: int, by: Weights) -> Maps:
    """The channels of the chosen map, weighted, summed, cut at 0 and enlarged to the face."""
    if len(images) == 0:
        return _numpy([], images)
    layer = last_map(network, min(images.shape[1:3]), cells)
    found = []
    for faces, labels in _batches(network, images, classes):
        maps, slopes = _maps_and_slopes(network, layer.module, faces, labels)
        looks = functional.relu((by(maps, slopes) * maps).sum(1, keepdim=True)).chunk(len(maps) // len(faces))
        summed = torch.stack([one.flip(3) if number else one for number, one in enumerate(looks)]).mean(0)
        found.append(functional.interpolate(summed, images.shape[1:3], mode="bilinear", align_corners=False)[:, 0])
    return _numpy(found, images)


def _plus_plus(maps: Tensor, slopes: Tensor) -> Tensor:
    below = 2 * slopes**2 + maps.sum((2, 3), keepdim=True) * slopes**3
    alpha = torch.where(below == 0, 0.0, slopes**2 / torch.where(below == 0, 1.0, below))
    return (alpha * functional.relu(slopes)).sum((2, 3), keepdim=True)


def _maps_and_slopes(network: Network, layer: nn.Module, faces: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The layer's output and the logits' gradient there, both `(B, C, h, w)` or `(2 B, C, h, w)`.

    A network with `mirror` looks twice: its 2 B maps are those of the faces and then of the mirrored ones.
    """
    kept: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().clone().requires_grad_())
        return kept[-1]

    hook = layer.register_forward_hook(keep)
    try:
        logits = network.eval()(faces)
    finally:
        hook.remove()
    (slopes,) = torch.autograd.grad(_picked(logits, labels), kept[-1])
    return kept[-1].detach(), slopes


def _slopes(network: Network, faces: Tensor, labels: Tensor) -> Tensor:
    """The gradient of each face's logit at its pixels, `(B, H, W, C)`."""
    (slopes,) = torch.autograd.grad(_picked(network.eval()(faces), labels), faces)
    return slopes


def _picked(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over faces of each face's own logit: its gradient is each face's own."""
    return logits.gather(1, labels[:, None]).sum()


def _batches(
    network: Network, images: NDArray[np.uint8], classes: NDArray[np.int64]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Faces `(b, H, W, C)` in the dtype of the network, and their classes `(b,)`, on its device."""
    buffer = network.pixel_mean
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        faces = torch.from_numpy(np.array(images[part])).to(buffer.device, buffer.dtype)
        yield faces, torch.from_numpy(np.asarray(classes[part], np.int64)).to(buffer.device)


def _numpy(maps: list[Tensor], images: NDArray[np.uint8]) -> Maps:
    if not maps:
        return np.zeros(images.shape[:3], np.float32)
    return torch.cat(maps).float().cpu().numpy()
