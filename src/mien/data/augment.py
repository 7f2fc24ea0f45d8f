"""Random changes to a batch of training samples, on the device: first the draws, then their application.

In: `(B, H, W, C)`, pixels as uint8 or flow as float32. Out: `(B, h, w, C)`: the same type if no change was requested,
otherwise float, in the same units. Vectors of flow are rotated, scaled and mirrored with the picture; other channels of
a flow, such as strain, are scalars. Contrast scales flow, and inside a cut-out square the flow is 0. All planes of a
sample change alike: points `(B, P, 2)` move with the picture, and numbers `(B, D)` stay.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..config import AugmentSettings
from ..planes import Plane, partners

__all__ = ["Draws", "apply", "change", "draw", "mirrored_points", "turned"]

MID_GREY = 127.5


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random changes of each image of a batch; every field is `(B,)` or `(B, 2)`."""

    angle: Tensor
    """Radians."""
    zoom: Tensor
    """Zoom: 1 keeps the size, a larger value enlarges."""
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


def change(
    batch: Tensor,
    plane: Plane,
    settings: AugmentSettings,
    draws: Draws,
    flip: Tensor,
    *,
    side: int,
    size: int,
    face: int,
) -> Tensor:
    """Apply `draws` to a plane `(B, *shape)` of any kind, and mirror the samples where `flip` `(B,)` is true.

    Args:
        batch: samples of the plane, as stored.
        plane: its description.
        settings: how large the changes are, in pixels of a plane `side` pixels wide.
        draws: the changes of these samples, common to all of their planes.
        flip: which samples are mirrored.
        side: see `settings`.
        size: side to which a plane of `side` pixels is resized; others in proportion. Points stay in pixels of the
            face.
        face: side of the face as stored.
    """
    if plane.kind == "numbers":
        return batch
    if plane.kind == "points":
        return _moved_points(batch, plane, settings, draws, flip, side=side, face=face)
    own = plane.shape[0]
    return apply(batch, settings, draws, flip, round(own * size / side), plane.kind, unit=own / side)


def apply(
    images: Tensor,
    settings: AugmentSettings,
    draws: Draws,
    flip: Tensor,
    size: int,
    kind: str = "image",
    *,
    unit: float = 1.0,
) -> Tensor:
    """Apply `draws` to `images`, mirror those where `flip` `(B,)` is true, and bring them to `size` pixels.

    `kind` is that of the plane, image or flow. A pixel of `settings` is `unit` pixels of these images.
    """
    side = images.shape[1]
    if settings.rotation or settings.scale or settings.shift or size != side:
        images = _warp(images, draws, flip, size, unit)
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
        images = images.float().masked_fill(_holes(draws.hole, size, settings.cutout * unit * size / side), rest)
    return images


def turned(images: Tensor, kind: str) -> Tensor:
    """Mirror images of a batch (B, H, W, C), left to right; of flow, u, its first channel, changes its sign."""
    mirrored = images.flip(2)
    if kind == "flow":
        signs = torch.ones(images.shape[3], dtype=images.dtype, device=images.device)
        signs[0] = -1
        mirrored = mirrored * signs
    return mirrored


def mirrored_points(points: Tensor, plane: Plane, face: int) -> Tensor:
    """Mirror points `(B, P, 2)`, left to right, on faces `face` pixels wide; those of a pair change places."""
    swapped = points[:, partners(plane)]
    return torch.stack([face - 1 - swapped[..., 0], swapped[..., 1]], dim=-1)


def _moved_points(
    points: Tensor, plane: Plane, settings: AugmentSettings, draws: Draws, flip: Tensor, *, side: int, face: int
) -> Tensor:
    """Points where `_warp` brings what is under them, in pixels of the face as stored: the inverse of its map.

    Mirroring comes last in that inverse, so it is that of any other picture.
    """
    if settings.rotation or settings.scale or settings.shift:
        centred = (2 * points + 1) / face - 1 - (draws.shift * 2 / side)[:, None]
        cos, sin = (each[:, None] for each in (torch.cos(draws.angle), torch.sin(draws.angle)))
        x, y = centred[..., 0], centred[..., 1]
        turned = torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1) * draws.zoom[:, None, None]
        points = ((turned + 1) * face - 1) / 2
    if not settings.flip:
        return points
    return torch.where(flip[:, None, None], mirrored_points(points, plane, face), points)


def _turned_vectors(flow: Tensor, draws: Draws, flip: Tensor) -> Tensor:
    """The vectors of a warped flow, in pixels of the face as stored: the inverse of the map that `_warp` reads by."""
    mirror = torch.where(flip, -1.0, 1.0)
    cos, sin = (each[:, None, None] for each in (torch.cos(draws.angle), torch.sin(draws.angle)))
    zoom, mirror = draws.zoom[:, None, None], mirror[:, None, None]
    u, v = flow[..., 0], flow[..., 1]
    moved = torch.stack([zoom * mirror * (cos * u + sin * v), zoom * (cos * v - sin * u)], dim=-1)
    return torch.cat([moved, flow[..., 2:]], dim=-1)


def _warp(images: Tensor, draws: Draws, flip: Tensor, size: int, unit: float) -> Tensor:
    """Mirror, turn, zoom and shift by one bilinear sampling; the border repeats."""
    mirror = torch.where(flip, -1.0, 1.0)
    cos, sin = torch.cos(draws.angle) / draws.zoom, torch.sin(draws.angle) / draws.zoom
    shift = draws.shift * unit * 2 / images.shape[1]
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
