"""The predictor: any picture, any batch, the same answer; streams in flat memory; bad input is a sentence."""

import io
import itertools
import json
import struct
import subprocess
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pil

from made_videos import Camera, faces_moving, numbered, retime, write_video
from mien.bundle import Bundle
from mien.crop import CropSpec, crop
from mien.data.drawn import draw_scene
from mien.data.prepare import PrepareOptions, prepare
from mien.data.store import Store
from mien.errors import BundleError, ConfigError, DataError
from mien.faces import Face
from mien.labels import SEVEN
from mien.planes import Batch
from mien.predict import UNCERTAIN, Predictor, Seen, record
from mien.session import Session
from mien.video import open_video
from tiny_bundle import write_bundle

SCENE = draw_scene(6, seed=3, height=480, width=640).image
DEFAULT = Path(__file__).parents[1] / "src" / "mien" / "weights" / "default.onnx"
RGB = np.zeros((40, 60, 3), np.uint8)
RGB[:20], RGB[20:], RGB[:, :10] = (200, 100, 50), (10, 240, 90), (255, 255, 255)


class Boxes:
    """A detector that finds what it is told."""

    name = "boxes"

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = boxes

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        return [Face(box=box, score=1.0) for box in self.boxes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def haar(model: Path) -> Predictor:
    return Predictor(model, detector="haar", threads=1)


@pytest.fixture(scope="module")
def whole(model: Path) -> Predictor:
    return Predictor(model, detector="none", threads=1)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Faces in each pass of the network."""
    seen: list[int] = []
    honest = Bundle.logits

    def counted(self: Bundle, batch: Batch) -> NDArray[np.float32]:
        seen.append(len(batch["face"]))
        return honest(self, batch)

    monkeypatch.setattr(Bundle, "logits", counted)
    return seen


def test_a_picture_is_a_list_of_faces_from_left_to_right(haar: Predictor) -> None:
    found = haar.predict(SCENE)
    assert len(found) >= 3
    assert [p.box[0] for p in found] == sorted(p.box[0] for p in found)
    for p in found:
        assert tuple(p.probs) == SEVEN.names
        assert sum(p.probs.values()) == pytest.approx(1)
        assert p.label == max(p.probs, key=lambda name: p.probs[name])
        assert p.confidence == max(p.probs.values())
        assert (p.frame, p.time_s, p.track, p.source, p.landmarks) == (0, None, None, "", None)
        assert 0 < p.score <= 1


def test_no_face_is_an_empty_list(haar: Predictor) -> None:
    assert haar.predict(np.full((100, 100, 3), 128, np.uint8)) == []
    assert haar.predict([]) == []


def test_whatever_holds_pictures_is_taken(whole: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), RGB[..., ::-1])
    expected = whole.predict(RGB)[0].probs
    for images in (path, str(path), path.read_bytes(), RGB, [RGB], iter([path]), RGB[None], (RGB,)):
        assert [p.probs for p in whole.predict(images)] == [expected]
    many = whole.predict([str(path), RGB, path.read_bytes()])
    assert [(p.source, p.frame) for p in many] == [(str(path), 0), ("", 1), ("", 2)]
    assert [s.source for s in whole.each([RGB, RGB], names=["one", "two"])] == ["one", "two"]


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 4)])
def test_grey_and_rgba_arrays(whole: Predictor, shape: tuple[int, ...]) -> None:
    array = np.full(shape, 70, np.uint8)
    assert whole.predict(array)[0].probs == whole.predict(np.full((40, 60, 3), 70, np.uint8))[0].probs


def test_a_face_alone_or_in_any_batch_gives_the_same_answer(whole: Predictor, haar: Predictor) -> None:
    faces = list(np.random.default_rng(5).integers(0, 256, (150, 48, 48, 3), dtype=np.uint8))
    together = whole.predict(faces)
    for place in (0, 1, 63, 64, 100, 149):
        alone, batch = whole.predict(faces[place])[0], whole.predict(faces[max(0, place - 63) : place + 1])[-1]
        for other in (alone, batch):
            assert other.label == together[place].label
            assert list(other.probs.values()) == pytest.approx(list(together[place].probs.values()), abs=1e-6)
    empty = np.full((50, 50, 3), 128, np.uint8)
    among = [p for p in haar.predict([empty, SCENE, empty, SCENE]) if p.frame == 3]
    assert [p.box for p in among] == [p.box for p in haar.predict(SCENE)]
    assert [p.label for p in among] == [p.label for p in haar.predict(SCENE)]


def test_faces_of_several_pictures_and_frames_share_a_pass(
    whole: Predictor, haar: Predictor, passes: list[int], tmp_path: Path
) -> None:
    assert len(list(whole.each([RGB] * 40))) == 40
    assert passes == [16, 16, 8]
    passes.clear()
    film = write_video(tmp_path / "film.avi", numbered(50))
    assert len(list(whole.stream(film))) == 50
    assert passes == [16, 16, 16, 2]
    passes.clear()
    haar.predict(SCENE)
    assert len(passes) == 1
    assert passes[0] > 1


def test_prepare_and_predict_cut_the_same_bytes(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = draw_scene(7, seed=2, height=300, width=400)
    boxes = [(float(x), float(y), float(w), float(h)) for x, y, w, h in scene.boxes]
    cv2.imwrite(str(tmp_path / "scene.png"), scene.image[..., ::-1])
    rows = [f"scene.png,{SEVEN.names[i % 7]},{x} {y} {w} {h}" for i, (x, y, w, h) in enumerate(boxes)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,box", *rows]))
    spec = CropSpec(size=40, channels=3, margin=0.1)
    prepare(tmp_path / "table.csv", "csv", tmp_path / "store", PrepareOptions(crop=spec))
    seen: list[NDArray[np.uint8]] = []

    def kept(self: Bundle, batch: Batch) -> NDArray[np.float32]:
        images = batch["face"]
        seen.append(images)
        return np.zeros((len(images), 7), np.float32)

    monkeypatch.setattr(Bundle, "logits", kept)
    path = write_bundle(tmp_path / "spec.onnx", crop=spec)
    Predictor(path, detector=Boxes(*boxes)).predict(tmp_path / "scene.png")
    assert seen[0].tobytes() == np.asarray(Store.open(tmp_path / "store").images).tobytes()


def saved(picture: Pil.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def encoded(suffix: str, array: NDArray[np.generic]) -> bytes:
    return bytes(cv2.imencode(suffix, array)[1].tobytes())


def kinds() -> Iterator[tuple[str, bytes, NDArray[np.uint8]]]:
    """Name, file, what it shows."""
    picture, turned = Pil.fromarray(RGB), Pil.fromarray(np.rot90(RGB))
    luma = cv2.cvtColor(cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    told = Pil.Exif()
    told[0x112] = 6  # shown after a quarter turn clockwise
    yield "grey", saved(picture.convert("L"), "PNG"), luma
    yield "grey with alpha", saved(picture.convert("LA"), "PNG"), luma
    yield "RGBA", saved(picture.convert("RGBA"), "PNG"), RGB
    yield "16 bits grey", encoded(".png", luma[..., 0].astype(np.uint16) * 257), luma
    yield "16 bits RGB", encoded(".png", RGB[..., ::-1].astype(np.uint16) * 257), RGB
    yield "16 bits TIFF", encoded(".tif", RGB[..., ::-1].astype(np.uint16) * 257), RGB
    yield "CMYK JPEG", saved(picture.convert("CMYK"), "JPEG", quality=98, subsampling=0), RGB
    yield "CMYK TIFF", saved(picture.convert("CMYK"), "TIFF"), RGB
    yield "EXIF JPEG", saved(turned, "JPEG", exif=told, quality=98, subsampling=0), RGB
    yield "EXIF PNG", saved(turned, "PNG", exif=told), RGB
    yield "EXIF WebP", saved(turned, "WEBP", exif=told, lossless=True), RGB
    yield "palette", saved(picture.convert("P", palette=Pil.Palette.ADAPTIVE), "PNG"), RGB
    later = [picture.rotate(180)]
    yield "animated GIF", saved(picture, "GIF", save_all=True, append_images=later), RGB
    yield "animated WebP", saved(picture, "WEBP", save_all=True, append_images=later, lossless=True), RGB
    yield "animated PNG", saved(picture, "PNG", save_all=True, append_images=later), RGB


@pytest.mark.parametrize(("content", "shows"), [pytest.param(*kind[1:], id=kind[0]) for kind in kinds()])
def test_every_kind_of_picture(whole: Predictor, content: bytes, shows: NDArray[np.uint8]) -> None:
    (seen,) = whole.each(content)
    assert seen.failure == ""
    assert seen.picture is not None
    assert seen.picture.shape == shows.shape
    assert np.median(np.abs(seen.picture.astype(int) - shows)) <= 3
    assert len(seen.predictions) == 1


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "an empty file"),
        (b"hello, I am a text\n", "not a picture, expected PNG"),
        (b"%PDF-1.7\n" + bytes(200), "a PDF, expected PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(300), "a HEIC picture, expected PNG"),
        (saved(Pil.fromarray(RGB), "JPEG")[:-200], "truncated, damaged or unusual JPEG"),
        (saved(Pil.fromarray(RGB), "PNG")[:100], "truncated, damaged or unusual PNG"),
        (saved(Pil.fromarray(RGB), "GIF")[:-60], "damaged"),
        (png_header(30_000, 30_000), "30000×30000 pixels, expected at most"),
        (png_header(12_000, 12_000), "12000×12000 pixels, expected at most"),
        (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + saved(Pil.fromarray(RGB), "GIF")[10:], "65535×65535 pixels"),
    ],
)
def test_bad_pictures_are_a_sentence_and_the_rest_goes_on(
    whole: Predictor, tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    first, bad, last = whole.each([RGB, path, RGB])
    assert bad.failure.startswith(f"{path}: ")
    assert bad.failure.endswith(".")
    assert sentence in bad.failure
    assert (bad.picture, bad.predictions) == (None, ())
    assert first.predictions[0].probs == last.predictions[0].probs
    with pytest.raises(DataError, match=r"bad\.jpg: "):
        whole.predict([RGB, path])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros((40, 60, 3), np.float32), r"Picture 0: ndarray of float32 \(40, 60, 3\), expected a path"),
        (np.zeros((40, 60, 2), np.uint8), r"uint8 \(40, 60, 2\), expected"),
        (np.zeros((0, 60, 3), np.uint8), "60×0 pixels: a picture without pixels"),
        ("absent.jpg", r"absent\.jpg: cannot be read \(No such file"),
        (".", r"\.: cannot be read \(Is a directory"),
    ],
)
def test_what_is_no_picture_at_all(whole: Predictor, wrong: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        whole.predict(wrong)  # type: ignore[arg-type]


def test_a_large_photo(haar: Predictor) -> None:
    large = cv2.resize(SCENE, (6000, 4500), interpolation=cv2.INTER_CUBIC)
    found = haar.predict(encoded(".jpg", large[..., ::-1]))
    assert len(found) >= 3
    assert max(p.box[2] for p in found) > 600


def test_little_confidence_is_uncertain(model: Path) -> None:
    sure = Predictor(model, detector="none").predict(RGB)[0]
    asked = Predictor(model, detector="none", min_confidence=sure.confidence + 1e-6).predict(RGB)[0]
    assert (asked.label, asked.confidence, asked.probs) == (UNCERTAIN, sure.confidence, sure.probs)
    assert Predictor(model, detector="none", min_confidence=sure.confidence).predict(RGB)[0].label == sure.label


@pytest.mark.parametrize("wrong", [{"min_confidence": 1.5}, {"min_confidence": float("nan")}, {"detector": "dlib"}])
def test_settings_out_of_range(model: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"got|There is no face detector"):
        Predictor(model, **wrong)  # type: ignore[arg-type]


def test_threads_share_a_predictor(model: Path) -> None:
    pictures = [draw_scene(3, seed=seed, height=240, width=320).image for seed in range(4)] * 2
    predictor = Predictor(model, detector="haar", threads=1)
    with ThreadPoolExecutor(4) as pool:
        together = [[(p.box, dict(p.probs)) for p in found] for found in pool.map(predictor.predict, pictures)]
    assert together == [[(p.box, dict(p.probs)) for p in predictor.predict(picture)] for picture in pictures]


def test_an_opened_bundle_is_taken_as_it_is(model: Path) -> None:
    bundle = Bundle.open(model, threads=1)
    assert Predictor(bundle, detector="none").bundle is bundle


# Streams


def test_frames_come_with_true_times_tracks_and_numbers(haar: Predictor, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", faces_moving(60, subjects=(7, 9)), fps=20)
    retime(film, [0.05] * 30 + [0.1] * 30)
    seen = list(haar.stream(film))
    assert [s.frame for s in seen] == list(range(60))
    assert [s.time_s for s in seen] == pytest.approx([*np.arange(30) * 0.05, *(1.5 + np.arange(30) * 0.1)], abs=2e-3)
    assert {len(s.predictions) for s in seen[1:]} == {2}
    assert {tuple(p.track for p in s.predictions) for s in seen[1:]} == {(1, 2)}
    assert all(
        p.source == str(film) and p.frame == s.frame and p.time_s == s.time_s for s in seen for p in s.predictions
    )


def test_a_stream_smooths_by_its_session(whole: Predictor, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    film = write_video(tmp_path / "film.avi", rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8))
    raw = [p for s in whole.stream(film, Session(smoothing_s=0)) for p in s.predictions]
    calm = [p for s in whole.stream(film, Session(smoothing_s=1.0)) for p in s.predictions]

    def changes(predictions: list[object]) -> int:
        labels = [p.label for p in predictions]  # type: ignore[attr-defined]
        return sum(a != b for a, b in itertools.pairwise(labels))

    assert changes(raw) > 15
    assert changes(calm) < changes(raw) / 3
    alone = [whole.predict(s.picture)[0].probs for s in whole.stream(film)]  # type: ignore[arg-type]
    assert [list(p.probs.values()) for p in raw] == [pytest.approx(list(a.values()), abs=1e-6) for a in alone]


def test_a_camera_frame_is_answered_before_the_next_is_read(whole: Predictor, passes: list[int]) -> None:
    camera = Camera(5)
    with open_video("camera:0", capture=lambda _: camera) as video:
        for seen in whole.stream(video):
            assert len(camera.left) == 4 - seen.frame
    assert passes == [1] * 5


def test_a_video_cut_off_gives_what_it_has_and_then_raises(whole: Predictor, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.avi", numbered(60))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    count = itertools.count()
    with pytest.raises(DataError, match="cut off"):
        deque(zip(whole.stream(film), count, strict=False), maxlen=0)
    assert next(count) > 20


FLAT = """
import resource, sys, time
from mien import Predictor

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

predictor = Predictor(sys.argv[1], detector=sys.argv[3], threads=1)
sizes, clocks, faces = [], [], 0
for seen in predictor.stream(sys.argv[2]):
    faces += len(seen.predictions)
    if seen.frame % 100 == 99:
        sizes.append(rss())
        clocks.append(time.process_time())
print(len(sizes), faces, max(sizes) - sizes[2], *clocks)
"""


def stream_apart(model: Path, film: Path, detector: str) -> tuple[int, int, float, NDArray[np.float64]]:
    """Hundreds of frames, faces, growth of the resident set in MB after the first 300, seconds each hundred took."""
    done = subprocess.run(
        [sys.executable, "-c", FLAT, str(model), str(film), detector], capture_output=True, text=True, check=True
    )
    hundreds, faces, growth, *clocks = done.stdout.split()
    return int(hundreds), int(faces), float(growth), np.diff([float(c) for c in clocks])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident set is read from /proc")
@pytest.mark.parametrize(
    ("count", "detector"),
    [
        (2000, "none"),
        pytest.param(20_000, "haar", marks=pytest.mark.long),
        pytest.param(20_000, "yuface", marks=pytest.mark.long),
    ],
)
def test_memory_is_flat_and_a_late_frame_costs_what_an_early_one_does(
    model: Path, tmp_path: Path, count: int, detector: str
) -> None:
    if detector == "yuface":
        pytest.importorskip("yuface", reason="there is no wheel of yuface here")
    film = write_video(tmp_path / "film.avi", faces_moving(count))
    hundreds, faces, growth, times = stream_apart(model, film, detector)
    assert hundreds == count // 100
    assert faces > 0.9 * count
    assert growth < 20
    part = len(times) // 3
    assert np.median(times[-part:]) < 1.5 * np.median(times[:part])


# JSON


def test_a_record_is_json_with_the_facts_of_each_face(haar: Predictor, tmp_path: Path) -> None:
    (seen,) = haar.each(SCENE, names=["scene"])
    told = json.loads(json.dumps(record(seen)))
    assert list(told) == ["source", "faces"]
    face, prediction = told["faces"][0], seen.predictions[0]
    assert list(face) == ["label", "confidence", "probs", "box", "landmarks", "score", "track"]
    assert (face["label"], face["landmarks"], face["track"]) == (prediction.label, None, None)
    assert face["probs"] == pytest.approx(dict(prediction.probs), abs=1e-6)
    top = record(seen, top_k=2)["faces"][0]["probs"]
    assert list(top) == sorted(prediction.probs, key=lambda name: -prediction.probs[name])[:2]


def test_a_record_of_a_frame_and_of_a_failure() -> None:
    prediction_free = Seen(source="film", frame=7, time_s=0.28)
    assert record(prediction_free) == {"source": "film", "frame": 7, "time_s": 0.28, "faces": []}
    assert record(replace(prediction_free, failure="no.")) == {"source": "film", "error": "no."}


def test_landmarks_are_in_a_record(model: Path) -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2) / 3

    class Landmarks(Boxes):
        def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
            return [Face(box=(5.0, 5.0, 30.0, 30.0), score=0.5, landmarks=points)]

    (seen,) = Predictor(model, detector=Landmarks()).each(RGB)
    assert record(seen)["faces"][0]["landmarks"][4] == [2.7, 3.0]
    expected = crop(RGB, CropSpec(size=16, channels=1), (5.0, 5.0, 30.0, 30.0), points)
    bundle = Bundle.open(model)
    assert list(seen.predictions[0].probs.values()) == pytest.approx(
        bundle.probs({"face": expected[None]})[0].tolist(), abs=1e-9
    )


PAGE = (Path(__file__).parents[1] / "docs" / "predict.md").read_text(encoding="utf-8")


def test_the_pages_python_runs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.onnx").write_bytes(model.read_bytes())
    for name in ("photo.jpg", "other.png"):
        cv2.imwrite(name, SCENE[..., ::-1])
    write_video(Path("clip.mp4"), faces_moving(3))
    exec(PAGE.partition("```python\n")[2].partition("```")[0], {})
    assert len(capsys.readouterr().out.splitlines()) >= 9


def test_the_pages_json_has_the_fields_that_are_printed(haar: Predictor, tmp_path: Path) -> None:
    shown = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    seen = next(haar.stream(write_video(tmp_path / "film.avi", faces_moving(2))))
    told = record(seen)
    assert list(told) == list(shown["results"][0])
    assert list(told["faces"][0]) == list(shown["results"][0]["faces"][0])
    assert list(record(replace(seen, failure="x"))) == list(shown["failures"][0])


# The model that comes with mien


@pytest.mark.skipif(DEFAULT.is_file(), reason="this copy has a default model")
def test_without_a_default_model_a_sentence_says_so() -> None:
    with pytest.raises(BundleError, match=r"comes without a default model\. Train one and pass it with --model"):
        Predictor()


@pytest.mark.skipif(not DEFAULT.is_file(), reason="this copy has no default model yet")
def test_the_default_model_opens_with_its_card_and_finds_expressions() -> None:
    predictor = Predictor()
    card = predictor.bundle.card
    assert card.labels == SEVEN.names
    assert card.test["accuracy"].n > 1000
    assert card.licence
    assert DEFAULT.stat().st_size < 4 << 20
    found = predictor.predict(SCENE)
    assert len(found) >= 3
    assert sum(found[0].probs.values()) == pytest.approx(1)


@pytest.mark.skipif(not DEFAULT.is_file(), reason="this copy has no default model yet")
def test_the_default_model_gives_the_same_alone_and_in_a_batch() -> None:
    predictor = Predictor(detector="none", threads=1)
    size = predictor.bundle.card.crop.size
    faces = list(np.random.default_rng(5).integers(0, 256, (64, size, size, 3), dtype=np.uint8))
    together = predictor.predict(faces)
    for place in (0, 31, 63):
        alone = predictor.predict(faces[place])[0]
        assert alone.label == together[place].label
        assert list(alone.probs.values()) == pytest.approx(list(together[place].probs.values()), abs=1e-4)


@pytest.mark.parametrize("video", [None, 0, b"film.mp4", b"a\0", [], np.zeros((4, 4, 3), np.uint8), "a\0b.mp4"])
def test_what_is_no_video_is_one_sentence(model: Path, video: Any) -> None:
    with pytest.raises(
        DataError, match=r"A video or camera \(camera:0, .* is given by its path|cannot be read"
    ) as refusal:
        list(Predictor(model, detector="none", threads=1).stream(video))
    assert len(str(refusal.value)) < 300
