"""`mien predict` and `mien info` as they are typed: what they print, write and refuse, and their exit codes."""

import csv
import io
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from made_videos import Camera, faces_moving, numbered, write_video
from mien import video as video_module
from mien.cli import main
from mien.data.corpora.pictures import MAX_BYTES
from mien.data.drawn import draw_scene
from mien.data.prepare import draw_store
from mien.labels import SEVEN
from mien.video import open_video
from tiny_bundle import CARD, write_bundle

SCENE = draw_scene(6, seed=3, height=480, width=640).image
GREY = np.full((60, 80, 3), 128, np.uint8)

DEFAULT = Path(__file__).parents[1] / "src" / "mien" / "weights" / "default.onnx"

Predict = Callable[..., int]


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Run `mien predict` in the temporary folder with the tiny model and the cascade."""
    model = write_bundle(tmp_path / "tiny.onnx")
    monkeypatch.chdir(tmp_path)

    def predict(*words: object) -> int:
        faces = () if "--faces" in words else ("--faces", "haar")
        chosen = () if "--model" in words else ("--model", model)
        return run("predict", *words, *faces, *chosen, "--threads", 1)

    return predict


def command(model: Path, *words: object) -> list[str]:
    return [sys.executable, "-m", "mien", "predict", *map(str, words), "--model", str(model), "--threads", "1"]


# What is printed


def test_a_table_for_people(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "scene.png", SCENE)
    save(tmp_path / "grey.png", GREY)
    assert predict("scene.png", "grey.png") == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("scene", "grey"))]
    assert [row[:2] for row in rows[:3]] == [["scene.png", "1"], ["scene.png", "2"], ["scene.png", "3"]]
    assert rows[0][2] in SEVEN.names
    assert rows[0][3].endswith("%")
    assert "grey.png no face found" in " ".join(rows[-1])
    assert err == ""


def test_json(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "scene.png", SCENE)
    assert predict("scene.png", "--json") == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == ""
    assert list(said) == ["mien", "model", "detector", "results", "failures"]
    assert said["model"]["labels"] == list(SEVEN.names)
    assert (said["model"]["file"], said["model"]["licence"]) == ("tiny.onnx", CARD.licence)
    assert said["detector"] == "haar"
    (result,) = said["results"]
    assert result["source"] == "scene.png"
    assert len(result["faces"]) >= 3
    assert sum(result["faces"][0]["probs"].values()) == pytest.approx(1, abs=1e-5)
    assert said["failures"] == []


def test_json_lines_of_a_video_and_a_picture(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "film.mp4", faces_moving(20))
    save(tmp_path / "scene.png", SCENE)
    assert predict("film.mp4", "scene.png", "--jsonl", "--top-k", 2) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 21
    assert [line.get("frame") for line in lines] == [*range(20), None]
    assert [line.get("time_s") for line in lines] == [*(round(i / 25, 3) for i in range(20)), None]
    assert lines[5]["faces"][0]["track"] == 1
    assert all(len(face["probs"]) == 2 for line in lines for face in line["faces"])


def test_csv(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "film.mp4", faces_moving(5))
    save(tmp_path / "a, b.png", SCENE)
    save(tmp_path / "grey.png", GREY)
    assert predict("film.mp4", "a, b.png", "grey.png", "--csv") == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["source"] for row in rows[:6]] == ["film.mp4"] * 5 + ["a, b.png"]
    assert [row["frame"] for row in rows[:6]] == ["0", "1", "2", "3", "4", ""]
    assert rows[0]["track"] == "1"
    assert sum(float(rows[5][f"p_{name}"]) for name in SEVEN.names) == pytest.approx(1, abs=1e-5)
    assert float(rows[5]["width"]) > 20
    assert "No face was found in grey.png" in err


def test_of_a_video_a_line_a_track(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "film.mp4", faces_moving(50, subjects=(7, 9)))
    assert predict("film.mp4") == 0
    out = capsys.readouterr().out
    assert "film.mp4: 50 frames, 2.0 s" in out
    rows = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2"]
    assert rows[1][1:5] == ["0.0", "s", "2.0", "s"]


def test_uncertain_below_the_confidence_asked_for(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "scene.png", SCENE)
    assert predict("scene.png", "--min-confidence", 1, "--json") == 0
    faces = json.loads(capsys.readouterr().out)["results"][0]["faces"]
    assert {face["label"] for face in faces} == {"uncertain"}
    assert all(face["confidence"] < 1 for face in faces)
    assert predict("scene.png", "--min-confidence", 1) == 0
    assert "uncertain" in capsys.readouterr().out


def test_no_face_is_said_and_no_error(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "grey.png", GREY)
    assert predict("grey.png", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["results"] == [{"source": "grey.png", "faces": []}]
    assert "No face was found in grey.png" in err
    write_video(tmp_path / "film.mp4", [GREY] * 5)
    assert predict("film.mp4") == 0
    assert "no face found" in capsys.readouterr().out


def test_where_the_cascade_stands_in_for_a_better_detector_it_says_so(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "yuface", None)
    save(tmp_path / "grey.png", GREY)
    assert predict("grey.png", "--faces", "default") == 0
    assert "Others find more: " in capsys.readouterr().err
    save(tmp_path / "scene.png", SCENE)
    assert predict("scene.png", "--faces", "default") == 0
    assert predict("grey.png") == 0
    assert capsys.readouterr().err == ""


def test_ready_crops_need_no_detector(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "face.png", GREY)
    assert predict("face.png", "--faces", "none", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["results"][0]["faces"][0]["box"] == [0, 0, 80, 60]


@pytest.mark.skipif(not DEFAULT.is_file(), reason="this copy has no default model yet")
def test_a_fresh_process_needs_a_picture_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path / "scene.png", SCENE)
    words = [sys.executable, "-m", "mien", "predict", "scene.png", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert done.stderr == ""
    assert said["model"]["file"] == "default.onnx"
    assert len(said["results"][0]["faces"]) >= 3


# What is looked at


def sources(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["source"] for line in capsys.readouterr().out.splitlines()]


def test_folders_are_searched_to_the_bottom_in_order(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/b.PNG", "in/a.jpg", "in/sub/deep/c.png", "in/.hidden.png", "in/sub/d.gif"):
        save(tmp_path / name, GREY) if not name.endswith("gif") else None
    (tmp_path / "in/notes.txt").write_text("no picture")
    (tmp_path / "in/sub/d.gif").write_bytes(cv2.imencode(".gif", GREY)[1].tobytes())
    write_video(tmp_path / "in/sub/film.avi", [GREY] * 2)
    assert predict("in", "--jsonl", "--faces", "none") == 0
    assert sources(capsys) == ["in/a.jpg", "in/b.PNG", "in/sub/d.gif", "in/sub/film.avi", "in/sub/film.avi",
                               "in/sub/deep/c.png"]  # fmt: skip


def test_links_to_folders_are_followed_and_circles_end(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/a.png", GREY)
    save(tmp_path / "elsewhere/b.png", GREY)
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    (tmp_path / "in/there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "in")
    assert predict("in", "--jsonl", "--faces", "none") == 0
    assert sources(capsys) == ["in/a.png", "in/there/b.png"]


def test_globs(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("in/a1.png", "in/a2.png", "in/b.png", "in/sub/a3.png", "in/a[1].png"):
        save(tmp_path / name, GREY)
    assert predict("in/a?.png", "in/**/a3.png", "in/a[1].png", "--jsonl", "--faces", "none") == 0
    assert sources(capsys) == ["in/a1.png", "in/a2.png", "in/sub/a3.png", "in/a[1].png"]
    assert predict("in/z*.png", "--jsonl") == 1
    assert "in/z*.png matches no file." in capsys.readouterr().err


def test_a_camera(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video_module, "_cv2_camera", lambda number: Camera(7))
    assert predict("camera:0", "--jsonl", "--faces", "none", "--draw", "out") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(7))
    assert {line["source"] for line in lines} == {"camera:0"}
    names = {"camera-0-mien.mp4", "camera-0-timeline.png", "camera-0-tracks.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


class Stdin:
    def __init__(self, content: bytes, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(content)
        self.isatty = lambda: terminal
        self.closed = False


def test_a_picture_on_stdin(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(cv2.imencode(".png", SCENE[..., ::-1])[1].tobytes()))
    assert predict("-", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["source"] == "-"
    assert len(result["faces"]) >= 3
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    assert predict("-") == 1
    assert "-: an empty file." in capsys.readouterr().err
    for stdin in (Stdin(b"x", terminal=True), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert predict("-") == 1
        assert "Nothing is piped into mien. Pass a picture: " in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Stdin(b"\x1a\x45\xdf\xa3" + bytes(300)))
    assert predict("-") == 1
    assert "-: the bytes of a video, expected a picture; write them to a file" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Stdin(bytes(MAX_BYTES + 9)))
    assert predict("-") == 1
    assert "-: more than 64 MB." in capsys.readouterr().err


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "--top-k=3"])
def test_names_that_are_no_utf8_are_printed_escaped(tmp_path: Path, form: str) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    save(tmp_path / "grey.png", GREY).rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    done = subprocess.run(
        command(model, ".", "--faces", "none", form),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
    )
    assert "caf\\udce9.png" in done.stdout
    if form == "--json":
        assert json.loads(done.stdout)["results"][0]["source"] == os.fsdecode(b"caf\xe9.png")


# What cannot be looked at


def bad_inputs(folder: Path) -> dict[str, str]:
    """A name in the folder, and what is said of it."""
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.png").write_bytes(b"")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("hello")
    cut = save(folder / "cut.jpg", SCENE)
    cut.write_bytes(cut.read_bytes()[:-500])
    film = write_video(folder / "codec.avi", numbered(5))
    film.write_bytes(film.read_bytes().replace(b"MJPG", b"QQQQ"))
    film = write_video(folder / "cut.avi", numbered(60))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    (folder / "nothing").mkdir()
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe.png")
    return {
        "absent.jpg": "absent.jpg does not exist.",
        "text.jpg": "text.jpg: not a picture, expected PNG, JPEG, BMP, GIF, WebP, TIFF, PNM, JPEG 2000, AVIF, PCX, "
        "SGI or TGA.",
        "empty.png": "empty.png: an empty file.",
        "empty.mp4": "empty.mp4 is an empty file.",
        "text.mp4": "text.mp4 is not a video (MP4, MOV, AVI, MKV, WebM, OGG, MPEG, FLV, WMV or Y4M).",
        "cut.jpg": " bytes not processed)).",
        "codec.avi": "is damaged, or has a codec unknown to OpenCV's FFmpeg.",
        "cut.avi": " bytes.",
        "nothing": "nothing has no pictures or videos in it.",
        "loop": "loop does not exist.",
        "pipe.png": "pipe.png is not a file.",
        "camera:99": "There is no camera 99, or another program uses it.",
        "camera:x": "A camera is camera:NUMBER, such as camera:0; got 'camera:x'.",
        "x" * 300: "cannot be read (File name too long).",
    }


def test_bad_input_is_a_sentence_each_and_the_rest_goes_on(
    predict: Predict, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    says = bad_inputs(tmp_path)
    save(tmp_path / "first.png", SCENE)
    save(tmp_path / "last.png", SCENE)
    assert predict("first.png", *says, "last.png", "--json") == 1
    out, err = capfd.readouterr()
    said = json.loads(out)
    assert f"{len(says)} of {len(says) + 2} inputs could not be used:" in err
    assert "Traceback" not in err
    assert [failure["source"] for failure in said["failures"]] == list(says)
    for failure, sentence in zip(said["failures"], says.values(), strict=True):
        assert failure["error"].endswith(sentence)
        assert failure["error"] in err
    pictures = [result for result in said["results"] if result["source"].endswith(".png")]
    assert [result["source"] for result in pictures] == ["first.png", "last.png"]
    assert pictures[0]["faces"] == pictures[1]["faces"]
    assert sum(result["source"] == "cut.avi" for result in said["results"]) > 20


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "--top-k=3"])
def test_when_all_fails_the_output_is_still_whole(
    predict: Predict, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("absent.jpg", form) == 1
    out, err = capsys.readouterr()
    assert "1 of 1 inputs could not be used:\nabsent.jpg does not exist." in err
    if form == "--jsonl":
        assert json.loads(out) == {"source": "absent.jpg", "error": "absent.jpg does not exist."}
    if form == "--json":
        assert json.loads(out)["results"] == []


def test_an_unreadable_folder(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/a.png", GREY)
    (tmp_path / "in/secret").mkdir()
    honest = os.scandir

    def guarded(path: Any) -> Any:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return honest(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert predict("in", "--jsonl", "--faces", "none") == 1
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[0])["source"] == "in/a.png"
    assert "in/secret cannot be read (Permission denied)." in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "absent.onnx"], "absent.onnx does not exist"),
        (["--model", "text.onnx"], "is not an ONNX model"),
        (["--model", "cut.onnx"], "is cut off or damaged"),
        (["--model", "odd.onnx"], "ONNX Runtime cannot load the network"),
        (["--faces", "dlib"], "There is no face detector 'dlib'"),
        (["--faces", "yunet=absent.onnx"], "There is no YuNet file absent.onnx"),
        (["--json", "--csv"], "exclude each other"),
        (["--min-confidence", "2"], "min_confidence is a number, 0 to 1; got 2"),
        (["--smooth", "-1"], "smoothing_s, in seconds, is a number, 0 to 1,000,000,000; got -1"),
        (["--threads", "-1"], "threads, 0 for all cores, is a whole number, 0 to 1,024; got -1"),
        (["--top-k", "0"], "--top-k"),
        (["--top-k", "x"], "--top-k"),
        (["--draw", "scene.png"], "would overwrite the input itself"),
        (["--draw", "out.webp"], "is neither a folder nor one of .avi, .jpeg, .jpg, .mp4, .png"),
        (["--draw", "out.xyz"], "for a folder whose name has a dot, make it first"),
        (["--draw", "text.onnx"], "is a file that is there already, and no picture; give a folder"),
        (["--draw", "out.mp4"], "an annotated picture ends in"),
        (["--draw", "text.onnx/out"], "Cannot write text.onnx/out"),
        (["grey.png", "--draw", "out.png"], "there are 2 inputs; give a folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    predict: Predict, tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (tmp_path / "tiny.onnx").read_bytes()
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "cut.onnx").write_bytes(content[:-100])
    write_odd(tmp_path / "odd.onnx")
    scene = save(tmp_path / "scene.png", SCENE).read_bytes()
    save(tmp_path / "grey.png", GREY)
    if "--threads" in words:
        assert run("predict", "scene.png", "--faces", "none", "--model", "tiny.onnx", *words) == 2
    else:
        assert predict("scene.png", *words) == 2
    out, err = capsys.readouterr()
    assert says in err.replace("\n", " ")
    assert out == ""
    assert "Traceback" not in err
    assert (tmp_path / "scene.png").read_bytes() == scene


def write_odd(path: Path) -> None:
    from mien.bundle import seal
    from tiny_bundle import model_bytes

    path.write_bytes(seal(model_bytes().replace(b"Gemm", b"Grmm"), CARD))


# What is drawn


def test_drawings_of_a_folder_keep_its_order_and_take_no_name_twice(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/a.jpg", "in/sub/a.png", "in/sub/a.bmp", "b.png"):
        save(tmp_path / name, SCENE)
    assert predict("in", "b.png", "in/a.jpg", "--draw", "in/out") == 0
    out = tmp_path / "in" / "out"
    made = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert made == {"a-mien.jpg", "sub/a-mien.png", "sub/a-2-mien.png", "b-mien.png", "a-2-mien.jpg"}
    drawn = cv2.imread(str(out / "b-mien.png"))
    assert drawn.shape == (480, 640, 3)
    assert not np.array_equal(drawn[..., ::-1], SCENE)
    capsys.readouterr()
    assert predict("in", "--draw", "in/out", "--jsonl", "--faces", "none") == 0
    assert sources(capsys) == ["in/a.jpg", "in/sub/a.bmp", "in/sub/a.png"]  # its own drawings are no input


def test_one_picture_to_one_file(predict: Predict, tmp_path: Path) -> None:
    save(tmp_path / "scene.png", SCENE)
    assert predict("scene.png", "absent.png", "--draw", "new/out.jpg") == 1
    assert cv2.imread(str(tmp_path / "new/out.jpg")).shape == (480, 640, 3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.jpg"]


def test_a_folder_with_a_dot_that_is_there_takes_drawings(predict: Predict, tmp_path: Path) -> None:
    save(tmp_path / "scene.png", SCENE)
    (tmp_path / "out.v2").mkdir()
    assert predict("scene.png", "--draw", "out.v2") == 0
    assert (tmp_path / "out.v2/scene-mien.png").is_file()


def test_drawings_do_not_go_into_a_folder_that_is_looked_at(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/scene.png", SCENE)
    (tmp_path / "link").symlink_to("in")
    for words in (("in", "--draw", "in"), ("in/", "--draw", "link"), (".", "--draw", tmp_path)):
        assert predict(*words) == 2
        assert "is the folder of the inputs, and the next run would look at the drawings too" in capsys.readouterr().err
    assert predict("in/scene.png", "--draw", "in") == 0
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"scene.png", "scene-mien.png"}


def test_a_picture_among_the_drawings_is_named_and_drawings_are_not(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/scene.png", SCENE)
    save(tmp_path / "in/drawn/sub/other.png", SCENE)
    save(tmp_path / "in/drawn/film-timeline.png", SCENE)
    for _ in range(2):  # the second time, the first one's drawing is there too
        assert predict("in", "--draw", "in/drawn") == 0
        noted = " ".join(capsys.readouterr().err.split())
        assert f"pictures and videos in the folder for drawings (1): {Path('in/drawn/sub/other.png')}." in noted
    assert (tmp_path / "in/drawn/scene-mien.png").is_file()


def test_what_stands_elsewhere_is_not_fetched(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("https://example.org/a.jpg?x=[1]", "s3://b/a.png", "file:///etc/passwd", "rtsp://camera/1"):
        assert predict(url) == 1
        assert f"{url}: mien reads no URLs; download the picture first, or: curl -sL URL | mien predict -" in (
            capsys.readouterr().err
        )


def test_a_photograph_is_no_model_and_is_not_to_be_written_over(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "photo.jpg", SCENE)
    assert predict("photo.jpg", "--model", "photo.jpg") == 2
    said = capsys.readouterr().err
    assert "photo.jpg is not an ONNX model" in said
    assert "-o photo.jpg" not in said


def test_limits_of_faces(predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "scene.png", SCENE)

    def found(*words: object) -> list[dict[str, Any]]:
        assert predict("scene.png", "--json", *words) == 0
        return list(json.loads(capsys.readouterr().out)["results"][0]["faces"])

    usual = found()
    side, score = max(face["box"][2] for face in usual), max(face["score"] for face in usual)
    assert 0 < len(found("--min-face", side - 1)) < len(usual)
    assert 0 < len(found("--min-score", score - 0.01)) < len(usual)
    assert len(found("--min-score", 0)) >= len(usual)


def test_a_drawn_film_with_its_timeline_and_tracks(predict: Predict, tmp_path: Path) -> None:
    write_video(tmp_path / "film.avi", faces_moving(40, subjects=(7, 9)))
    assert predict("film.avi", "--draw", "out", "--min-confidence", 0.2) == 0
    with open_video(tmp_path / "out/film-mien.mp4") as film:
        frames = list(film.frames())
    assert len(frames) == 40
    assert frames[0].picture.shape == (288, 704, 3)
    assert frames[20].time_s == pytest.approx(0.8, abs=0.01)
    assert cv2.imread(str(tmp_path / "out/film-timeline.png")).shape[1] == 1044
    rows = list(csv.DictReader((tmp_path / "out/film-tracks.csv").read_text().splitlines()))
    assert [row["track"] for row in rows] == ["1", "2"]
    shares = [name for name in rows[0] if name.startswith("share_")]
    assert shares == [f"share_{name}" for name in (*SEVEN.names, "uncertain")]
    assert sum(float(rows[0][name]) for name in shares) == pytest.approx(1, abs=1e-3)


def test_a_film_to_one_file(predict: Predict, tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", numbered(10))
    assert predict("film.mp4", "--faces", "none", "--draw", "out.avi") == 0
    made = {path.name for path in tmp_path.iterdir()} - {"film.mp4", "tiny.onnx"}
    assert made == {"out.avi", "out-timeline.png", "out-tracks.csv"}


def test_a_film_that_is_cut_off_is_drawn_as_far_as_it_goes(predict: Predict, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.avi", numbered(60))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    assert predict("film.avi", "--faces", "none", "--draw", "out") == 1
    with open_video(tmp_path / "out/film-mien.mp4") as drawn:
        assert 20 < len(list(drawn.frames())) < 45


@pytest.mark.parametrize("words", [("scene.png",), ("film.avi", "--faces", "none")])
def test_a_full_disk_is_a_sentence_and_leaves_nothing_half(tmp_path: Path, words: tuple[str, ...]) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    noise = np.random.default_rng(0).integers(0, 255, (40, 120, 160, 3), np.uint8)
    save(tmp_path / "scene.png", cv2.resize(noise[0], (900, 900)))
    write_video(tmp_path / "film.avi", noise)
    limit = 60_000  # bytes a file may have, as if the disk were full
    done = subprocess.run(
        command(model, *words, "--json", "--draw", "out"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("mien: ")
    assert "annot write" in done.stderr or "is the disk full?" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert json.loads(done.stdout)["failures"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "--top-k=3"])
def test_results_that_cannot_be_written_are_a_sentence(tmp_path: Path, form: str) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    save(tmp_path / "grey.png", GREY)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(model, "grey.png", "--faces", "none", form),
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "mien: The results cannot be written (No space left on device).\n"


# Interruptions


def interrupted(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of a long prediction that gets a Ctrl-C when the first results are out."""
    model = write_bundle(tmp_path / "tiny.onnx")
    write_video(tmp_path / "film.avi", faces_moving(3000))
    out = tmp_path / "stdout"
    with out.open("w") as stdout:
        process = subprocess.Popen(
            command(model, "film.avi", "--faces", "none", *words),
            cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while out.stat().st_size == 0 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    return process.returncode, out.read_text(), err


def test_ctrl_c_leaves_whole_json_and_a_whole_film(tmp_path: Path) -> None:
    code, out, err = interrupted(tmp_path, "--json", "--draw", "out")
    assert code == 130
    assert err == "mien: Interrupted. What was written is whole.\n"
    count = len(json.loads(out)["results"])
    assert 0 < count < 3000
    with open_video(tmp_path / "out/film-mien.mp4") as film:
        assert len(list(film.frames())) == count
    assert (tmp_path / "out/film-timeline.png").is_file()


@pytest.mark.long
def test_ctrl_c_leaves_whole_lines(tmp_path: Path) -> None:
    code, out, _ = interrupted(tmp_path, "--jsonl")
    assert code == 130
    assert out.endswith("\n")
    assert [json.loads(line)["frame"] for line in out.splitlines()] == list(range(out.count("\n")))


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    write_video(tmp_path / "film.avi", faces_moving(2000))
    with subprocess.Popen(
        command(model, "film.avi", "--faces", "none", "--jsonl"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def typed_into(terminal_for: tuple[str, ...], tmp_path: Path) -> tuple[str, str]:
    """What a pipe and what a terminal got, where `terminal_for` of stdout and stderr go to the terminal."""
    model = write_bundle(tmp_path / "tiny.onnx")
    write_video(tmp_path / "film.avi", numbered(60))
    leader, follower = pty.openpty()
    places = {name: follower if name in terminal_for else subprocess.PIPE for name in ("stdout", "stderr")}
    with subprocess.Popen(
        command(model, "film.avi", "--faces", "none", "--jsonl"), cwd=tmp_path, text=True, **places
    ) as process:
        os.close(follower)
        piped = process.stdout.read() if process.stdout else ""
        shown = b""
        try:
            while block := os.read(leader, 4096):
                shown += block
        except OSError:
            pass  # Linux says so when the other end of a terminal closes
    assert process.returncode == 0
    return piped, shown.decode()


def test_the_bar_is_on_stderr_and_the_lines_are_on_stdout(tmp_path: Path) -> None:
    piped, shown = typed_into(("stderr",), tmp_path)
    assert [json.loads(line)["frame"] for line in piped.splitlines()] == list(range(60))
    assert "Looking at film.avi" in shown


def test_where_lines_go_to_the_terminal_there_is_no_bar_among_them(tmp_path: Path) -> None:
    _, shown = typed_into(("stdout", "stderr"), tmp_path)
    assert [json.loads(line)["frame"] for line in shown.splitlines()] == list(range(60))


# `mien info`


def test_info_shows_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_bundle(tmp_path / "tiny.onnx")
    assert run("info", path) == 0
    out = capsys.readouterr().out
    for word in ("linear-0123456789", "CC0-1.0", "0.500 [0.420, 0.580] n=140", "anger 0.250 n=20", "16×16 grey",
                 "anger, disgust, fear", "must not decide", "40% are taken for disgust"):  # fmt: skip
        assert word in " ".join(out.split())
    assert run("info", path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["labels"] == list(SEVEN.names)
    assert said["test"]["accuracy"] == {"value": 0.5, "n": 140, "low": 0.42, "high": 0.58}
    assert len(said["sha256"]) == 64


def test_info_knows_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_store(tmp_path / "store", count=30, size=24)
    assert run("info", tmp_path / "store") == 0
    assert "30 of 24×24 RGB" in capsys.readouterr().out
    assert run("info", tmp_path / "store", "--json") == 0
    assert json.loads(capsys.readouterr().out)["meta"]["count"] == 30


@pytest.mark.parametrize(
    ("name", "says"), [("absent.onnx", "does not exist"), ("text.onnx", "is not an ONNX model"), (".", "is not a file")]
)
def test_info_of_something_else(
    tmp_path: Path, name: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.onnx").write_text("hello")
    assert run("info", name) == 2
    assert says in capsys.readouterr().err


# What is in a folder


def test_in_a_folder_too_the_content_counts_and_the_rest_is_named(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in/face.png", SCENE).rename(tmp_path / "in/face.txt")
    save(tmp_path / "in/deep/down/face.png", SCENE).rename(tmp_path / "in/deep/down/face.mp4")
    write_video(tmp_path / "film.mp4", numbered(2)).rename(tmp_path / "in/film.jpg")
    save(tmp_path / "in/.hidden.png", SCENE)
    (tmp_path / "in/text.jpg").write_text("hello")
    (tmp_path / "in/notes.md").write_text("hello")
    (tmp_path / "in/.DS_Store").write_bytes(b"hello")
    os.mkfifo(tmp_path / "in/pipe")
    assert predict("in", "--json") == 1
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert sorted({each["source"] for each in said["results"]}) == [
        *("in/deep/down/face.mp4", "in/face.txt", "in/film.jpg"),
    ]
    assert [each["source"] for each in said["failures"]] == ["in/text.jpg"]
    assert "text.jpg: not a picture, expected PNG" in err
    assert "hidden pictures (1): in/.hidden.png" in err
    assert "files that are neither pictures nor videos (2): in/notes.md, in/pipe" in err


def test_no_library_speaks_over_mien(tmp_path: Path) -> None:
    """Pillow warns of EXIF that ends early, and logs what it cannot decode. A process of its own shows both."""
    jpeg = cv2.imencode(".jpg", SCENE)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"
    (tmp_path / "exif.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    whole = bytearray(cv2.imencode(".tif", GREY, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes())
    at = whole.index(b"\x15\x01\x03\0\x01\0\0\0") + 8  # SamplesPerPixel
    whole[at : at + 2] = b"\xff\0"
    (tmp_path / "samples.tif").write_bytes(whole)
    words = command(write_bundle(tmp_path / "tiny.onnx"), "exif.jpg", "samples.tif", "--faces", "none", "--json")
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert [each["source"] for each in json.loads(done.stdout)["results"]] == ["exif.jpg"]
    first, second = done.stderr.splitlines()
    assert first.startswith("mien: 1 of 2 inputs could not be used:")
    assert "samples.tif: a truncated, damaged or unusual TIFF" in second
