"""Changes to training pictures: nothing asked for is nothing done; each change is what its name says."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.config import AugmentSettings
from mien.data.augment import Draws, apply, draw

SIDE = 16
COUNT = 6
INNER = slice(2, -2)


@pytest.fixture
def images() -> Tensor:
    """(6, 16, 16, 3) uint8 of smooth noise, so that bilinear sampling of a turned picture has something to find."""
    coarse = torch.rand(COUNT, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, size=SIDE, mode="bicubic").clamp(0, 1)
    return (smooth * 255).byte().permute(0, 2, 3, 1).contiguous()


def no_draws(**changes: Tensor) -> Draws:
    none = Draws(
        angle=torch.zeros(COUNT),
        zoom=torch.ones(COUNT),
        shift=torch.zeros(COUNT, 2),
        gain=torch.ones(COUNT),
        offset=torch.zeros(COUNT),
        hole=torch.full((COUNT, 2), 0.5),
    )
    return replace(none, **changes)


NEVER = torch.zeros(COUNT, dtype=torch.bool)


def changed(images: Tensor, draws: Draws, mirror: Tensor = NEVER, size: int = SIDE, **settings: Any) -> Tensor:
    return apply(images, AugmentSettings(**settings), draws, mirror, size)


def test_nothing_asked_for_is_the_same_bytes(images: Tensor) -> None:
    drawn = draw(AugmentSettings(), COUNT, torch.Generator().manual_seed(1))
    out = apply(images, AugmentSettings(), drawn, NEVER, SIDE)
    assert out.dtype == torch.uint8
    assert out is images


def test_draws_are_uniform_within_their_settings_and_nothing_where_nothing_is_set() -> None:
    settings = AugmentSettings(shift=3, rotation=30, scale=0.2, contrast=0.4, cutout=4)
    drawn = draw(settings, 4000, torch.Generator().manual_seed(0))
    for values, middle, most in (
        (drawn.angle, 0.0, math.radians(30)),
        (drawn.zoom, 1.0, 0.2),
        (drawn.shift, 0.0, 3.0),
        (drawn.gain, 1.0, 0.4),
        (drawn.offset, 0.0, 0.4),
        (drawn.hole, 0.5, 0.5),
    ):
        away = (values - middle).abs()
        assert away.max() <= most * 1.0001
        assert away.max() > most * 0.98
        assert away.mean().item() == pytest.approx(most / 2, rel=0.06)
    none = draw(AugmentSettings(), 50, torch.Generator().manual_seed(0))
    assert torch.cat([none.angle, none.shift.ravel(), none.offset]).abs().max() == 0
    assert set(torch.cat([none.zoom, none.gain]).tolist()) == {1.0}


def test_draws_depend_on_the_generator_alone() -> None:
    settings = AugmentSettings(shift=3, rotation=30)
    first, again, other = (draw(settings, 5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.angle, again.angle)
    assert not torch.equal(first.angle, other.angle)


def test_a_mirrored_picture_is_mirrored(images: Tensor) -> None:
    flip = torch.tensor([True, False] * 3)
    out = changed(images, no_draws(), flip, flip=True)
    assert out.dtype == torch.uint8
    assert torch.equal(out[0], images[0].flip(1))
    assert torch.equal(out[1], images[1])


def test_warped_pictures_are_mirrored_too(images: Tensor) -> None:
    flip = torch.tensor([True, False] * 3)
    out = changed(images, no_draws(), flip, flip=True, shift=1.0)
    torch.testing.assert_close(out[0], images[0].flip(1).float(), atol=0.01, rtol=0)
    torch.testing.assert_close(out[1], images[1].float(), atol=0.01, rtol=0)


@pytest.mark.parametrize(("across", "down"), [(3, 0), (0, -2), (-4, 5)])
def test_a_shift_by_whole_pixels_moves_them_and_repeats_the_border(images: Tensor, across: int, down: int) -> None:
    out = changed(images, no_draws(shift=torch.tensor([[across, down]] * COUNT).float()), shift=5.0).numpy()
    places = np.clip(np.arange(SIDE) + down, 0, SIDE - 1), np.clip(np.arange(SIDE) + across, 0, SIDE - 1)
    expected = images.numpy()[:, places[0]][:, :, places[1]]
    np.testing.assert_allclose(out, expected, atol=0.02)
    rolled = np.roll(images.numpy(), (-down, -across), (1, 2))
    np.testing.assert_allclose(out[:, 5:-5, 5:-5], rolled[:, 5:-5, 5:-5], atol=0.02)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_a_quarter_turn_is_rot90(images: Tensor, degrees: float, turns: int) -> None:
    out = changed(images, no_draws(angle=torch.full((COUNT,), math.radians(degrees))), rotation=180.0)
    expected = torch.rot90(images, turns, (1, 2)).float()
    torch.testing.assert_close(out[:, INNER, INNER], expected[:, INNER, INNER], atol=0.05, rtol=0)


def test_a_turned_picture_is_mirrored_as_it_is(images: Tensor) -> None:
    draws = no_draws(angle=torch.full((COUNT,), 0.5))
    turned = changed(images, draws, rotation=90.0)
    out = changed(images, draws, ~NEVER, rotation=90.0, flip=True)
    torch.testing.assert_close(out, turned.flip(2), atol=0.05, rtol=0)


def test_zoom_enlarges_about_the_middle(images: Tensor) -> None:
    big = changed(images, no_draws(zoom=torch.full((COUNT,), 2.0)), scale=0.9)
    middle = images[:, 4:12, 4:12].permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(middle, scale_factor=2, mode="bilinear").permute(0, 2, 3, 1)
    torch.testing.assert_close(big[:, INNER, INNER], expected[:, INNER, INNER], atol=0.05, rtol=0)


def test_contrast_is_about_mid_grey_and_stays_in_range(images: Tensor) -> None:
    out = changed(images, no_draws(gain=torch.full((COUNT,), 1.5), offset=torch.full((COUNT,), 0.1)), contrast=0.9)
    expected = ((images.float() - 127.5) * 1.5 + 127.5 + 25.5).clamp(0, 255)
    torch.testing.assert_close(out, expected)
    same = changed(images, no_draws(), contrast=0.9)
    torch.testing.assert_close(same, images.float())


@pytest.mark.parametrize(("side", "size"), [(4, SIDE), (5, SIDE), (4, 2 * SIDE)])
def test_cutout_covers_its_square_with_mid_grey(images: Tensor, side: int, size: int) -> None:
    centre = torch.tensor([[0.5, 0.5], [0.51, 0.3], [0.4, 0.72], [0.5, 0.5], [0.0, 0.5], [1.0, 1.0]]) + 0.003
    out = changed(images, no_draws(hole=centre), size=size, cutout=side)
    grey = (out == 127.5).all(3)
    scaled = side * size // SIDE
    assert grey.sum((1, 2)).tolist()[:4] == [scaled**2] * 4
    assert 0 < grey[5].sum() < grey[4].sum() < scaled**2, "it may hang over the edge"
    rows, columns = grey[1].any(1).nonzero().ravel(), grey[1].any(0).nonzero().ravel()
    assert ((columns.float().mean() + 0.5) / size).item() == pytest.approx(0.51, abs=0.6 / size)
    assert ((rows.float().mean() + 0.5) / size).item() == pytest.approx(0.3, abs=0.6 / size)
    kept = ~grey[..., None].expand_as(out)
    without = changed(images, no_draws(), size=size)
    assert torch.equal(out[kept], without.float()[kept])


@pytest.mark.parametrize("size", [8, 12, 20, 32])
def test_pictures_are_brought_to_a_size(images: Tensor, size: int) -> None:
    out = changed(images, no_draws(), size=size)
    assert out.shape == (COUNT, size, size, 3)
    assert out.mean().item() == pytest.approx(images.float().mean().item(), abs=2)
    if size == 8:
        averages = images.float().reshape(COUNT, 8, 2, 8, 2, 3).mean((2, 4))
        torch.testing.assert_close(out, averages, atol=0.02, rtol=0)


def test_shift_is_in_pixels_of_the_stored_size(images: Tensor) -> None:
    shift = torch.tensor([[4.0, 0.0]] * COUNT)
    half = changed(images, no_draws(shift=shift), size=8, shift=4.0)
    whole = changed(images, no_draws(), size=8)
    torch.testing.assert_close(half[:, :, :6], whole[:, :, 2:], atol=0.02, rtol=0)


def test_all_at_once_stays_in_range() -> None:
    settings = AugmentSettings(flip=True, shift=3, rotation=40, scale=0.3, contrast=0.6, cutout=5)
    images = torch.randint(0, 256, (40, SIDE, SIDE, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    drawn = draw(settings, 40, torch.Generator().manual_seed(0))
    out = apply(images, settings, drawn, torch.rand(40, generator=torch.Generator().manual_seed(1)) < 0.5, 24)
    assert out.shape == (40, 24, 24, 1)
    assert bool(out.isfinite().all())
    assert out.min() >= 0
    assert out.max() <= 255
