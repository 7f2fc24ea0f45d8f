"""Every kind of picture comes out as RGB pixels; what is damaged, too large or costs too much is a sentence."""

import io
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.data.corpora.pictures import MAX_BYTES, decode, decode_opened, load_picture
from mien.errors import BadSample

RGB = cv2.resize(np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8), (64, 48))
GREY = RGB[..., 1]
EXIF_TURN_RIGHT = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def written(picture: NDArray[Any] | Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def by_opencv(data: bytes) -> NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def refusal(data: bytes) -> str:
    with pytest.raises(BadSample) as caught:
        decode(data, "x")
    return caught.value.reason


# The pixels


@pytest.mark.parametrize("shape", [(48, 64), (1, 1), (33, 7)])
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 75, "subsampling": 0}),
        ("JPEG", {"quality": 60, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("JPEG2000", {}),
    ],
    ids=str,
)
def test_the_pixels_are_opencvs(format: str, options: dict[str, Any], shape: tuple[int, int]) -> None:
    """Stores and models were made when OpenCV decoded; Pillow's decoders are the same libraries."""
    for picture in (RGB, GREY):
        data = written(np.ascontiguousarray(picture[: shape[0], : shape[1]]), format, **options)
        pixels = decode(data, "x")
        np.testing.assert_array_equal(pixels, by_opencv(data))
        assert (pixels.dtype, pixels.flags["C_CONTIGUOUS"]) == (np.uint8, True)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_is_rgb(mode: str) -> None:
    if mode == "I;16":
        image, expected = Image.fromarray(GREY.astype(np.uint16) * 257), np.repeat(GREY[..., None], 3, axis=2)
    else:
        image = Image.fromarray(RGB).convert(mode)
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(written(image, "TIFF"), "x"), expected)


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = Image.fromarray(RGB).convert("P")
    data = written(image, "PNG", transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode(data, "x"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("header", "body", "levels"),
    [
        (b"P5 4 1 100 ", bytes([0, 50, 100, 25]), [0, 128, 255, 64]),
        (b"P5 4 1 255\n", bytes([0, 50, 100, 25]), [0, 50, 100, 25]),
        (b"P5 3 1 4095 ", struct.pack(">3H", 0, 4095, 2048), [0, 255, 128]),
        (b"P5 3 1 65535 ", struct.pack(">3H", 0, 65535, 2048), [0, 255, 8]),
        (b"P6 1 1 15 ", bytes([0, 7, 15]), [0, 119, 255]),
        (b"P6 1 1 1023 ", struct.pack(">3H", 0, 1023, 512), [0, 255, 128]),
        (b"P4 9 1\n", b"\xaa\x80", [0, 255, 0, 255, 0, 255, 0, 255, 0]),
        (b"P2 4 1\n# by hand\n10\n", b"0 5 10 1\n", [0, 128, 255, 26]),
        (b"P3 1 1 10\n", b"0 5 10\n", [0, 128, 255]),
        (b"P1 2 2\n", b"0 1 1 0", [255, 0, 0, 255]),
        (b"Pf 2 1 -1.0\n", struct.pack("<2f", 0, 0.5), [0, 128]),
    ],
    ids=lambda value: value[:12].decode() if isinstance(value, bytes) and value[:1] == b"P" else "",
)
def test_a_portable_map_is_scaled_by_its_maximum(header: bytes, body: bytes, levels: list[int]) -> None:
    pixels = decode(header + body, "x")
    found = pixels.ravel() if header[1:2] in b"36" else pixels[..., 0].ravel()
    assert found.tolist() == levels


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_of_16_bits_the_upper_eight_count(suffix: str) -> None:
    deep = RGB.astype(np.uint16) * 257
    deep[0, 0] = 255
    data = cv2.imencode(suffix, deep)[1].tobytes()
    np.testing.assert_array_equal(decode(data, "x"), (deep >> 8)[..., ::-1])


def test_floating_point_is_black_at_0_and_white_at_1() -> None:
    for suffix in (".tif", ".pfm"):
        data = cv2.imencode(suffix, GREY.astype(np.float32) / 255)[1].tobytes()
        np.testing.assert_array_equal(decode(data, "x")[..., 0], GREY)
    wrong = cv2.imencode(".tif", GREY.astype(np.float32))[1].tobytes()
    assert refusal(wrong).startswith("floating-point pixels from")
    assert "expected 0 (black) to 1 (white)" in refusal(wrong)
    assert "no numbers (NaN)" in refusal(written(np.full((4, 4), np.nan, np.float32), "TIFF"))
    assert "32 bits a pixel" in refusal(written(np.full((4, 4), 70_000, np.int32), "TIFF"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_turns_every_format_that_has_it_once(format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(RGB)
    plain = decode(written(image, format), "x").astype(int)
    turned = decode(written(image, format, exif=exif.tobytes() if format == "AVIF" else exif), "x").astype(int)
    assert turned.shape == (64, 48, 3)
    assert np.abs(turned - np.rot90(plain, -1)).mean() < 1


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of EXIF that ends early
@pytest.mark.parametrize("exif", [b"Exif\0\0junk and more junk", EXIF_TURN_RIGHT[:18] + b"\xff\xff"])
def test_exif_that_cannot_be_read_turns_nothing(exif: bytes) -> None:
    data = written(RGB, "JPEG")
    spoiled = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    np.testing.assert_array_equal(decode(spoiled, "x"), decode(data, "x"))


def test_bytes_between_the_segments_of_a_jpeg_and_after_its_end() -> None:
    data = written(RGB, "JPEG")
    plain = decode(data, "x")
    np.testing.assert_array_equal(decode(data[:20] + b"\0\x17\x99" + data[20:], "x"), plain)
    np.testing.assert_array_equal(decode(data + b"\xff\xda a film \xff\xda" * 500, "x"), plain)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_an_animation_the_first_picture_counts(format: str) -> None:
    first, second = Image.new("RGB", (40, 30), (200, 10, 10)), Image.new("RGB", (40, 30), (10, 10, 200))
    pixels = decode(written(first, format, save_all=True, append_images=[second, second]), "x")
    assert np.abs(pixels.astype(int) - (200, 10, 10)).max() < 6


# What is refused


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a TIFF that ends early
@pytest.mark.parametrize(
    "format", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "PCX", "SGI", "TGA"]
)
def test_half_a_picture_is_none(format: str) -> None:
    data = written(RGB, format)
    assert "truncated, damaged or unusual" in refusal(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "an empty file"),
        (b"hello", "not a picture, expected PNG, JPEG, BMP, GIF, WebP, TIFF, PNM, JPEG 2000, AVIF, PCX, SGI or TGA"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture, expected PNG"),
        (b"\0\0\0\x20ftypisom", "a video, expected PNG"),
        (b"P5 99999 99999 255 ", "99999×99999 pixels, expected at most 16,384 a side and 65 megapixels"),
        (b"P5 0 5 255 ", "a truncated, damaged or unusual PNM"),
        (bytes(MAX_BYTES + 1), "more than 64 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_picture_is_a_sentence(data: bytes, sentence: str) -> None:
    assert sentence in refusal(data)


def tiff(*tags: tuple[int, int, int]) -> bytes:
    """A TIFF of these (tag, type, value), in this order, each as often as it stands here."""
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(300)


GREY_TIFF = ((258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 250), (278, 4, 8), (279, 4, 64))


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        (((256, 4, 20_000), (256, 4, 8), (257, 4, 20_000), (257, 4, 8), *GREY_TIFF), ""),
        (
            ((256, 4, 8), (257, 4, 8), *GREY_TIFF[:3], (322, 4, 60_000), (323, 4, 60_000), (324, 4, 250), (325, 4, 64)),
            "",
        ),
        (((256, 4, 8), (257, 4, 8), *GREY_TIFF, (254, 4, 1)), "a camera's raw file"),
    ],
    ids=["two sizes", "tiles", "preview"],
)
def test_what_a_tiff_says_of_itself_is_not_believed(tags: Any, sentence: str) -> None:
    """The first passed for 8×8, and OpenCV took 7.3 GB for it."""
    assert (sentence or "pixels, expected at most 16,384 a side") in refusal(tiff(*tags))


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_a_tiff_of_two_sizes_is_decoded_at_the_one_that_was_checked(compression: int) -> None:
    tags = [(256, 4, 8), (256, 4, 20_000), (257, 4, 8), (257, 4, 20_000), *GREY_TIFF]
    tags[5] = (259, 3, compression)
    shape: tuple[int, ...] = (8, 8, 3)
    with suppress(BadSample):
        shape = decode(tiff(*tags), "x").shape
    assert shape == (8, 8, 3)


def test_a_jpeg_of_many_scans_is_refused_at_once() -> None:
    data = written(np.zeros((4000, 4000), np.uint8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:-2] + data[last:-2] * 500 + b"\xff\xd9"
    started = time.process_time()
    assert "scans, expected at most 64" in refusal(bomb)
    with pytest.raises(BadSample, match=r"a JPEG of 50\d scans, expected at most 64"):
        decode_opened(Image.open(io.BytesIO(bomb)), "x")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("magic", [b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"])
def test_comments_of_a_pnm_take_no_time(magic: bytes) -> None:
    started = time.process_time()
    for filling in (b"#" * 20_000_000 + b"\n", b" " * 20_000_000, b"#\n" * 5_000_000):
        assert "a PNM of more than 400,000 parts" in refusal(magic + b"\n#\n" + filling + b"8 8 1\n" + bytes(300))
    if magic in (b"P1", b"P2", b"P3"):
        head = magic + (b"\n8 8\n" if magic == b"P1" else b"\n8 8\n255\n")
        bomb = head + b"#\n" * 2_000_000 + b"0 " * 192
        assert "a PNM of 2,000,000 comments, expected at most 10,000" in refusal(bomb)
        with pytest.raises(BadSample, match="a PNM of 2,000,000 comments"):
            decode_opened(Image.open(io.BytesIO(bomb)), "x")
        assert decode(head + b"# a row\n" * 5000 + b"0 " * 192, "x").shape == (8, 8, 3)
    assert time.process_time() - started < 6


def stuffed(format: str, place: int, filling: bytes, megabytes: int) -> bytes:
    """A small picture with this much of a filling between its parts, which no pixel needs."""
    data = written(np.zeros((8, 8), np.uint8), format)
    return data[:place] + filling * ((megabytes << 20) // len(filling)) + data[place:]


@pytest.mark.parametrize(
    ("format", "place", "filling"),
    [
        ("JPEG", 2, b"\xff"),
        ("JPEG", 2, b"\xff\xe5\0\2"),
        ("JPEG", 2, b"\xff\xfe\0\2"),
        ("PNG", 33, b"\0\0\0\0abCd" + zlib.crc32(b"abCd").to_bytes(4, "big")),
        ("GIF", 25, b"!\xfe\1a\0"),
    ],
    ids=["fill", "segments", "comments", "chunks", "blocks"],
)
def test_a_picture_of_a_million_parts_takes_no_time(format: str, place: int, filling: bytes) -> None:
    assert decode(stuffed(format, place, filling, 0), "x").shape == (8, 8, 3)
    started = time.process_time()
    assert f"a {format} of more than 400,000 parts" in refusal(stuffed(format, place, filling, 16))
    assert time.process_time() - started < 4


@pytest.mark.parametrize("limit", [(256, 8000), (257, 8000), (322, 60_000), (254, 1)])
def test_a_picture_that_pillow_opened_passes_the_same_checks(limit: tuple[int, int]) -> None:
    """Whoever opens it: scans, tiles, previews and sizes are looked at before it is decoded."""
    tags = {256: 8, 257: 8, 322: 16, 323: 16, 324: 250, 325: 64} | dict([limit])
    tags |= {257: 9000} if limit[0] == 256 else {256: 9000} if limit[0] == 257 else {}
    data = tiff(*sorted([(tag, 4, value) for tag, value in tags.items()] + list(GREY_TIFF[:3])))
    with pytest.raises(BadSample) as error:
        decode_opened(Image.open(io.BytesIO(data)), "x")
    assert error.value.reason == refusal(data)


@pytest.mark.parametrize("format", ["WEBP", "JPEG2000"])
def test_kinds_that_take_more_memory_take_fewer_pixels(format: str) -> None:
    side = {"WEBP": 6400, "JPEG2000": 4100}[format]
    data = written(Image.new("RGB", (side, side)), format, **({"lossless": True, "method": 0} if side > 5000 else {}))
    most = {"WEBP": 40, "JPEG2000": 16}[format]
    assert refusal(data) == f"{side}×{side} pixels, expected at most 16,384 a side and {most} megapixels"


MEASURE = """
import sys
from mien.data.corpora.pictures import decode
from mien.errors import BadSample
data = open(sys.argv[1], "rb").read()
try:
    print(decode(data, "x").shape)
except BadSample as error:
    print(error)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads VmHWM from /proc")
@pytest.mark.parametrize(
    ("format", "options", "side"),
    [
        ("JPEG", {"progressive": True, "subsampling": 0, "exif": EXIF_TURN_RIGHT}, 8062),
        ("PNG", {}, 8062),
        ("GIF", {}, 8062),
        ("TIFF", {"compression": "tiff_lzw"}, 8062),
        ("BMP", {}, 4000),
        ("AVIF", {"speed": 10}, 8062),
        ("WEBP", {"lossless": True, "method": 0}, 6320),
        ("JPEG2000", {}, 4000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_largest_pictures_take_less_than_a_gigabyte(
    tmp_path: Path, format: str, options: dict[str, Any], side: int
) -> None:
    (tmp_path / "x").write_bytes(written(Image.new("RGB", (side, side), (200, 100, 50)), format, **options))
    done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path / "x")], capture_output=True, text=True)
    shape, peak = done.stdout.splitlines()
    assert shape == f"({side}, {side}, 3)"
    assert int(peak) < 900 * 1024


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.data.corpora import pictures

    monkeypatch.setattr(pictures, "LARGE", 1000)
    inside: list[int] = []
    most = 0
    real = pictures._rgb

    def watched(*arguments: Any) -> NDArray[np.uint8]:
        nonlocal most
        inside.append(1)
        most = max(most, len(inside))
        time.sleep(0.02)
        inside.pop()
        return real(*arguments)

    monkeypatch.setattr(pictures, "_rgb", watched)
    data = written(RGB, "PNG")
    threads = [threading.Thread(target=decode, args=(data, "x")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


# What is said, and by whom


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_library_speaks_over_the_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    data = written(RGB, "JPEG")
    spoiled = bytearray(data)
    spoiled[len(data) * 2 // 3 : len(data) * 2 // 3 + 20] = b"\xff\xd0" * 10
    decode(bytes(spoiled), "x")
    for compression in ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "group4"):
        image = Image.fromarray(RGB).convert("1") if compression == "group4" else Image.fromarray(RGB)
        whole = written(image, "TIFF", compression=compression)
        for at in range(8, len(whole), max(1, len(whole) // 40)):
            broken = bytearray(whole)
            broken[at] ^= 0x55
            with suppress(BadSample):
                decode(bytes(broken), "x")
    assert capfd.readouterr() == ("", "")
    print("stderr is there again", file=sys.stderr)
    assert "there again" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "cannot be read (No such file or directory)"),
        (Path.mkdir, "cannot be read ("),
        (lambda path: path.symlink_to(path), "cannot be read ("),
        (Path.touch, "an empty file"),
    ],
    ids=["absent", "folder", "link to itself", "empty"],
)
def test_paths_without_a_picture(tmp_path: Path, make: Callable[[Path], object], sentence: str) -> None:
    make(tmp_path / "x.jpg")
    with pytest.raises(BadSample) as caught:
        load_picture(tmp_path / "x.jpg", "x.jpg")
    assert sentence in caught.value.reason
