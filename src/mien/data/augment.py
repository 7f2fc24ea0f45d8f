"""Random changes to a batch of training images, on the device: first the draws, then their application.

In: `(B, H, W, C)`, pixels as uint8 or flow as float32. Out: `(B, h, w, C)`: the same type if no change was requested,
otherwise float, in the same units. Vectors of flow turn, grow and are mirrored with the picture; what else a flow has,
such as strain, is a number of each place. Contrast scales flow, and a hole in it stands still.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..config import AugmentSettings

__all__ = ["Draws", "apply", "draw", "turned"]

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


def apply(
    images: Tensor, settings: AugmentSettings, draws: Draws, flip: Tensor, size: int, kind: str = "image"
) -> Tensor:
    """Apply `draws` to `images`, mirror those where `flip` `(B,)` is true, and bring them to `size` pixels.

    `kind` is that of the plane, image or flow.
    """
    side = images.shape[1]
    if settings.rotation or settings.scale or settings.shift or size != side:
        images = _warp(images, draws, flip, size)
        if kind == "flow":
            images = _turned_vectors(images, draws, flip)
    elif settings.flip:
        images = torch.where(flip[:, None, None, None], turned(images, kind), images)
    if settings.contrast:
        gain, offset = draws.gain[:, None, None, None], draws.offset[:, None, None, None]
        if kind == "flow":
            images = images * gain
        else:
            images = ((images - MID_GREY) * gain + MID_GREY + offset * 255).clamp(0, 255)
    if settings.cutout:
        rest = 0.0 if kind == "flow" else MID_GREY
        images = images.float().masked_fill(_holes(draws.hole, size, settings.cutout * size / side), rest)
    return images


def turned(images: Tensor, kind: str) -> Tensor:
    """Mirror images of a batch (B, H, W, C), left to right; of flow, u, its first channel, changes its sign."""
    mirrored = images.flip(2)
    if kind == "flow":
        signs = torch.ones(images.shape[3], dtype=images.dtype, device=images.device)
        signs[0] = -1
        mirrored = mirrored * signs
    return mirrored


def _turned_vectors(flow: Tensor, draws: Draws, flip: Tensor) -> Tensor:
    """The vectors of a warped flow, in pixels of the face as stored: the inverse of the map that `_warp` reads by."""
    mirror = torch.where(flip, -1.0, 1.0)
    cos, sin = (each[:, None, None] for each in (torch.cos(draws.angle), torch.sin(draws.angle)))
    zoom, mirror = draws.zoom[:, None, None], mirror[:, None, None]
    u, v = flow[..., 0], flow[..., 1]
    moved = torch.stack([zoom * mirror * (cos * u + sin * v), zoom * (cos * v - sin * u)], dim=-1)
    return torch.cat([moved, flow[..., 2:]], dim=-1)


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
