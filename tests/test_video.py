"""Videos: every frame once, its true time, upright; what is no whole video is a sentence; what is written is whole."""

import os
import re
import resource
import struct
import subprocess
import sys
from collections import deque
from pathlib import Path

import cv2
import numpy as np
import pytest

from made_videos import Camera, announce, number_of, numbered, retime, stretch, trim, turn, write_video, y4m
from mien.errors import DataError
from mien.video import Frame, Video, open_video, video_writer


def frames(path: Path) -> list[Frame]:
    with open_video(path) as video:
        return list(video.frames())


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_every_frame_once_in_order_with_its_time(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"film{suffix}", numbered(70))
    seen = frames(path)
    assert [number_of(f.picture) for f in seen] == [f.index for f in seen] == list(range(70))
    assert [f.time_s for f in seen] == pytest.approx([i / 25 for i in range(70)], abs=1e-3)
    assert seen[0].picture.shape == (96, 128, 3)
    with open_video(path) as video:
        assert (video.name, video.fps, video.announced, video.live) == (str(path), 25.0, 70, False)


def test_colours_are_rgb(tmp_path: Path) -> None:
    red = np.full((64, 64, 3), (200, 20, 10), np.uint8)
    assert frames(write_video(tmp_path / "red.avi", [red] * 2))[1].picture[32, 32] == pytest.approx(
        (200, 20, 10), abs=6
    )


def test_a_variable_rate_keeps_its_true_times(tmp_path: Path) -> None:
    lasts = [0.04] * 5 + [0.5] * 5 + [0.01] * 10
    path = retime(write_video(tmp_path / "film.mp4", numbered(20)), lasts)
    seen = frames(path)
    assert [number_of(f.picture) for f in seen] == list(range(20))
    assert [f.time_s for f in seen] == pytest.approx([sum(lasts[:i]) for i in range(20)], abs=2e-3)


@pytest.mark.parametrize(("degrees", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_a_film_that_says_it_is_turned_comes_upright(tmp_path: Path, degrees: int, corner: tuple[int, int]) -> None:
    still = np.full((96, 128, 3), 40, np.uint8)
    still[:48, :64] = 220
    (seen, _) = frames(turn(write_video(tmp_path / "film.mp4", [still] * 2), degrees))
    height, width = seen.picture.shape[:2]
    assert (height, width) == ((96, 128) if degrees % 180 == 0 else (128, 96))
    row, column = (place * 8 - 4 if place else 4 for place in corner)
    assert seen.picture[row, column].mean() > 190
    assert np.median(seen.picture) < 60


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_that_is_cut_off_gives_its_frames_and_then_says_so(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"film{suffix}", numbered(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    seen: list[Frame] = []
    sentence = r"is cut off after 1\.\d s: the file has [\d,]+ of [\d,]+ bytes\."
    with open_video(path) as video, pytest.raises(DataError, match=sentence):
        seen.extend(video.frames())
    assert 20 < len(seen) < 45


def test_a_video_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", numbered(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"film\.mp4 is cut off: the file has [\d,]+ of [\d,]+ bytes\."):
        frames(path)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".ts"])
def test_a_film_that_announces_more_than_it_holds_is_whole(tmp_path: Path, suffix: str) -> None:
    """Trimmed without recoding, starting late, or with a header that lies: every frame there is, and no complaint."""
    path = write_video(tmp_path / f"film{suffix}", numbered(60), codec="mp4v" if suffix == ".ts" else "")
    first = 0
    if suffix == ".mp4":
        trim(path, 1.0)  # the decoder reads these frames and shows none of them
        first = 25
    elif suffix in (".avi", ".mkv"):
        announce(path, 3.0)
    seen = frames(path)
    numbers = [number_of(f.picture) for f in seen]
    assert numbers[-30:] == list(range(30, 60))
    assert numbers == list(range(numbers[0], 60))
    assert first - 13 <= numbers[0] <= first
    assert seen[0].time_s < 0.05


def test_trailing_bytes_and_unknown_lengths_are_no_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", numbered(10))
    path.write_bytes(path.read_bytes() + b"\xff\xff\xff\xffjunk" * 3)
    assert len(frames(path)) == 10
    path = write_video(tmp_path / "film.avi", numbered(10))
    data = bytearray(path.read_bytes())
    data[4:8] = bytes(4)
    path.write_bytes(data)
    assert len(frames(path)) == 10
    path = write_video(tmp_path / "film.mkv", numbered(10))
    data = bytearray(path.read_bytes())
    at = data.index(b"\x18\x53\x80\x67") + 4
    data[at : at + 8] = b"\x01" + b"\xff" * 7
    path.write_bytes(data)
    assert len(frames(path)) == 10


def test_a_damaged_frame_does_not_end_the_film(tmp_path: Path) -> None:
    """What follows is read; where more than a twentieth is lost, the end says so."""
    path = write_video(tmp_path / "film.avi", numbered(60))
    data = bytearray(path.read_bytes())
    starts = [match.start() for match in re.finditer(b"00dc", data[: data.index(b"idx1")])][-60:]

    def spoil(first: int, end: int) -> None:
        for start in starts[first:end]:
            size = struct.unpack_from("<I", data, start + 4)[0]
            data[start + 8 : start + 8 + size] = bytes(size)
        path.write_bytes(data)

    spoil(20, 22)
    assert {number_of(f.picture) for f in frames(path)} >= set(range(60)) - {20, 21}
    spoil(20, 40)
    seen: list[Frame] = []
    with open_video(path) as video, pytest.raises(DataError, match=r"is damaged: \d+ of its frames could not be dec"):
        seen.extend(video.frames())
    assert number_of(seen[-1].picture) == 59


def test_sound_alone_is_a_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "film.avi", numbered(3))
    path.write_bytes(path.read_bytes().replace(b"strh8\0\0\0vids", b"strh8\0\0\0auds"))
    with pytest.raises(DataError, match="has no pictures"):
        frames(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("ratio", "shape"),
    [((1, 1), (96, 128)), ((2, 1), (96, 256)), ((1, 2), (192, 128)), ((64, 45), (96, 182)), ((900, 1), (96, 128))],
)
def test_pixels_that_are_not_square_are_made_so(tmp_path: Path, ratio: tuple[int, int], shape: tuple[int, int]) -> None:
    path = y4m(tmp_path / "film.y4m", numbered(3), header=f"A{ratio[0]}:{ratio[1]}")
    assert [f.picture.shape[:2] for f in frames(path)] == [shape] * 3


def test_a_turned_film_of_oblong_pixels_is_stretched_along_what_was_its_width(tmp_path: Path) -> None:
    path = turn(stretch(write_video(tmp_path / "film.mp4", numbered(3)), 2, 1), 90)
    assert [f.picture.shape[:2] for f in frames(path)] == [(256, 96)] * 3


def test_a_film_of_one_frame(tmp_path: Path) -> None:
    for suffix in (".avi", ".mkv", ".mp4"):
        assert len(frames(write_video(tmp_path / f"one{suffix}", numbered(1)))) == 1


def test_frames_are_no_larger_than_pictures(tmp_path: Path) -> None:
    """What the container says of the size is not believed: FFmpeg has looked at the first frames."""
    path = write_video(tmp_path / "film.avi", [np.zeros((8200, 8200, 3), np.uint8)])
    path.write_bytes(path.read_bytes().replace(struct.pack("<II", 8200, 8200), struct.pack("<II", 64, 64)))
    with pytest.raises(DataError, match="has frames of 8200×8200 pixels, expected at most 16,384 a side and 65 mega"):
        frames(path)


def test_a_frame_that_is_larger_than_announced_is_refused_before_it_is_copied() -> None:
    class Growing(Camera):
        def read(self) -> tuple[bool, object]:
            return True, np.broadcast_to(np.zeros(3, np.uint8), (12_000, 12_000, 3))

    with pytest.raises(DataError, match="film has a frame of 12000×12000 pixels, expected"):
        next(Video("film", Growing(1), live=False).frames())


def test_time_stamps_that_jump_do_not_stop_the_clock() -> None:
    """Joined films begin anew, and a damaged stamp can say anything; times go on and never fall."""
    stamps = [0.0, 40.0, 80.0, 40.0, 80.0, 1e12, 1e12 + 40, -5.0, 120.0]

    class Joined(Camera):
        def get(self, prop: int) -> float:
            return stamps[min(8, 8 - len(self.left))] if prop == cv2.CAP_PROP_POS_MSEC else super().get(prop)

    times = [f.time_s for f in Video("film", Joined(9), live=False).frames()]
    assert times == sorted(times)
    assert times[-1] < 1.0


def test_an_unknown_codec_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "film.avi", numbered(10))
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"QQQQ"))
    with pytest.raises(DataError, match="codec unknown to OpenCV"):
        frames(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is an empty file"),
        (b"hello\n", "is not a video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "is not a video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "is not a video"),
        (b"\0\0\0\x18ftypheic" + bytes(300), "is not a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(500), "is damaged, or has a codec"),
        (b"\0\0\0\x18ftypmp42" + bytes(500), "is damaged, or has a codec"),
        (b"RIFF\0\0\0\0AVI " + bytes(500), "is damaged, or has a codec"),
    ],
)
def test_what_is_no_video_is_refused(
    tmp_path: Path, content: bytes, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        frames(path)
    assert capfd.readouterr().err == ""


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        frames(tmp_path / "absent.mp4")
    with pytest.raises(DataError, match="directory"):
        frames(tmp_path)


def test_a_name_at_which_opencv_would_end_the_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    write_video(tmp_path / "film.mp4", numbered(3)).rename(path)
    with pytest.raises(DataError, match="a name that is no UTF-8"):
        frames(path)
    with pytest.raises(DataError, match="a name that is no UTF-8"), video_writer(path, 25.0) as append:
        append(next(iter(numbered(1))), 0.0)


def test_a_camera_is_timed_by_the_clock_and_released() -> None:
    camera = Camera(5)
    with open_video("camera:7", capture=lambda number: camera if number == 7 else Camera(0)) as video:
        assert video.live
        assert video.announced is None
        seen = list(video.frames())
    assert [number_of(f.picture) for f in seen] == list(range(5))
    times = [f.time_s for f in seen]
    assert times == sorted(times)
    assert 0 <= times[-1] < 5
    assert camera.released


def test_a_camera_that_gives_nothing() -> None:
    with pytest.raises(DataError, match="camera:0 gives no picture"), open_video("camera:0", lambda _: Camera(0)) as v:
        list(v.frames())


def test_an_absent_camera(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="There is no camera 99, or another program uses it"), open_video("camera:99"):
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["camera:", "camera:x", "camera:-1", "camera:12345"])
def test_a_camera_has_a_number(name: str) -> None:
    with pytest.raises(DataError, match="A camera is camera:NUMBER"), open_video(name):
        pass


@pytest.mark.parametrize("name", ["https://example.org/a.mp4", "rtsp://10.0.0.1/live", "s3://bucket/a.mkv"])
def test_a_url_is_a_sentence(name: str) -> None:
    with pytest.raises(DataError, match=r"^\S+: mien reads no URLs; download the video first\.$"), open_video(name):
        pass


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_what_is_written_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with video_writer(path, 25.0) as append:
        for i, frame in enumerate(numbered(30)):
            append(frame, i / 25)
    assert [number_of(f.picture) for f in frames(path)] == list(range(30))
    assert list(tmp_path.iterdir()) == [path]


def test_frames_are_repeated_and_left_out_to_keep_the_time(tmp_path: Path) -> None:
    with video_writer(tmp_path / "out.avi", 10.0) as append:
        for frame, time_s in zip(numbered(6), (0.0, 0.1, 0.4, 0.41, 0.42, 0.6), strict=True):
            append(frame, time_s)
    assert [number_of(f.picture) for f in frames(tmp_path / "out.avi")] == [0, 1, 1, 1, 4, 4, 5]


@pytest.mark.parametrize("times", [(0.0, 2000.0, 4000.0), (0.0, 0.1, 3e5), tuple(60.0 * n for n in range(9))])
def test_hours_without_a_frame_are_cut_short(tmp_path: Path, times: tuple[float, ...]) -> None:
    """Times far apart are believed, since a camera may wait for motion; the film repeats no frame for hours."""
    path = tmp_path / "out.avi"
    with video_writer(path, 10.0) as film:
        for frame, time_s in zip(numbered(len(times)), times, strict=True):
            film(frame, time_s)
    shown = [number_of(f.picture) for f in frames(path)]
    assert sorted(set(shown)) == list(range(len(times)))
    assert len(shown) <= 100 + 21 * len(times)
    assert film.cut_s == pytest.approx(times[-1] - (len(shown) - 1) / 10, abs=0.2)


def test_no_frame_no_file(tmp_path: Path) -> None:
    with video_writer(tmp_path / "out.mp4", 25.0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with pytest.raises(cv2.error), video_writer(path, 25.0) as append:
        deque(map(append, [next(iter(numbered(1))), None], [0.0, 0.1]), maxlen=0)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "sentence"), [("out.gif", r"ends in \.mp4 or \.avi"), ("no/out.mp4", "no such folder")]
)
def test_where_no_video_can_be_written(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence), video_writer(tmp_path / name, 25.0) as append:
        append(next(iter(numbered(1))), 0.0)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_full_disk_is_a_sentence(tmp_path: Path, suffix: str) -> None:
    code = (
        "import numpy as np; from pathlib import Path; from mien.video import video_writer; from mien.errors import *\n"
        "rng = np.random.default_rng(0)\n"
        "try:\n"
        f"    with video_writer(Path({str(tmp_path / f'out{suffix}')!r}), 25.0) as append:\n"
        "        for i in range(50): append(rng.integers(0, 255, (96, 128, 3), np.uint8), i / 25)\n"
        "except DataError as error: print(error)\n"
    )
    limit = 100_000  # bytes a file may have, as if the disk were full

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, preexec_fn=small)
    assert "could not be written whole; is the disk full?" in done.stdout
    assert os.listdir(tmp_path) == []
