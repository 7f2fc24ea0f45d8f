"""Damage to faces: it grows with severity, spares what it should, and is the same for everyone."""

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.drawn import draw_faces
from mien.errors import ConfigError
from mien.examine.corruptions import CORRUPTIONS, EYE_LEVEL, EYES, MOUTH, MOUTH_LEVEL, SEVERITIES, corrupt

NAMES = sorted(CORRUPTIONS)


def faces(size: int, count: int = 24) -> NDArray[np.uint8]:
    return np.stack([face.image for _, face in draw_faces(count, seed=5, size=size)])


@pytest.fixture(scope="module")
def small() -> NDArray[np.uint8]:
    return faces(48)


def damage(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    return float(np.abs(before.astype(float) - after).mean())


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_with_severity_and_keeps_shape(name: str, small: NDArray[np.uint8]) -> None:
    before = small.copy()
    damaged = [corrupt(name, small, severity) for severity in SEVERITIES]
    steps = [damage(small, images) for images in damaged]
    assert steps[0] > 0.3
    assert all(low < high for low, high in itertools.pairwise(steps)), steps
    assert all(images.shape == small.shape and images.dtype == np.uint8 for images in damaged)
    np.testing.assert_array_equal(small, before)


@pytest.mark.parametrize("name", NAMES)
def test_grey_pictures_are_damaged_too(name: str, small: NDArray[np.uint8]) -> None:
    grey = np.ascontiguousarray(small[:4, :, :, :1])
    damaged = corrupt(name, grey, 3)
    assert damaged.shape == grey.shape
    assert damage(grey, damaged) > 0


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_damage(name: str, small: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(corrupt(name, small, 4), corrupt(name, small, 4))


@pytest.mark.parametrize("name", ["noise", "brightness", "rotation", "shift", "scale"])
def test_another_seed_gives_another_accident(name: str, small: NDArray[np.uint8]) -> None:
    assert (corrupt(name, small, 4) != corrupt(name, small, 4, seed=1)).any()


@pytest.mark.parametrize("name", ["blur", "occluded_eyes", "occluded_mouth", "rotation", "shift", "scale"])
def test_48_and_96_pixels_suffer_alike(name: str) -> None:
    """Lengths are shares of the side. The same blurred faces at two sizes lose equally much."""
    large = np.stack([cv2.GaussianBlur(face, (0, 0), 3) for face in faces(96)])
    little = np.stack([cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA) for face in large])
    for severity in (2, 5):
        losses = damage(little, corrupt(name, little, severity)), damage(large, corrupt(name, large, severity))
        assert losses[0] == pytest.approx(losses[1], rel=0.15, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [0, 6, -1])
def test_severity_outside_1_to_5_is_refused(name: str, severity: int, small: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match="severity is 1 to 5"):
        CORRUPTIONS[name](small, severity, np.random.default_rng(0))


def test_what_cannot_be_corrupted_is_refused(small: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match="no corruption 'fog'"):
        corrupt("fog", small, 1)
    with pytest.raises(ConfigError, match="float64"):
        corrupt("noise", small / 255, 1)


def test_noise_has_the_stated_strength() -> None:
    grey = np.full((8, 48, 48, 3), 128, np.uint8)
    assert (corrupt("noise", grey, 2).astype(float) - 128).std() == pytest.approx(0.08 * 255, rel=0.02)


def test_half_of_the_pictures_go_each_way(small: NDArray[np.uint8]) -> None:
    brighter = corrupt("brightness", small, 3).mean((1, 2, 3)) > small.mean((1, 2, 3))
    assert brighter.sum() == len(small) // 2


def test_bars_cover_eyes_and_mouths_of_drawn_faces_and_not_each_other() -> None:
    marks = np.array([face.landmarks / 48 for _, face in draw_faces(120, seed=8)])
    for points, level, sizes in ((marks[:, :2], EYE_LEVEL, EYES), (marks[:, 3:], MOUTH_LEVEL, MOUTH)):
        across, down = np.abs(points - [0.5, level]).transpose(2, 0, 1)
        width, height = sizes[-1]
        assert ((across < width / 2) & (down < height / 2)).mean() > 0.95
    assert EYE_LEVEL + EYES[-1][1] / 2 < MOUTH_LEVEL - MOUTH[-1][1] / 2
