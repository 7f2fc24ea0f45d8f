"""Optical flow and strain on movements that are known exactly."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.flow import FLOWS, find_flow, strain
from mien.errors import ConfigError

SIDE = 96
INNER = np.s_[12:-12, 12:-12]


def skin() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]


def moved(grey: NDArray[np.uint8], u: float, v: float) -> NDArray[np.uint8]:
    shift = np.array([[1.0, 0.0, u], [0.0, 1.0, v]])
    return np.asarray(cv2.warpAffine(grey, shift, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT), np.uint8)


@pytest.mark.parametrize("name", FLOWS)
def test_what_is_still_has_no_flow(name: str) -> None:
    assert np.abs(find_flow(name)(skin(), skin())).mean() < 0.01


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(("u", "v"), [(1.0, 0.0), (0.0, -1.5), (-0.5, 0.5)])
def test_a_translation_is_measured(name: str, u: float, v: float) -> None:
    found = find_flow(name)(skin(), moved(skin(), u, v))
    assert found.shape == (SIDE, SIDE, 2)
    assert found.dtype == np.float32
    assert np.hypot(*(found[INNER] - (u, v)).reshape(-1, 2).T).mean() < 0.1


@pytest.mark.parametrize("name", FLOWS)
def test_a_mirrored_pair_has_the_mirrored_flow(name: str) -> None:
    before, after = skin(), moved(skin(), 1.2, 0.7)
    plain = find_flow(name)(before, after)
    flipped = find_flow(name)(np.ascontiguousarray(before[:, ::-1]), np.ascontiguousarray(after[:, ::-1]))
    assert np.abs(flipped[:, ::-1][INNER] * (-1, 1) - plain[INNER]).mean() < 0.05


def test_a_method_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="the methods are dis, farneback, tvl1, ilk"):
        find_flow("raft")


def field(u: str, v: str) -> NDArray[np.float32]:
    y, x = np.mgrid[0:9, 0:9].astype(np.float32)
    return np.stack([linear(u, x, y), linear(v, x, y)], axis=-1)


def linear(name: str, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    return {"0": 0 * x, "1": 0 * x + 1, ".1x": 0.1 * x, ".1y": 0.1 * y, "-.1y": -0.1 * y, "-.1x": -0.1 * x}[name]


@pytest.mark.parametrize(
    ("u", "v", "value"),
    [
        ("1", "1", 0.0),  # translation
        ("-.1y", ".1x", 0.0),  # rotation
        (".1x", "0", 0.1),  # stretch to the right
        (".1x", ".1y", np.sqrt(0.02)),  # in both directions
        (".1y", "0", np.sqrt(0.5) * 0.1),  # shear: ½ and not ¼
        (".1y", ".1x", np.sqrt(0.5) * 0.2),  # u_y and v_x are added before they are squared
    ],
)
def test_strain_is_the_norm_of_the_symmetric_gradient(u: str, v: str, value: float) -> None:
    np.testing.assert_allclose(strain(field(u, v)), value, atol=1e-6)
