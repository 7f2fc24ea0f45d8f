"""Spotting by matched filters: what is measured of the skin, windows of a stream, and drawn films with distractors."""

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.clips.drawn import FilmDetector
from mien.data.clips.drawn_videos import as_long_video
from mien.data.drawn.film import Film, FilmOptions, draw_long_film
from mien.faces.anchor import SIDE, Anchor
from mien.metrics.spotting import spot_scores
from mien.spot import spot
from mien.spot.matched import CORE_S, FACTS, FASTEST, MARGIN_S, WEIGHTS, Series, candidates, expressions, windows
from mien.spot.skin import EYES, HEAD, NODES, ROW, Skin, bumps
from mien.video import Frame

RATE = 30.0
LANDMARKS = np.array([[42, 48], [86, 48], [64, 76], [48, 98], [80, 98]], np.float32)
DISTRACTED = FilmOptions(fps=30.0, nods=True, blinks=True, gaze=True, speech=True, flicker=4, jpeg=90)


def texture() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5).astype(np.float32)
    return np.asarray((soft - soft.mean()) * 3 + 120, np.float32).clip(0, 255).astype(np.uint8)


def warped(grey: NDArray[np.uint8], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(cv2.remap(grey, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


def skin_of(row: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return row[: NODES.size].reshape(NODES.shape)


@pytest.fixture(scope="module")
def skin() -> Skin:
    return Skin(Anchor(grey=texture(), landmarks=LANDMARKS, transform=np.eye(2, 3)))


def test_skin_that_moves_by_a_third_of_a_pixel_is_measured(skin: Skin) -> None:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bump = np.exp(-(((xs - 80) / 12) ** 2 + ((ys - 98) / 12) ** 2)).astype(np.float32)
    heights = skin_of(skin.of(warped(texture(), xs, ys + 0.33 * bump)))  # upwards
    place = (np.array([80.0, 98.0]) - (64, 48)) / 44
    moved, here = bumps(NODES) @ heights, bumps(place[None]) @ heights
    assert -0.45 < here[0, 1] < -0.15
    assert abs(here[0, 0]) < 0.1
    far = ((NODES - place) ** 2).sum(axis=1) > 1
    assert np.abs(moved[far]).max() < 0.1


def test_neither_a_head_nor_light_moves_the_skin(skin: Skin) -> None:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    turned = warped(texture(), xs * 1.01 - 2, ys + 0.01 * xs + 1)
    seen = skin.of(np.asarray((turned * 0.9).astype(np.uint8)))
    assert np.abs(bumps(NODES) @ skin_of(seen)).max() < 0.25
    assert np.abs(seen[NODES.size : NODES.size + 2] - (1.4, -1.6)).max() < 0.2  # in the middle of the face


def series(seconds: float = 40.0, seed: int = 0) -> NDArray[np.float64]:
    """(T, 2 N) noise, and a jaw that never rests."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.03, (round(seconds * RATE), *NODES.shape))
    jaw = np.abs(np.sin(np.arange(len(values)) * 2 * math.pi / 13))
    values[:, NODES[:, 1] > 1.1, 1] += jaw[:, None]
    return np.asarray(values.reshape(len(values), -1))


def brows(values: NDArray[np.float64], onset: int, offset: int, px: float) -> None:
    part = 1 - np.abs(np.linspace(-1, 1, offset - onset + 1))
    swell = px * part * part * (3 - 2 * part)
    up = np.flatnonzero((np.abs(NODES[:, 1] + 0.38) < 0.2) & (np.abs(NODES[:, 0]) < 0.8))
    for node in up:
        values[onset : offset + 1, 2 * node + 1] -= swell


def as_series(values: NDArray[np.float64]) -> Series:
    rng = np.random.default_rng(9)
    head, eyes = (rng.normal(0, 0.02, (len(values), count)) for count in (HEAD, EYES))
    return Series(rate=RATE, skin=values, head=head, eyes=eyes)


def test_brows_that_rise_while_the_mouth_speaks_are_found_and_speech_is_not() -> None:
    values = series()
    assert expressions(as_series(values)) == []
    brows(values, 300, 312, 0.4)
    brows(values, 700, 750, 3.0)
    micro, macro = expressions(as_series(values))
    assert (np.abs(np.array(micro) - (300, 306, 312)) <= 3).all()
    assert (np.abs(np.array(macro) - (700, 725, 750)) <= 8).all()


def test_too_little_and_nothing_at_all_have_no_expression() -> None:
    for frames in (1, 11, 12, 40):
        still = as_series(np.zeros((frames, NODES.size)))
        assert expressions(still) == []


def test_a_candidate_has_a_fact_for_every_weight() -> None:
    assert len(WEIGHTS) == len(FACTS) + 1
    values = series()
    brows(values, 300, 312, 0.4)
    best = max(candidates(as_series(values), []), key=lambda one: one.sure)
    assert best.facts.shape == (len(FACTS),)
    assert abs(best.apex - 306) <= 2


def readings(count: int, faceless: range = range(0)) -> Iterator[NDArray[np.float64]]:
    for place in range(count):
        yield np.full(ROW, math.nan if place in faceless else float(place))


@pytest.mark.parametrize("fps", [25.0, 30.0, 100.0, 200.0])
def test_windows_have_every_row_once_and_keep_no_more_than_a_minute(fps: float) -> None:
    seconds = 3.3 * CORE_S
    found = list(windows(readings(round(seconds * fps)), fps))
    own = [row for window in found for row in window.own]
    assert own == list(range(math.ceil(round(seconds * fps) / found[0].fold)))
    assert len(found) > 2
    for window in found:
        assert window.series.rate <= 2 * FASTEST
        assert len(window.series.skin) <= round((CORE_S + 2 * MARGIN_S) * window.series.rate) + 1
        assert window.first <= window.own.start
        here = window.series.skin[window.own.start - window.first, 0]
        assert here == pytest.approx(window.own.start * window.fold + (window.fold - 1) / 2)


def test_frames_without_a_face_keep_the_reading_before_them() -> None:
    (window,) = windows(readings(60, range(20, 30)), 30.0)
    assert window.faceless == 10
    assert window.series.skin[19:31, 0].tolist() == [19.0] * 11 + [30.0]


def frames_of(film: Film) -> Iterator[Frame]:
    for index, picture in enumerate(film):
        yield Frame(index=index, time_s=index / film.options.fps, picture=picture)


def test_expressions_of_films_with_distractors_are_found() -> None:
    """A floor for `benchmarks/spotting.py`, which has the figures."""
    pairs = []
    for place in (40, 41):
        film = draw_long_film(place, seed=1, index=place, seconds=15, micro=2, macro=2, options=DISTRACTED)
        found = spot(frames_of(film), 30.0, FilmDetector(film, 0))
        assert (found.frames, found.faceless, len(found.scores)) == (450, 0, 450)
        pairs.append((as_long_video(film, "film").intervals, found.intervals))
    scores = spot_scores(pairs)
    assert scores["macro"].f1 >= 0.75
    assert scores["overall"].f1 >= 0.6


def test_a_film_without_an_expression_has_few() -> None:
    film = draw_long_film(50, seed=1, index=50, seconds=15, micro=0, macro=0, options=DISTRACTED)
    assert len(spot(frames_of(film), 30.0, FilmDetector(film, 0)).intervals) <= 2


FLAT = """
import sys
import numpy as np
from mien.data.clips.drawn import FilmDetector
from mien.data.drawn.film import FilmOptions, draw_long_film
from mien.machine import peak_memory_mb
from mien.spot import spot
from mien.video import Frame

film = draw_long_film(0, seed=1, index=0, seconds=6, micro=1, macro=1, options=FilmOptions(fps=30.0, speech=True))
loop = list(film)
count = int(sys.argv[1])
frames = (Frame(index=place, time_s=place / 30, picture=loop[place % len(loop)]) for place in range(count))
found = spot(frames, 30.0, FilmDetector(film, 0))
assert found.frames == len(found.scores) == count
print(peak_memory_mb())
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads VmHWM from /proc")
def test_memory_is_flat_from_three_minutes_to_nine() -> None:
    peaks = []
    for minutes in (3, 9):  # both long enough for two anchors at once
        done = subprocess.run(
            [sys.executable, "-c", FLAT, str(minutes * 60 * 30)], capture_output=True, text=True, check=True
        )
        peaks.append(float(done.stdout))
    assert peaks[1] < 1.05 * peaks[0], f"peak RSS in MB: {peaks}"
