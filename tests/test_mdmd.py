"""MDMD: its feature, contrast and runs on cases counted by hand, and on a drawn movement that goes and comes back."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import ConfigError, DataError
from mien.faces import Face
from mien.spot import spot
from mien.spot.mdmd import contrasts, feature, runs, spot_mdmd
from mien.video import Frame

FPS = 30.0
SIZE = 160


def still() -> NDArray[np.float32]:
    return np.zeros((36, 36, 2), np.float32)


def test_a_face_that_comes_back_scores_and_one_that_stays_away_does_not() -> None:
    moved = still()
    moved[:18, :, 1] = -2.0  # the upper half moved up by two pixels
    assert feature(moved, still()) == pytest.approx(2.0)  # and is back at the end
    assert feature(moved, moved) == 0  # and is still there
    assert feature(still(), still()) == 0


def test_only_the_main_direction_of_a_block_counts() -> None:
    first = still()
    first[..., 0] = 0.1  # most pixels go to the right
    first[::6, ::6] = (0.0, -9.0)  # a few jump up
    assert feature(first, still()) == pytest.approx(0.1, abs=1e-6)


def test_the_contrast_is_over_the_neighbours_at_k_less_one() -> None:
    features = np.array([0.0, 0, 1, 5, 1, 0, 0])
    np.testing.assert_allclose(contrasts(features, 2), [0, 0, 0, 4, 0, 0, 0])
    np.testing.assert_allclose(contrasts(np.full(9, 3.0), 4), 0)


def test_runs_above_the_threshold_are_intervals_and_a_still_video_has_none() -> None:
    contrast = np.zeros(40)
    contrast[10:20] = np.linspace(1, 2, 10)
    assert [(one.onset, one.apex, one.offset) for one in runs(contrast, "micro")] == [(10, 19, 19)]
    assert list(runs(np.zeros(40), "micro")) == []


class Known:
    """A detector that knows where the face is."""

    name = "known"

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        return [Face(box=(20.0, 20.0, 120.0, 120.0), score=1.0)] if picture.max() else []


def film(frames: int = 70) -> list[Frame]:
    """Noise like skin, whose lower left corner moves up by three pixels and back within a third of a second."""
    noise = np.random.default_rng(1).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 2.5)
    ys, xs = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    bump = np.exp(-(((xs - 55) / 18) ** 2 + ((ys - 105) / 18) ** 2)).astype(np.float32)
    made = []
    for index in range(frames):
        rise = max(0.0, 1 - abs(index - 35) / 5)
        seen = cv2.remap(picture, xs, ys + np.float32(3 * rise) * bump, cv2.INTER_LINEAR)
        made.append(Frame(index=index, time_s=index / FPS, picture=np.asarray(seen, dtype=np.uint8)))
    return made


def test_a_movement_that_goes_and_comes_back_is_spotted() -> None:
    found, scores, faceless = spot_mdmd(film(), FPS, Known())
    assert len(scores) == 70
    assert faceless == 0
    assert any(one.kind == "micro" and one.onset <= 35 <= one.offset for one in found)
    assert 33 <= int(scores.argmax()) <= 37 or scores[33:38].max() > 0.9 * scores.max()


def test_methods_are_named_and_a_film_without_a_face_is_refused() -> None:
    frames = [Frame(index=n, time_s=n / FPS, picture=np.zeros((SIZE, SIZE, 3), np.uint8)) for n in range(3)]
    with pytest.raises(DataError, match="No face was found in 3 frames"):
        spot(frames, FPS, Known(), method="mdmd")
    with pytest.raises(ConfigError, match="the methods are matched, regions, mdmd, softnet"):
        spot(frames, FPS, Known(), method="softnet9")
