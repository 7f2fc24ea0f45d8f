"""SoftNet as a spotter: what it looks at, peaks counted by hand, and what it learns from a few drawn films."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.data.clips.clip import LongVideo
from mien.data.clips.drawn import FilmDetector
from mien.data.clips.drawn_videos import as_long_video
from mien.data.drawn import Film, FilmOptions, draw_long_film
from mien.errors import BundleError, ConfigError, RunError
from mien.faces import Face
from mien.faces.anchor import SIDE, Anchor
from mien.fit_softnet import aim, fit_softnet
from mien.metrics.spotting import Interval, spot_scores
from mien.spot import spot
from mien.spot.ring import Ring
from mien.spot.softnet import (
    LOOK,
    LOOKS,
    Count,
    averaged,
    half_frames,
    intervals,
    look,
    looks,
    open_softnet,
    spot_softnet,
)
from mien.video import Frame

FPS = 20.0
LANDMARKS = np.array([[42, 48], [86, 48], [64, 76], [48, 98], [80, 98]], np.float32)


def texture() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.5), np.uint8)


def ring(after: NDArray[np.uint8]) -> Ring:
    """Two faces, the second k = 1 after the first."""
    anchor = Anchor(grey=texture(), landmarks=LANDMARKS, transform=np.eye(2, 3))
    return Ring(faces=deque([texture(), after]), anchor=anchor)


def shifted(x: float, y: float, bump: NDArray[np.float32] | float = 1.0) -> NDArray[np.uint8]:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    moved = cv2.remap(texture(), xs - np.float32(x) * bump, ys - np.float32(y) * bump, cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8)


def test_a_head_that_moves_is_no_movement() -> None:
    seen = look(ring(shifted(1.5, -1.0)), 1)
    assert seen is not None
    assert seen.shape == (LOOK, LOOK, 3)
    assert np.abs(seen[..., :2]).mean() < 0.1  # of 1.5 and 1.0


@pytest.mark.parametrize(("x", "y", "half"), [(64, 28, slice(0, 21)), (64, 98, slice(21, 42))])
def test_brows_stand_above_the_mouth(x: int, y: int, half: slice) -> None:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bump = np.exp(-(((xs - x) / 14) ** 2 + ((ys - y) / 8) ** 2)).astype(np.float32)
    seen = look(ring(shifted(0, -2, bump)), 1)
    assert seen is not None
    up = -seen[..., 1]
    other = np.delete(up, np.r_[half], axis=0)
    assert up[half].max() > 0.75  # of 2; flow smooths
    assert np.abs(other).max() < 0.5
    assert abs(int(np.argmax(up[half].max(axis=0))) - LOOK // 2) <= 5


def test_eyes_are_blank_and_a_lost_face_has_no_look() -> None:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bump = np.exp(-(((xs - 42) / 5) ** 2 + ((ys - 48) / 3) ** 2)).astype(np.float32)  # a lid
    seen = look(ring(shifted(0, 2, bump)), 1)
    assert seen is not None
    assert np.abs(seen[..., :2]).max() < 0.4
    gone = ring(shifted(0, 0))
    gone.faces[0] = None
    assert look(gone, 1) is None


def test_peaks_counted_by_hand() -> None:
    """At 20 frames a second k is 4 for micro-expressions; the threshold is 0.05 + 0.55 (1 - 0.05) = 0.57 or so."""
    assert (half_frames("micro", FPS), half_frames("macro", FPS)) == (4, 15)
    scores = np.zeros(60)
    scores[[10, 12, 40, 58]] = (1.0, 0.8, 0.7, 0.5)  # 12 is nearer than k to a higher one, 58 below the threshold
    found = [(one.onset, one.apex, one.offset) for one in intervals(scores, "micro", FPS)]
    assert found == [(6, 10, 14), (36, 40, 44)]
    assert list(intervals(np.zeros(60), "micro", FPS)) == []
    assert list(intervals(np.zeros(0), "micro", FPS)) == []
    np.testing.assert_allclose(averaged(np.array([0.0, 0, 3, 0, 0]), 1), [0, 1, 1, 1, 0])


def test_the_aim_is_whether_the_frames_share_any_with_an_expression() -> None:
    expression = [Interval(onset=10, offset=14)]
    assert [place for place in range(30) if aim(place, 4, expression)] == list(range(8, 17))
    assert aim(12, 4, []) == 0


class Drawn:
    """A detector that knows the face of the film whose frames were asked for last."""

    name = "drawn"
    film: Film

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        return FilmDetector(self.film, 0).detect(picture)


DRAWN = Drawn()


class Shown:
    """The frames of a film, of which the detector is told."""

    def __init__(self, film: Film) -> None:
        self._film = film

    def __len__(self) -> int:
        return len(self._film)

    def __getitem__(self, place: int, /) -> NDArray[np.uint8]:
        return self._film[place]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        DRAWN.film = self._film
        return iter(self._film)


def video(place: int) -> LongVideo:
    options = FilmOptions(fps=FPS, size=96, pixels=(2.0, 2.0), sway=0, grain=1)
    film = draw_long_film(place, seed=1, index=place, seconds=12, micro=2, macro=2, options=options)
    return replace(as_long_video(film, f"film {place}"), frames=Shown(film))


def frames_of(given: LongVideo) -> Iterator[Frame]:
    for index, picture in enumerate(given.frames):
        yield Frame(index=index, time_s=index / FPS, picture=picture)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("softnet") / "soft.onnx"
    card = fit_softnet([video(place) for place in range(3)], DRAWN, out, corpus="drawn", licence="None.")
    assert card.network == "softnet"
    assert "never saw a person" in card.limits[-1]
    return out


@pytest.mark.long
def test_what_it_learned_is_found_again(weights: Path) -> None:
    """In the films that it learned from: whether it learns at all. docs/spot.md has what it finds elsewhere."""
    pairs = []
    for given in map(video, range(3)):
        found = spot(frames_of(given), FPS, DRAWN, method=f"softnet={weights}")
        assert (found.frames, found.faceless, len(found.scores)) == (240, 0, 240)
        pairs.append((given.intervals, found.intervals))
    scores = spot_scores(pairs)
    assert scores["macro"].f1 >= 0.5
    assert scores["overall"].f1 >= 0.5


@pytest.mark.long
def test_of_fast_videos_every_second_frame_or_so_is_scored(weights: Path) -> None:
    """A film of 20 frames a second that says it has 120: every second frame has a look, and all frames are counted."""
    count = Count()
    seen = list(looks(frames_of(video(0)), 120.0, DRAWN, count))
    assert count == Count(frames=240)
    assert {each.place % 2 for each in seen} == {0}
    found, scores, _ = spot_softnet(frames_of(video(0)), 120.0, DRAWN, Bundle.open(weights))
    assert len(scores) == 240
    assert all(0 <= one.onset <= one.offset < 240 for one in found)


@pytest.mark.long
def test_what_cannot_be_learned_or_used_is_one_sentence(weights: Path, tmp_path: Path) -> None:
    silent = replace(video(0), intervals=())
    with pytest.raises(RunError, match="no video has micro-expressions and rest"):
        fit_softnet([silent], DRAWN, tmp_path / "a.onnx", corpus="own", licence="")
    with pytest.raises(RunError, match=r"weights are NAME\.onnx"):
        fit_softnet([silent], DRAWN, tmp_path / "a.pt", corpus="own", licence="")
    with pytest.raises(BundleError, match="spotting by softnet needs weights of SoftNet"):
        open_softnet("small")
    with pytest.raises(ConfigError, match="is softnet=FILE"):
        spot([], FPS, DRAWN, method=f"mdmd={weights}")


def test_the_weights_that_come_with_mien_are_of_drawn_films() -> None:
    bundle = open_softnet()
    assert bundle.takes == LOOKS
    assert bundle.card.corpus == "drawn"
    assert bundle.logits({plane.name: np.zeros((3, *plane.shape), np.float32) for plane in LOOKS}).shape == (3, 2)
