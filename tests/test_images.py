"""Whatever a caller hands over as a picture: a result where it is one, else one sentence, short and of mien's own."""

import base64
import io
import os
import pickle
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pil

from mien.bundle import Bundle
from mien.data.drawn import draw_scene
from mien.data.prepare import draw_store, prepare
from mien.data.store import Store
from mien.errors import BadSample, ConfigError, DataError, MienError, MissingExtra
from mien.explain.explainer import open_explainer
from mien.faces.yunet import YunetDetector
from mien.images import read_image
from mien.predict import Predictor
from mien.runs import Run, find_runs
from mien.session import Session
from mien.video import open_video
from tiny_bundle import write_bundle

RGB = draw_scene(3, seed=3, height=120, width=160).image
PNG = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
DATA_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(write_bundle(tmp_path_factory.mktemp("model") / "tiny.onnx"), detector="none", threads=1)


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    path.write_bytes(PNG)
    return path


class FsPath:
    """Path-like, and no `Path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


class BytesPath(FsPath):
    """Path-like, and gives bytes."""

    def __fspath__(self) -> Any:
        return bytes(self.path)


def entry(path: Path) -> os.DirEntry[str]:
    with os.scandir(path.parent) as found:
        return next(each for each in found if each.name == path.name)


class OurImage(Pil.Image):
    """A class of another library, such as that of pillow-heif."""


def ours() -> Pil.Image:
    image, plain = OurImage(), Pil.fromarray(RGB)
    vars(image).update(vars(plain))
    return image


TAKEN: dict[str, Callable[[Path], Any]] = {
    "Path": saved,
    "str": lambda tmp: str(saved(tmp)),
    "path-like": lambda tmp: FsPath(saved(tmp)),
    "path-like of bytes": lambda tmp: BytesPath(saved(tmp)),
    "entry of a folder": lambda tmp: entry(saved(tmp)),
    "bytes": lambda tmp: PNG,
    "bytearray": lambda tmp: bytearray(PNG),
    "memoryview": lambda tmp: memoryview(PNG),
    "BytesIO": lambda tmp: io.BytesIO(PNG),
    "open file": lambda tmp: io.BufferedReader(io.BytesIO(PNG)),
    "data URL": lambda tmp: DATA_URL,
    "data URL in lines": lambda tmp: "\r\n".join(textwrap.wrap(DATA_URL, 76)),
    "data URL of a form": lambda tmp: " " + DATA_URL[:22] + DATA_URL[22:].replace("+", "%2B").replace("/", "%2F"),
    "data URL with parameters": lambda tmp: DATA_URL.replace("png;", "png;name=a+b.png;charset=utf-8;"),
    "PIL of a class of another library": lambda tmp: ours(),
    "PIL": lambda tmp: Pil.fromarray(RGB),
    "PIL, not loaded yet": lambda tmp: Pil.open(saved(tmp)),
    "array": lambda tmp: RGB,
    "RGBA array": lambda tmp: np.dstack([RGB, RGB[..., 0]]),
    "array turned upside down": lambda tmp: RGB[::-1][::-1],
    "torch": lambda tmp: torch.from_numpy(RGB.copy()),
    "list of one": lambda tmp: [RGB],
    "generator": lambda tmp: (each for each in [PNG]),
    "batch": lambda tmp: RGB[None],
    "batch of torch": lambda tmp: torch.from_numpy(RGB[None].copy()),
    "array of paths": lambda tmp: np.array([str(saved(tmp))]),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_the_same_picture_gives_the_same_answer(whole: Predictor, kind: str, tmp_path: Path) -> None:
    (expected,) = whole.predict(RGB)
    (found,) = whole.predict(TAKEN[kind](tmp_path))
    assert found.probs == expected.probs


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_of_pil_with_eight_bits(mode: str) -> None:
    rgb = Pil.fromarray(RGB)
    image = rgb.convert("RGB").convert(mode) if mode != "LAB" else _lab(rgb)
    expected = np.asarray(image.convert("RGB")) if mode != "LAB" else None
    found = read_image(image, "it")
    assert found.shape == RGB.shape
    assert expected is None or (found == expected).all()


def _lab(rgb: Pil.Image) -> Pil.Image:
    from PIL import ImageCms

    return ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )  # type: ignore[return-value]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pil_image_is_turned_as_its_file_would_be(orientation: int, tmp_path: Path) -> None:
    exif = Pil.Exif()
    exif[274] = orientation
    path = tmp_path / "turned.png"
    Pil.fromarray(RGB).save(path, exif=exif)
    assert (read_image(Pil.open(path), "it") == read_image(path, "it")).all()


def closed() -> io.BytesIO:
    file = io.BytesIO(PNG)
    file.close()
    return file


def closed_picture() -> Pil.Image:
    picture = Pil.open(io.BytesIO(PNG))
    picture.close()
    return picture


def at_its_end() -> io.BytesIO:
    file = io.BytesIO()
    file.write(PNG)
    return file


class NoPath:
    """Path-like by name alone."""

    def __init__(self, gives: Any) -> None:
        self.gives = gives

    def __repr__(self) -> str:
        return f"NoPath({self.gives!r})"

    def __fspath__(self) -> Any:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


class Shaped:
    """What has a shape and no pixels."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Upload:
    """What a web framework hands over."""

    async def read(self, size: int = -1) -> bytes:
        return PNG


class Liar:
    """An array that is none."""

    __array_interface__ = "nonsense"

    def __array__(self, *args: object, **kwargs: object) -> Any:
        raise RuntimeError("x" * MEBIBYTE)


FLOATS = (RGB / 255).astype(np.float32)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "None": (lambda: None, "None, as cv2.imread returns for a file that it cannot read"),
    "None in a list": (lambda: [None], "None, as cv2.imread"),
    "empty str": (lambda: "", ""),
    "missing": (lambda: "gone.png", "gone.png: cannot be read"),
    "folder": (lambda: Path("/"), "/: "),
    "NUL": (lambda: "a\0b", "not the name of a file"),
    "half a letter": (lambda: "\udcff\ud800.png", ""),
    "a name of a megabyte": (lambda: "x" * MEBIBYTE, "(1,048,576 letters): cannot be read"),
    "a path of a megabyte": (lambda: Path("x" * MEBIBYTE), "letters): cannot be read"),
    "URL": (lambda: "https://example.org/a.jpg", "mien reads no URLs; download the picture first"),
    "s3": (lambda: "s3://bucket/a.jpg", "mien reads no URLs"),
    "path-like of nothing": (lambda: NoPath(None), "whose __fspath__ gives no path"),
    "path-like that fails": (lambda: NoPath(RuntimeError("x" * MEBIBYTE)), "whose __fspath__ gives no path"),
    "shape of four": (lambda: Shaped((1, 2, 3, 4)), "expected a path"),
    "shape of one": (lambda: Shaped((3,)), "expected a path"),
    "shape of a text": (lambda: Shaped("wide"), "expected a path"),
    "shape of nothing": (lambda: Shaped(()), "expected a path"),
    "data URL without base64": (lambda: "data:image/svg+xml,%3Csvg/%3E", "a data URL without base64, expected one"),
    "data URL of letters": (lambda: "data:image/png;base64,éééé", "a data URL whose base64 is damaged"),
    "camera": (lambda: "camera:0", "a camera; predictor.stream reads cameras"),
    "damaged data URL": (lambda: DATA_URL[:-3] + "@", "a data URL whose base64 is damaged"),
    "data URL of no picture": (lambda: "data:image/png;base64,AAAA", "not a picture, expected PNG"),
    "large damaged data URL": (lambda: "data:image/png;base64," + "@" * MEBIBYTE, "letters): a data URL whose"),
    "empty bytes": (lambda: b"", "an empty file"),
    "bytes of text": (lambda: bytearray(b"hello"), "not a picture, expected PNG"),
    "bytes of a video": (lambda: b"\x1a\x45\xdf\xa3" + bytes(300), "the bytes of a video"),
    "too many bytes": (lambda: bytes(65 * MEBIBYTE), "more than 64 MB"),
    "view of floats": (lambda: memoryview(np.zeros((9, 9))), "not a picture, expected PNG"),
    "text file": (lambda: io.StringIO("x"), "gives 'str', expected bytes; open it with 'rb'"),
    "closed file": (closed, "an open file that cannot be read (I/O operation on closed file.)"),
    "file at its end": (at_its_end, "nothing left to read; if it was read or written before, seek(0)"),
    "upload": (Upload, "gives 'coroutine', expected bytes"),
    "PIL of floats to 255": (lambda: Pil.fromarray(FLOATS[..., 0] * 255), "expected 0 (black) to 1 (white)"),
    "PIL of 32 bits": (lambda: Pil.fromarray(RGB[..., 0].astype(np.int32)), "32 bits a pixel, expected 8 or 16"),
    "PIL, closed": (closed_picture, "a PIL image that cannot be decoded"),
    "PIL, cut off": (lambda: Pil.open(io.BytesIO(PNG[: len(PNG) // 2])), "a PIL image that cannot be decoded"),
    "PIL without pixels": (lambda: Pil.new("RGB", (0, 5)), "0×5 pixels: a picture without pixels"),
    "PIL, too long": (lambda: Pil.new("RGB", (20_000, 2)), "20000×2 pixels, expected at most 16,384"),
    "a class": (lambda: Pil.Image, "expected a path, the bytes of a file"),
    "a module": (lambda: np, "expected a path, the bytes of a file"),
    "int": (lambda: 5, "5, expected a path"),
    "float": (lambda: 2.5, "2.5, expected a path"),
    "a huge int": (lambda: 10**5000, "a number of thousands of digits, expected a path"),
    "object": (object, "expected a path"),
    "dict": (lambda: {"image": RGB}, "expected a path"),
    "list of numbers": (lambda: [1, 2], "1, expected a path"),
    "list of rows": (lambda: RGB.tolist(), "a list of pixels is turned by np.array(image, 'uint8')"),
    "floats 0 to 1": (lambda: FLOATS, "what may help: (255 * image).round().astype('uint8')"),
    "floats to 255": (lambda: RGB.astype(float), "its values scaled to 0 to 255 and .astype('uint8')"),
    "NaN": (lambda: np.full((9, 9, 3), np.nan), "float64 (9, 9, 3), expected a path"),
    "16 bits": (lambda: RGB.astype(np.uint16), "uint16 (120, 160, 3), expected"),
    "bool": (lambda: RGB > 9, "bool (120, 160, 3), expected"),
    "complex": (lambda: RGB.astype(complex), "complex128 (120, 160, 3), expected"),
    "channels first": (lambda: RGB.transpose(2, 0, 1), "what may help: image.transpose(1, 2, 0)"),
    "torch, channels first": (lambda: torch.from_numpy(RGB.transpose(2, 0, 1).copy()), "image.permute(1, 2, 0)"),
    "torch of floats": (lambda: torch.from_numpy(FLOATS), "(255 * image).round().byte()"),
    "torch under way": (lambda: torch.ones(9, 9, 3, requires_grad=True), "that numpy cannot take (Can't call numpy()"),
    "torch elsewhere": (lambda: torch.ones(9, 9, 3, device="meta"), "that numpy cannot take"),
    "two channels": (lambda: RGB[..., :2], "uint8 (120, 160, 2), expected"),
    "no rows": (lambda: RGB[:0], "160×0 pixels: a picture without pixels"),
    "no numbers": (lambda: np.zeros(0, np.uint8), "uint8 (0,), expected"),
    "a number of numpy": (lambda: np.uint8(3), "uint8 (), expected"),
    "five dimensions": (lambda: RGB[None, None], "uint8 (1, 1, 120, 160, 3), expected"),
    "too long": (lambda: np.zeros((20_000, 2, 3), np.uint8), "2×20000 pixels, expected at most 16,384"),
    "objects": (lambda: np.array([None, "x"], object), "None, as cv2.imread"),
    "text of a megabyte in an array": (lambda: np.array(["x" * MEBIBYTE]), "letters): cannot be read"),
    "an array that lies": (Liar, "that numpy cannot take"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_picture_is_one_short_sentence(whole: Predictor, kind: str) -> None:
    build, sentence = REFUSED[kind]
    with pytest.raises(DataError) as error:
        whole.predict(build())
    said = str(error.value)
    assert sentence in said
    assert len(said) < 400
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if "list" not in kind and "array" not in kind])
def test_the_rest_of_a_batch_goes_on(whole: Predictor, kind: str) -> None:
    seen = list(whole.each([RGB, REFUSED[kind][0](), RGB]))
    assert [bool(each.failure) for each in (seen[0], seen[-1])] == [False, False]
    assert any(each.failure for each in seen)


def test_a_file_that_is_a_video_says_who_reads_it(whole: Predictor, tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(300))
    with pytest.raises(DataError, match=r"a video, expected a picture; predictor\.stream reads videos"):
        whole.predict(tmp_path / "film.mkv")


WRONG: list[dict[str, Any]] = [
    {"model": None},
    {"model": 5},
    {"model": b"\x08"},
    {"model": ["a"]},
    {"model": "x" * MEBIBYTE},
    {"model": "a\0b"},
    {"model": "https://example.org/model.onnx"},
    {"detector": None},
    {"detector": 5},
    {"detector": "x" * MEBIBYTE},
    {"detector": object()},
    {"detector": "yunet=a\0b"},
    {"detector": 5, "min_score": 0.5},
    {"min_score": ""},
    {"min_score": 0.5j},
    {"min_face": ""},
    {"min_face": np.complex64(1)},
    {"min_confidence": 10**400},
    {"threads": "2"},
    {"threads": 10**400},
    {"threads": None},
    {"threads": 1.5},
    {"threads": -1},
    {"threads": True},
    *({name: wrong} for name in ("min_confidence", "min_score", "min_face") for wrong in ("0.5", -0.1, float("nan"))),
    *({name: wrong} for name in ("min_confidence", "min_score") for wrong in (1.1, True, [0.5])),
    {"min_face": 10**9},
    {"min_confidence": None},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_setting_of_another_type_is_one_short_sentence(whole: Predictor, wrong: dict[str, Any]) -> None:
    with pytest.raises(MienError) as error:
        Predictor(**({"model": whole.bundle.path} | wrong))
    assert 20 < len(str(error.value)) < 400


@pytest.mark.parametrize("k", ["a", 1.5, 0, -1, True, [1], 10**400, float("nan")])
def test_a_number_of_classes_is_one_or_more(whole: Predictor, k: Any) -> None:
    (found,) = whole.predict(RGB)
    for ask in (found.top_k, found.to_dict):
        with pytest.raises(ConfigError, match=r"^The number of classes, top_k, is a whole number, 1 to"):
            ask(k)


def test_more_classes_than_there_are_is_all(whole: Predictor) -> None:
    (found,) = whole.predict(RGB)
    assert found.top_k(99) == dict(found.probs)
    assert len(found.top_k(np.int64(1))) == 1
    with pytest.raises(ConfigError):
        found.top_k(None)  # type: ignore[arg-type]


def test_the_source_is_the_path(whole: Predictor, tmp_path: Path) -> None:
    path = saved(tmp_path)
    for given in (path, str(path), FsPath(path), BytesPath(path), entry(path)):
        assert [p.source for p in whole.predict(given)] == [str(path)]


def test_of_16_bits_the_upper_eight_count() -> None:
    for factor in (256, 257):
        deep = Pil.fromarray(RGB[..., 0].astype(np.uint16) * factor)
        assert (read_image(deep, "it") == RGB[..., :1]).all()


def test_a_pil_image_stays_as_it_was(tmp_path: Path) -> None:
    exif = Pil.Exif()
    exif[274] = 6
    Pil.fromarray(RGB).convert("P").save(tmp_path / "a.png", exif=exif, transparency=3)
    image = Pil.open(tmp_path / "a.png")
    read_image(image, "it")
    assert (image.size, image.info["transparency"], image.getexif()[274]) == ((160, 120), 3, 6)
    assert (read_image(image, "it") == read_image(tmp_path / "a.png", "it")).all()


OPENED: dict[str, Callable[[Any, Path], Any]] = {
    "Store.open": lambda path, _: Store.open(path),
    "Run.open": lambda path, _: Run.open(path),
    "find_runs": lambda path, _: find_runs(path),
    "Bundle.open": lambda path, _: Bundle.open(path),
    "open_explainer": lambda path, _: open_explainer(path),
    "open_video": lambda path, _: open_video(path).__enter__(),
    "YunetDetector": lambda path, _: YunetDetector(path),
    "prepare": lambda path, tmp: prepare(path, "folder", tmp / "out"),
    "prepare to": lambda path, tmp: prepare(tmp, "folder", path),
    "draw_store": lambda path, _: draw_store(path, count=1),
}


@pytest.mark.parametrize(
    "wrong", [None, 5, 1.5, ["a"], {}, "a\0b", b"a\0b", "\ud800", NoPath(3), NoPath(OSError())], ids=repr
)
@pytest.mark.parametrize("opened", OPENED)
def test_what_is_no_path_is_one_short_sentence(opened: str, wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(MienError, match="is given by its path, a text or a Path; got") as error:
        OPENED[opened](wrong, tmp_path)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("opened", [name for name in OPENED if name not in ("prepare to", "draw_store")])
def test_a_path_may_be_bytes(opened: str, tmp_path: Path) -> None:
    said = set()
    for path in (tmp_path / "gone", str(tmp_path / "gone"), bytes(tmp_path / "gone"), BytesPath(tmp_path / "gone")):
        with pytest.raises(MienError) as error:
            OPENED[opened](path, tmp_path)
        said.add(str(error.value))
    assert len(said) == 1
    assert str(tmp_path / "gone") in said.pop()


@pytest.mark.parametrize(
    "wrong", [{"smoothing_s": "1"}, {"forget_s": None}, {"forget_s": -1}, {"smoothing_s": float("nan")}]
)
def test_seconds_are_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"_s, in seconds, is a number, 0 to 1,000,000,000; got"):
        Session(**wrong)


def test_what_follows_and_names_is_checked(whole: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"followed by a mien\.Session; got 5"):
        next(whole.stream("film.mp4", 5))  # type: ignore[arg-type]
    for names in (5, "names", None):
        with pytest.raises(ConfigError, match="names of pictures are a list of texts"):
            list(whole.each([RGB], names))  # type: ignore[arg-type]


def test_an_error_can_travel_between_processes() -> None:
    for error in (BadSample("a.png:3", "no picture"), MissingExtra("Faces", "faces"), DataError("gone")):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_asynchronous_file_is_closed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadSample):
            read_image(Upload(), "it")
