"""Damaged pictures and videos, drawn from seeds: each is pixels or one sentence, in bounded time and memory.

The damage is done to files of every kind that is read: bits, cuts, blocks, and numbers in headers replaced by extreme
ones. Each batch runs in its own process, so that a crash, a hang or a gigabyte is seen and its seed is named. Run some
by hand: `python tests/test_damaged_media.py KIND FIRST COUNT FOLDER`.
"""

import io
import logging
import os
import struct
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
import pytest
from PIL import Image

from apart import end, in_a_process, needs_proc, trying
from damage import damaged_bytes
from made_videos import numbered, write_video, y4m
from mien.data.corpora.pictures import decode
from mien.errors import BadSample, DataError
from mien.video import open_video

EXTREMES = (
    *(0, 1, 2, 7, 64, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 16_384, 20_000),
    *(1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
)
PICTURES: dict[str, tuple[str, str, dict[str, object]]] = {
    "jpeg": ("JPEG", "RGB", {}),
    "progressive": ("JPEG", "RGB", {"progressive": True}),
    "cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "palette": ("PNG", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "gif": ("GIF", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (40, 30), (9, 200, 40))]}),
    "webp": ("WEBP", "RGB", {}),
    "lossless": ("WEBP", "RGBA", {"lossless": True}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff-lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff-jpeg": ("TIFF", "RGB", {"compression": "jpeg"}),
    "tiff-fax": ("TIFF", "1", {"compression": "group4"}),
    "tiff-float": ("TIFF", "F", {}),
    "ppm": ("PPM", "RGB", {}),
    "jp2": ("JPEG2000", "RGB", {}),
    "avif": ("AVIF", "RGB", {}),
    "pcx": ("PCX", "RGB", {}),
    "sgi": ("SGI", "RGB", {}),
    "tga": ("TGA", "RGB", {"compression": "tga_rle"}),
}
LONG = 250
"""Files of each kind in the long tests."""
VIDEOS = ("avi", "mkv", "mp4", "ts", "y4m", "mpg")


def picture(kind: str) -> bytes:
    """A whole picture of a kind."""
    format, mode, options = PICTURES[kind]
    grey = np.linspace(0, 255, 40 * 30).astype(np.uint8).reshape(30, 40)
    image = Image.fromarray(np.dstack([grey, grey[::-1], grey[:, ::-1]])).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format, **(options if format in ("TIFF", "PCX", "SGI", "TGA") else options | {"exif": exif()}))
    return buffer.getvalue()


def exif() -> bytes:
    found = Image.Exif()
    found[0x0112] = 6
    return found.tobytes()


def film(kind: str, folder: Path) -> bytes:
    """A whole video of a kind, written where it is not there yet."""
    path = folder / f"whole.{kind}"
    if not path.exists():
        frames = numbered(12, height=48)
        if kind == "y4m":
            y4m(path, frames)
        else:
            write_video(path, frames, codec={"ts": "mp4v", "mpg": "MPG1"}.get(kind, ""))
    return path.read_bytes()


def damaged_media(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Blind damage, or numbers in the header, of 16 or 32 bits in either order, made extreme."""
    if rng.random() < 0.4:
        return damaged_bytes(content, rng)
    data = bytearray(content)
    places = rng.integers(min(len(data), 600) - 4, size=int(rng.integers(1, 4)))
    for place in places:
        layout = ("<I", ">I", "<H", ">H")[rng.integers(4)]
        value = int(EXTREMES[rng.integers(len(EXTREMES))]) & (0xFFFFFFFF if layout[1] == "I" else 0xFFFF)
        struct.pack_into(layout, data, int(place), value)
    return f"numbers at {places.tolist()}", bytes(data)


def read_video(path: Path) -> None:
    """All frames of a video that was damaged; those of a long one that claims to be endless, for a while."""
    with open_video(path) as video:
        for frame in video.frames():
            if frame.index > 500:
                return


def try_seeds(folder: Path, kind: str, first: int, count: int) -> None:
    """Read `count` damaged files of a kind."""
    cv2.utils.logging.setLogLevel(0)
    warnings.simplefilter("ignore")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    whole = picture(kind) if kind in PICTURES else film(kind, folder)
    for seed in range(first, first + count):
        what, content = damaged_media(whole, np.random.default_rng([seed, len(kind), ord(kind[0])]))
        sentence = ""
        with trying(kind, seed, what):
            try:
                if kind in PICTURES:
                    decode(content, "x")
                else:
                    path = folder / f"damaged.{kind}"
                    path.write_bytes(content)
                    read_video(path)
            except (BadSample, DataError) as error:
                sentence = str(error)
        assert len(sentence) < 400, sentence
        assert "\n" not in sentence, sentence


pytestmark = needs_proc


def test_damaged_pictures_are_pixels_or_a_sentence(tmp_path: Path) -> None:
    for kind in PICTURES:
        try_seeds(tmp_path, kind, 0, 12)


@pytest.mark.parametrize("kind", VIDEOS)
def test_damaged_videos_are_frames_or_a_sentence(tmp_path: Path, kind: str) -> None:
    film(kind, tmp_path)  # here, since the writer says on stderr what it does
    in_a_process(__file__, kind, 0, 12, tmp_path, tries=12)


@pytest.mark.long
@pytest.mark.parametrize("kind", [*PICTURES, *VIDEOS])
def test_thousands_of_damaged_files(tmp_path: Path, kind: str) -> None:
    if kind in VIDEOS:
        film(kind, tmp_path)  # here, since the writer says on stderr what it does
    in_a_process(__file__, kind, 100, LONG, tmp_path, tries=LONG)


if __name__ == "__main__":
    try_seeds(Path(sys.argv[4]), sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    end()
