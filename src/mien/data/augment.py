"""Random changes to a batch of training images, on the device: first the draws, then their application.

In: `(B, H, W, C)` uint8. Out: `(B, h, w, C)`: uint8 if no change was requested, otherwise float in 0..255.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..config import AugmentSettings

__all__ = ["Draws", "apply", "draw"]

MID_GREY = 127.5


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What happens to each image of a batch; every field is `(B,)` or `(B, 2)`."""

    angle: Tensor
    """Radians."""
    zoom: Tensor
    """1 keeps the size, more enlarges."""
    shift: Tensor
    """x and y in pixels."""
    gain: Tensor
    """Contrast: factor around mid-grey."""
    offset: Tensor
    """Brightness: added, as a share of the range."""
    hole: Tensor
    """Centre of the cut-out square, x and y in 0..1."""


def draw(settings: AugmentSettings, count: int, generator: torch.Generator) -> Draws:
    """Draw the changes for `count` images; each is uniform within ± its setting."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device) * 2 - 1

    return Draws(
        angle=uniform(count) * math.radians(settings.rotation),
        zoom=1 + uniform(count) * settings.scale,
        shift=uniform(count, 2) * settings.shift,
        gain=1 + uniform(count) * settings.contrast,
        offset=uniform(count) * settings.contrast,
        hole=(uniform(count, 2) + 1) / 2,
    )


def apply(images: Tensor, settings: AugmentSettings, draws: Draws, flip: Tensor, size: int) -> Tensor:
    """Apply `draws` to `images`, mirror those where `flip` `(B,)` is true, and bring them to `size` pixels."""
    side = images.shape[1]
    if settings.rotation or settings.scale or settings.shift or size != side:
        images = _warp(images, draws, flip, size)
    elif settings.flip:
        images = torch.where(flip[:, None, None, None], images.flip(2), images)
    if settings.contrast:
        gain, offset = draws.gain[:, None, None, None], draws.offset[:, None, None, None]
        images = ((images - MID_GREY) * gain + MID_GREY + offset * 255).clamp(0, 255)
    if settings.cutout:
        images = images.float().masked_fill(_holes(draws.hole, size, settings.cutout * size / side), MID_GREY)
    return images


def _warp(images: Tensor, draws: Draws, flip: Tensor, size: int) -> Tensor:
    """Mirror, turn, zoom and shift by one bilinear sampling; the border repeats."""
    mirror = torch.where(flip, -1.0, 1.0)
    cos, sin = torch.cos(draws.angle) / draws.zoom, torch.sin(draws.angle) / draws.zoom
    shift = draws.shift * 2 / images.shape[1]
    matrix = torch.stack(
        [
            torch.stack([cos * mirror, -sin, shift[:, 0]], dim=1),
            torch.stack([sin * mirror, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    maps = images.permute(0, 3, 1, 2).float()
    if size < images.shape[1]:
        maps = functional.interpolate(maps, size=(size, size), mode="area")
    shape = [len(images), images.shape[3], size, size]
    grid = functional.affine_grid(matrix, shape, align_corners=False)
    warped = functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    return warped.permute(0, 2, 3, 1)


def _holes(centre: Tensor, size: int, side: float) -> Tensor:
    """`(B, size, size, 1)` bool: true inside each image's square."""
    places = torch.arange(size, device=centre.device) + 0.5
    inside = (places - centre[..., None] * size).abs() <= side / 2
    return (inside[:, 1, :, None] & inside[:, 0, None, :])[..., None]
