"""Drawn films: their course, their distractors, and whether the movement that is called true is that of the pixels."""

import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.cli import main
from mien.data.clips.corpora import ClipOptions
from mien.data.clips.drawn import EXPRESSIONS, draw_clip_store, drawn_clips, write_clips
from mien.data.clips.drawn_videos import as_long_video, drawn_videos, write_videos
from mien.data.clips.prepare import read_clips
from mien.data.drawn import AUS, Film, FilmOptions, draw_film, draw_long_film
from mien.data.drawn.course import Swell
from mien.data.drawn.field import skin_rows
from mien.data.store import Store
from mien.errors import ConfigError
from mien.spot.coded import read_coded
from mien.video import open_video

BUSY = FilmOptions(nods=True, blinks=True, gaze=True, speech=True, flicker=6, jpeg=90)


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    return int(left.value.code or 0)


def film(options: FilmOptions | None = None, expression: str = "happiness", index: int = 5) -> Film:
    return draw_film(3, expression, seed=2, index=index, options=options)


def test_a_swell_rises_to_one_at_its_apex_and_rests_outside() -> None:
    swell = Swell(onset=3, apex=8, offset=20)
    course = [swell.at(frame) for frame in range(24)]
    assert [place for place, value in enumerate(course) if value == 1] == [8]
    assert course[:4] == [0] * 4
    assert course[20:] == [0] * 4
    assert (np.diff(course[3:9]) > 0).all()
    assert (np.diff(course[8:21]) < 0).all()


@pytest.mark.parametrize("options", [None, BUSY])
def test_frames_are_the_same_in_any_order(options: FilmOptions | None) -> None:
    once, again = film(options), film(options)
    backwards = [again[place] for place in (20, 7)]
    np.testing.assert_array_equal(once[7], backwards[1])
    np.testing.assert_array_equal(once[20], backwards[0])
    np.testing.assert_array_equal(once[-1], once[39])
    with pytest.raises(IndexError):
        once[40]


@pytest.mark.parametrize("pixels", [0.3, 1.0, 2.0])
def test_the_strongest_point_moves_as_far_as_was_asked(pixels: float) -> None:
    for index, expression in enumerate(EXPRESSIONS):
        drawn = film(FilmOptions(pixels=(pixels, pixels), sway=0), expression, index)
        course = drawn.acts[0].course
        moved = (drawn.points(course.apex) - drawn.points(course.onset)) / 32
        assert np.hypot(*moved.T).max() == pytest.approx(pixels, abs=0.1)


def test_a_clip_lasts_at_most_half_a_second_and_rests_at_both_ends() -> None:
    for clip, drawn in drawn_clips(60, frames=60, options=FilmOptions(fps=100)):
        clip.check()
        assert 0.04 <= (clip.offset - clip.onset) / clip.fps <= 0.5
        assert not drawn.intensities(clip.onset).any()
        assert not drawn.intensities(clip.offset).any()
        total = [drawn.intensities(place).sum() for place in range(60)]
        assert int(np.argmax(total)) == clip.apex


def test_the_field_is_the_movement_of_the_points_and_nothing_for_a_frame_with_itself() -> None:
    drawn = film(FilmOptions(pixels=(2, 2)))
    course = drawn.acts[0].course
    flow, known = drawn.flow(course.onset, course.apex)
    assert 0.3 < known.mean() < 0.7
    assert not drawn.flow(course.apex, course.apex)[0].any()
    before, after = drawn.points(course.onset), drawn.points(course.apex)
    rows = skin_rows()
    at, moved = before[rows] / np.float32(32), (after[rows] - before[rows]) / 32
    seen = np.stack([cv2.remap(flow[..., k], *at.astype(np.float32).T, cv2.INTER_LINEAR)[:, 0] for k in (0, 1)], axis=1)
    sure = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8))[tuple(np.rint(at).astype(int).T[::-1])] > 0
    assert np.median(np.hypot(*(seen - moved)[sure].T)) < 0.05


def test_the_field_takes_one_frame_to_the_other_better_than_less_or_more_of_it() -> None:
    y, x = np.mgrid[:128, :128].astype(np.float32)
    left = np.zeros(4)
    for index in range(6):
        drawn = draw_film(index, EXPRESSIONS[index], seed=2, index=index, options=FilmOptions(pixels=(2, 2), grain=0))
        course = drawn.acts[0].course
        flow, known = drawn.flow(course.onset, course.apex)
        pair = (drawn[place].astype(np.float32).mean(axis=-1) for place in (course.onset, course.apex))
        before, after = (cv2.GaussianBlur(grey, (0, 0), 1.5) for grey in pair)
        for number, share in enumerate((0, 0.6, 1, 1.4)):
            back = cv2.remap(after, x + share * flow[..., 0], y + share * flow[..., 1], cv2.INTER_CUBIC)
            left[number] += np.abs(back - before)[known].mean()
    assert left.argmin() == 2


def test_distractors_move_what_they_name_and_no_more() -> None:
    still = FilmOptions(sway=0)
    long = {"seed": 4, "index": 1, "frames": 900}
    for name in ("nods", "blinks", "gaze", "speech"):
        options = FilmOptions(sway=0, **{name: True})
        drawn = draw_film(0, "surprise", options=options, **long)  # type: ignore[arg-type]
        plain = draw_film(0, "surprise", options=still, **long)  # type: ignore[arg-type]
        assert drawn.acts[0].course == plain.acts[0].course
        assert any((drawn.points(place) != plain.points(place)).any() for place in range(0, 900, 9)), name
        assert name == "speech" or (drawn.intensities(60) == plain.intensities(60)).all()


def test_a_long_film_has_its_expressions_apart() -> None:
    video = as_long_video(draw_long_film(1, seed=0, index=0, seconds=30, micro=4, macro=3), "v")
    video.check()
    assert sorted(act.kind for act in video.intervals) == ["macro"] * 3 + ["micro"] * 4
    ends = [(act.onset, act.offset) for act in video.intervals]
    assert all(first[1] < second[0] for first, second in pairwise(ends))
    micro = [act for act in video.intervals if act.kind == "micro"]
    assert all(act.offset - act.onset <= 0.5 * video.fps for act in micro)


def test_a_folder_of_clips_is_read_as_the_corpus_clips(tmp_path: Path) -> None:
    write_clips(tmp_path / "c", clips=3, subjects=3, options=FilmOptions(size=48), frames=20)
    found = read_clips(tmp_path / "c", "clips", ClipOptions())
    assert not found.bad
    assert [clip.subject for clip in found.clips] == ["s0000", "s0001", "s0002"]
    drawn = [clip for clip, _ in drawn_clips(3, subjects=3, options=FilmOptions(size=48), frames=20)]
    for read, made in zip(found.clips, drawn, strict=True):
        assert (read.onset, read.apex, read.offset, read.fps) == (made.onset, made.apex, made.offset, made.fps)
        np.testing.assert_array_equal(read.frames[9], made.frames[9])
    with np.load(tmp_path / "c" / "s0000" / "c00000" / "truth.npz") as truth:
        assert truth["flow"].shape == (48, 48, 2)
        assert truth["aus"].shape == (20, 2, len(AUS))


def test_clips_are_shared_evenly_among_exactly_so_many_subjects() -> None:
    shared = Counter(clip.subject for clip, _ in drawn_clips(46, subjects=7, options=FilmOptions(size=48), frames=12))
    assert sorted(shared.values()) == [6, 6, 6, 7, 7, 7, 7]


def test_a_folder_of_films_has_its_truth_beside_it(tmp_path: Path) -> None:
    write_videos(tmp_path / "f", films=2, seconds=10, options=FilmOptions(size=48, fps=25))
    coded = read_coded(tmp_path / "f" / "intervals.csv")
    assert list(coded) == ["film0000.avi", "film0001.avi"]
    for video in drawn_videos(2, seconds=10, options=FilmOptions(size=48, fps=25)):
        assert coded[video.name] == list(video.intervals)
        assert {one.kind for one in video.intervals} == {"micro", "macro"}
        with open_video(str(tmp_path / "f" / video.name)) as film:
            pictures = [frame.picture for frame in film.frames()]
        assert (len(pictures), film.fps) == (250, 25)
        off = pictures[100].astype(int) - video.frames[100]
        assert np.abs(off).mean() < 4  # grey levels that JPEG costs


def test_a_store_has_flow_and_subjects(tmp_path: Path) -> None:
    meta = draw_clip_store(tmp_path / "s", clips=12, subjects=4)
    store = Store.open(tmp_path / "s")
    assert [plane.name for plane in meta.planes] == ["face", "flow"]
    assert meta.labels == tuple(sorted(EXPRESSIONS))
    assert len({sample.subject for sample in store.iter_samples()}) == 4
    assert draw_clip_store(tmp_path / "t", clips=12, subjects=4).sha256 == meta.sha256


def test_the_command_writes_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--size", "48", "--clips", "6"]
    assert run(["data", "draw", *small, "--out", str(tmp_path / "c"), "--distractors"]) == 0
    assert "6 clips" in capsys.readouterr().out
    assert run(["data", "draw", *small, "--store", "--out", str(tmp_path / "s"), "--json"]) == 0
    assert run(["data", "draw", "--count", "4", *small, "--out", str(tmp_path / "x")]) == 2
    assert run(["data", "draw", "--store", "--out", str(tmp_path / "x")]) == 2
    assert run(["data", "draw", "--pixels", "1", "2", "--out", str(tmp_path / "x")]) == 2
    assert run(["data", "draw", "--films", "1", "--clips", "6", "--out", str(tmp_path / "x")]) == 2
    assert run(["data", "draw", "--films", "1", "--seconds", "5", "--out", str(tmp_path / "x")]) == 2
    assert run(["data", "draw", *small, "--fps", "0", "--out", str(tmp_path / "x")]) == 2
    assert run(["data", "draw", "--clips", "0", "--apart", "--out", str(tmp_path / "x")]) == 2


@pytest.mark.parametrize(
    "change", [{"fps": 2}, {"pixels": (2, 1)}, {"sway": -1}, {"grain": 99}, {"flicker": 99}, {"jpeg": 101}, {"size": 8}]
)
def test_options_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        FilmOptions(**change)  # type: ignore[arg-type]


def test_numbers_out_of_range_are_refused() -> None:
    for call in (
        lambda: draw_film(0, "joy", seed=0, index=0),
        lambda: draw_film(0, "fear", seed=0, index=0, frames=3),
        lambda: draw_long_film(0, seed=0, index=0, seconds=5),
        lambda: drawn_clips(0),
        lambda: drawn_videos(0),
        lambda: drawn_videos(1, seconds=9),
        lambda: drawn_clips(2, subjects=3),
        lambda: drawn_clips(2, expressions=()),
    ):
        with pytest.raises(ConfigError):
            call()


@pytest.mark.long
def test_two_clips_a_second() -> None:
    started = time.process_time()
    for index in range(4):
        assert len(list(film(BUSY, index=index))) == 40
    assert time.process_time() - started < 2
