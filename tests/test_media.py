"""What a file is by its first bytes, the one limit of size, and what a search through folders left out."""

import io
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.data.corpora.pictures import decode
from mien.errors import BadSample
from mien.media import (
    READ,
    VIDEO,
    PassedOver,
    file_kind,
    is_picture,
    kind_by_content,
    kind_of,
    other_kind,
    size_fault,
)

WRITTEN = {"PNG": "PNG", "JPEG": "JPEG", "BMP": "BMP", "GIF": "GIF", "WebP": "WEBP", "TIFF": "TIFF", "PNM": "PPM"} | {
    "JPEG 2000": "JPEG2000",
    "AVIF": "AVIF",
    "PCX": "PCX",
    "SGI": "SGI",
    "TGA": "TGA",
}


def written(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 99, 200)).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", READ)
def test_every_kind_that_is_read_is_known(kind: str) -> None:
    assert kind_of(written(WRITTEN[kind])[:200]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x47" + bytes(187) + b"\x47", VIDEO),
        (bytes(4) + b"\x47" + bytes(191) + b"\x47", VIDEO),
        (b"\x47" + bytes(188), ""),
        (b"\0\0\x01\xba" + bytes(30), VIDEO),
        (b"\0\0\0\x20ftypisom", VIDEO),
        (b"\0\0\0\x08wide\0\0\0\0mdat", VIDEO),
        (b"RIFF\0\0\0\0AVI LIST", VIDEO),
        (b"RIFF\0\0\0\0WAVEfmt ", ""),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"II+\0\x08\0\0\0", "TIFF"),
        (b"P4\n# made by hand\n8 8\n", "PNM"),
        (b"Pf\n2 2\n-1.0\n", "PNM"),
        (b"P2P networks", ""),
        (b"BMI of all patients, 2024", ""),
        (b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "BMP"),
        (b"#EXTM3U\n", ""),
        (b"label,path\n", ""),
        (b"", ""),
    ],
)
def test_what_is_told_from_the_first_bytes(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind
    assert is_picture(kind) == (kind not in ("", VIDEO))


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "film.jpg").write_bytes(b"\0\0\0\x20ftypisom")
    (tmp_path / "face.mp4").write_bytes(written("PNG"))
    (tmp_path / "face.txt").write_bytes(written("JPEG"))
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "notes.txt").write_bytes(b"hello")
    (tmp_path / "folder.jpg").mkdir()
    kinds = {path.name: file_kind(path) for path in tmp_path.iterdir()}
    assert kinds == {
        "film.jpg": VIDEO,
        "face.mp4": "PNG",
        "face.txt": "JPEG",
        "text.png": ".png",
        "notes.txt": "",
        "folder.jpg": ".jpg",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert kind_by_content(tmp_path / "pipe") == ""
    assert kind_by_content(tmp_path / "absent") == ""


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        ((9248, 6944), ""),
        ((16_384, 3000), ""),
        ((16_385, 2), "16385×2 pixels, expected at most 16,384 a side and 65 megapixels"),
        ((8063, 8063), "8063×8063 pixels, expected at most 16,384 a side and 65 megapixels"),
        ((0, 5), "0×5 pixels: a picture without pixels"),
    ],
)
def test_one_limit_and_one_wording(size: tuple[int, int], fault: str) -> None:
    assert size_fault(*size) == fault


def test_what_was_passed_over_is_counted_and_named() -> None:
    left = PassedOver()
    assert left.sentence() == ""
    for number in range(1200):
        left.add("other files", f"{number}.txt")
    left.add("videos", "a.mp4")
    assert left.sentence() == "Passed over: other files (1,200): 0.txt, 1.txt, 2.txt, …; videos (1): a.mp4."


def test_opencv_writes_what_is_known() -> None:
    for suffix in (".png", ".jpg", ".bmp", ".tif", ".pgm", ".webp"):
        assert is_picture(kind_of(cv2.imencode(suffix, np.zeros((9, 9), np.uint8))[1].tobytes())), suffix


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"P7\nWIDTH 4\n", "a PAM picture"),
        (b"\0\0\1\0\1\0\x10\x10", "an icon (ICO, CUR)"),
        (b"8BPS\0\1", "a Photoshop picture (PSD)"),
        (b"qoif\0\0\0\x08", "a QOI picture"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript file"),
        (bytes(128) + b"DICM", "a DICOM picture"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns=''>", "an SVG drawing"),
        (b"\n<!DOCTYPE HTML><html><title>404", "a web page"),
        (b"PK\3\4\x14\0", "an archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\xff\xd8\xff\xe0", ""),
        (b"path,label\n", ""),
        (b"", ""),
    ],
)
def test_what_stands_in_a_pictures_place_is_named(head: bytes, name: str) -> None:
    said = other_kind(head)
    assert said.startswith(name)
    assert bool(said) == bool(name)
    if name:
        assert kind_of(head + bytes(300)) == ""  # a folder passes over it
        with pytest.raises(BadSample, match=f"^x: {re.escape(said)}, expected PNG, JPEG"):
            decode(head, "x")
