"""Clips and their frames: numbers in file names, sizes, videos, and what is no clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_videos import number_of, numbered, write_video
from mien.data.clips.clip import Clip, LongVideo
from mien.data.clips.frames import FilmFrames, ImageFrames, frame_number
from mien.data.clips.frames import numbered as frames_of
from mien.errors import BadSample
from mien.metrics.spotting import Interval, spot_scores

STILL = np.zeros((10, 8, 8, 3), np.uint8)
CLIP = Clip(name="sub01/EP02", subject="01", label="disgust", frames=STILL, onset=2, apex=5, offset=9, fps=200.0)


def picture(path: Path, level: int, size: tuple[int, int] = (16, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("img46.jpg", 46),
        ("reg_img46.jpg", 46),
        ("006_05562.jpg", 5562),
        ("175.jpg", 175),
        ("image017581039.bmp", 17581039),
        ("s3_cover.jpg", 3),
        ("cover.jpg", None),
        (f"{'9' * 40}.jpg", None),
    ],
)
def test_a_frame_is_the_last_run_of_digits(name: str, number: int | None) -> None:
    assert frame_number(name) == number


def test_frames_are_sorted_by_number_and_not_by_text(tmp_path: Path) -> None:
    for number in (100, 9, 10):
        picture(tmp_path / f"img{number}.jpg", number)
    (tmp_path / "notes.txt").write_text("1")
    picture(tmp_path / ".img7.jpg", 7)
    picture(tmp_path / "cover.jpg", 7)
    found = frames_of(tmp_path)
    assert list(found) == [9, 10, 100]
    frames = ImageFrames(list(found.values()))
    assert len(frames) == 3
    assert [int(frame[0, 0, 0]) for frame in frames] == [9, 10, 100]
    assert frames[-1].shape == (12, 16, 3)


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "img1.jpg", 1)
    picture(tmp_path / "reg_img01.png", 1)
    with pytest.raises(BadSample, match=r"img1.jpg and reg_img01.png are both frame 1"):
        frames_of(tmp_path)


def test_frames_of_different_sizes_are_refused(tmp_path: Path) -> None:
    paths = [picture(tmp_path / "a" / "1.png", 1), picture(tmp_path / "a" / "2.png", 2, (10, 10))]
    frames = ImageFrames(paths)
    assert frames[0].shape == (12, 16, 3)
    with pytest.raises(BadSample, match=r"a/2.png: a frame of 10×10 where others of its clip have 16×12"):
        frames[1]


def test_a_video_gives_frames_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_video(path, numbered(12), 25.0)
    frames = FilmFrames(path)
    assert len(frames) == 12
    assert [number_of(frames[place]) for place in (3, 7, 2, -1)] == [3, 7, 2, 11]
    part = FilmFrames(path, 4, 9)
    assert [number_of(frame) for frame in part] == [4, 5, 6, 7, 8]
    assert number_of(part[1]) == 5
    assert part.fps == pytest.approx(25.0)
    with pytest.raises(IndexError):
        part[5]
    with pytest.raises(BadSample, match="there is no frame 12: the video has 12 frames"):
        FilmFrames(path, 4, 90)[8]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"frames": STILL[:1]}, "a clip of 1 frame; a movement needs 2 or more"),
        ({"apex": 12}, "the apex is frame 12 of a clip of 10"),
        ({"apex": 1}, r"the apex \(frame 1\) is not after the onset \(2\) and up to the offset \(9\)"),
        ({"apex": 2}, r"the apex \(frame 2\) is not after the onset"),
        ({"onset": -1}, "the onset is frame -1"),
        ({"offset": 2, "apex": None}, r"the offset \(frame 2\) is not after the onset \(frame 2\)"),
        ({"fps": float("nan")}, "nan frames a second"),
    ],
)
def test_a_clip_without_a_movement_is_refused(changed: dict[str, object], words: str) -> None:
    CLIP.check()
    replace(CLIP, apex=None).check()
    with pytest.raises(BadSample, match=f"sub01/EP02: {words}"):
        replace(CLIP, **changed).check()  # type: ignore[arg-type]


def test_a_long_video_holds_its_intervals() -> None:
    inside = Interval(onset=0, apex=None, offset=9, kind="micro")
    video = LongVideo(name="s15/0101", subject="s15", frames=STILL, fps=30.0, intervals=(inside,))
    video.check()
    replace(video, intervals=()).check()
    with pytest.raises(BadSample, match="the micro-expression 4–10 is not in a video of 10 frames"):
        replace(video, intervals=(replace(inside, onset=4, offset=10),)).check()
    assert spot_scores([(video.intervals, [Interval(onset=1, offset=8)])])["micro"].f1 == 1
