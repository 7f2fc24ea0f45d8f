"""Spotting: pulses in known series, movements of known pictures, drawn films, and the verb."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.cli import main
from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import AUS, PROTOTYPES
from mien.data.drawn.geometry import draw_view, project
from mien.data.drawn.identity import draw_identity
from mien.data.drawn.render import draw_scenery, grainy, photograph
from mien.errors import ConfigError, DataError
from mien.faces import Face
from mien.faces.anchor import SIDE, Anchor
from mien.metrics.spotting import Interval, spot_scores
from mien.spot import REGIONS, PulseOptions, find_pulses, spot
from mien.spot.coded import read_coded
from mien.spot.movement import MOUTH, Movement
from mien.spot.timeline import timeline_svg
from mien.video import Frame, video_writer

FPS = 30.0
NAMES = list(REGIONS)
BOX = (52.0, 44.0, 88.0, 88.0)
EVENTS = [(40, 46, 52, "surprise", 0.4), (100, 118, 140, "happiness", 0.9)]
"""Onset, apex, offset, expression and intensity of the film: a micro- and a macro-expression."""


def rise(frames: int, onset: int, apex: int, offset: int) -> NDArray[np.float64]:
    """(T,) from 0 to 1 and back."""
    frame = np.arange(frames)
    part = np.clip(np.minimum((frame - onset) / (apex - onset), (offset - frame) / (offset - apex)), 0, 1)
    return np.asarray(part * part * (3 - 2 * part))


def series(seconds: float = 20, seed: int = 0) -> NDArray[np.float64]:
    """(T, R, 2) of a face at rest: noise, and a drift of two pixels."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * FPS)
    drift = np.linspace(0, 2, frames)[:, None, None]
    return rng.normal(0, 0.04, (frames, len(REGIONS), 2)) + drift


def moved(total: NDArray[np.float64], names: tuple[str, ...], onset: int, apex: int, offset: int, px: float) -> None:
    for name in names:
        total[:, NAMES.index(name), 1] -= px * rise(len(total), onset, apex, offset)


def test_a_short_rise_is_micro_and_a_long_one_macro() -> None:
    total = series()
    moved(total, ("brow_left", "brow_right", "brow_inner_left"), 100, 106, 113, 1.0)
    moved(total, ("mouth_left", "mouth_right", "cheek_left"), 300, 325, 350, 3.0)
    found = find_pulses(total, FPS)
    assert [one.kind for one in found] == ["micro", "macro"]
    truth = [Interval(onset=100, offset=113), Interval(onset=300, offset=350, kind="macro")]
    assert spot_scores([(truth, found)])["overall"].f1 == 1
    assert abs((found[0].apex or 0) - 106) <= 1


def test_a_face_at_rest_that_drifts_has_none() -> None:
    for seed in range(5):
        assert find_pulses(series(seed=seed), FPS) == []


def test_speech_is_no_expression_and_an_expression_beside_it_stays() -> None:
    total = series()
    for start in range(200, 260, 9):
        moved(total, MOUTH, start, start + 4, start + 8, 2.0)
    moved(total, ("brow_left", "brow_right", "brow_inner_left"), 400, 406, 413, 1.0)
    assert [one.onset > 350 for one in find_pulses(total, FPS)] == [True]


def test_frames_without_a_face_are_no_movement() -> None:
    total = series()
    total[150:200] = np.nan
    total[200:] += 9.0  # the face comes back elsewhere
    assert all(not 140 < (one.apex or 0) < 205 for one in find_pulses(total, FPS))
    assert find_pulses(np.full((90, len(REGIONS), 2), np.nan), FPS) == []
    assert find_pulses(total[:2], FPS) == []


@pytest.mark.parametrize("change", [{"threshold": 0.5}, {"edge": 1.0}, {"micro_s": 0.0}, {"longest_s": float("nan")}])
def test_options_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is "):
        PulseOptions(**change)


def texture() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.5), dtype=np.uint8)


def anchored(grey: NDArray[np.uint8]) -> Movement:
    landmarks = np.array([[42, 48], [86, 48], [64, 76], [48, 98], [80, 98]], np.float32)
    anchor = Anchor(grey=grey, landmarks=landmarks, transform=np.eye(2, 3))
    return Movement(anchor, cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))


def test_a_head_that_moves_moves_no_region() -> None:
    grey = texture()
    turn = cv2.getRotationMatrix2D((64, 64), 1.5, 1.01)
    turn[:, 2] += (2.0, -1.0)
    there = np.asarray(cv2.warpAffine(grey, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)
    regions, head = anchored(grey).of(there)
    assert np.abs(regions).max() < 0.25
    assert head > 2


def test_a_region_that_moves_is_measured_in_pixels() -> None:
    grey = texture()
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bump = np.exp(-(((xs - 48) / 12) ** 2 + ((ys - 98) / 12) ** 2)).astype(np.float32)
    there = np.asarray(cv2.remap(grey, xs, ys + 1.5 * bump, cv2.INTER_LINEAR), dtype=np.uint8)  # upwards
    regions, _ = anchored(grey).of(there)
    assert -1.5 < regions[NAMES.index("mouth_left"), 1] < -0.4  # of 1.5 in the middle; flow smooths
    assert np.abs(regions).argmax() == 2 * NAMES.index("mouth_left") + 1
    assert np.abs(regions[NAMES.index("brow_right")]).max() < 0.2


class Drawn:
    """A detector that knows where the drawn face is."""

    name = "drawn"

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        return [Face(box=BOX, score=1.0)] if picture.max() else []


@pytest.fixture(scope="module")
def film() -> list[NDArray[np.uint8]]:
    """Six seconds of a drawn face of 192 pixels."""
    chance = Chance(4, 3, 7)
    who, view = draw_identity(4, 1), replace(draw_view(chance, 192), yaw=0.0, pitch=0.0, roll=0.0)
    scenery = replace(draw_scenery(chance), soft=False, grain=6)
    levels = np.zeros((180, 2, len(AUS)))
    for onset, apex, offset, expression, strength in EVENTS:
        for au in PROTOTYPES[expression]:
            levels[:, :, AUS.index(au)] += strength * rise(180, onset, apex, offset)[:, None]
    levels = np.floor(levels * 256) / 256
    return [
        grainy(photograph(who, project(who, level, view), level, view, scenery, 192), scenery, chance)
        for level in levels
    ]


def frames_of(pictures: list[NDArray[np.uint8]]) -> Iterator[Frame]:
    for index, picture in enumerate(pictures):
        yield Frame(index=index, time_s=index / FPS, picture=picture)


def test_the_expressions_of_a_drawn_film_are_found(film: list[NDArray[np.uint8]]) -> None:
    found = spot(frames_of(film), FPS, Drawn())
    truth = [
        Interval(onset=onset, offset=offset, kind="micro" if offset - onset < 15 else "macro")
        for onset, _, offset, *_ in EVENTS
    ]
    assert spot_scores([(truth, found.intervals)])["overall"].f1 == 1
    assert (found.frames, found.faceless) == (180, 0)
    svg = timeline_svg("a <b>.mp4", found)
    assert svg.count("<title>") == 2
    assert "a &lt;b&gt;.mp4: 2 expressions in 6.0 s" in svg


def test_a_film_without_a_face_is_refused(film: list[NDArray[np.uint8]]) -> None:
    with pytest.raises(DataError, match="No face was found in 3 frames"):
        spot(frames_of([np.zeros_like(film[0])] * 3), FPS, Drawn())
    black = [np.zeros_like(film[0])] * 40
    assert spot(frames_of([*black, *film[:60]]), FPS, Drawn()).faceless in range(35, 47)


def test_the_verb_prints_scores_and_draws(
    film: list[NDArray[np.uint8]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mien.cli.spot.find_detector", lambda name: Drawn())
    with video_writer(tmp_path / "film.avi", FPS) as write:
        for index, picture in enumerate(film):
            write(picture, index / FPS)
    rows = [("film.avi", onset, offset, "micro" if offset - onset < 15 else "macro") for onset, _, offset, *_ in EVENTS]
    with (tmp_path / "coded.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("video", "onset", "offset", "kind"), *rows])
    monkeypatch.chdir(tmp_path)
    main_ends(0, ["spot", "film.avi", "--json", "--coded", "coded.csv", "--out", "lines"])
    said = json.loads(capsys.readouterr().out)
    assert said["scores"]["overall"]["f1"] == 1
    assert [one["kind"] for one in said["results"][0]["intervals"]] == ["micro", "macro"]
    assert "<svg" in (tmp_path / "lines" / "film.avi-timeline.svg").read_text(encoding="utf-8")
    assert said["scores"]["overall"]["f1_interval"] is None  # of one video
    main_ends(0, ["spot", "film.avi", "--coded", "coded.csv"])
    assert "overall: F1 1.000 (2 right, 0 wrong, 0 missed; 1 videos)" in capsys.readouterr().out
    main_ends(0, ["spot", "film.avi", "--csv"])
    assert capsys.readouterr().out.startswith("video,onset,apex,offset,kind")
    main_ends(1, ["spot", "film.avi", "gone.mp4"])
    out, err = capsys.readouterr()
    assert "macro" in out
    assert "gone.mp4 does not exist" in err
    main_ends(2, ["spot", "film.avi", "--fit", "weights.onnx"])
    assert "--fit learns from coded intervals" in capsys.readouterr().err
    main_ends(2, ["spot", "film.avi", "--coded", "coded.csv", "--fit", "weights.pt"])
    assert "weights are NAME.onnx" in capsys.readouterr().err
    main_ends(2, ["spot", "film.avi", "--method", "softnet=coded.csv"])
    assert "coded.csv is not an ONNX model" in capsys.readouterr().err
    main_ends(2, ["spot", "coded.csv"])
    assert "coded.csv is no video" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("video,onset,offset\nelse.mp4,,\n", encoding="utf-8")
    main_ends(2, ["spot", "film.avi", "--coded", "other.csv"])
    assert "None of the 1 videos stands in the table" in capsys.readouterr().err


def main_ends(code: int, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == code


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a.mp4,9,3,micro", "from frame 9 to 3"),
        ("a.mp4,x,3,micro", "a frame 'x', expected a whole number"),
        ("a.mp4,1,3,tiny", "the kind 'tiny', expected micro or macro"),
        ("a.mp4,,3,micro", "a frame ''"),
    ],
)
def test_a_row_that_is_no_interval_is_named(row: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "coded.csv"
    path.write_text(f"video,onset,offset,kind\nfine.mp4,,,\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_coded(path)


def test_a_video_without_an_expression_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "coded.csv"
    path.write_text("video,onset,offset\nfine.mp4,,\nb.mp4,3,9\n", encoding="utf-8")
    assert read_coded(path) == {"fine.mp4": [], "b.mp4": [Interval(onset=3, offset=9)]}
