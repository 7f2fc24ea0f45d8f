"""The kind of a file by its first bytes, and the largest size of a picture, for corpora, pictures and videos.

In: the first `HEAD_BYTES` bytes of a file, or a width and a height. Out: the kind ("JPEG", "video", "" for neither
picture nor video), or the sentence that refuses a size. `PassedOver` counts what a search through folders leaves out.
"""

import os
import re
from collections import defaultdict
from pathlib import Path

from .reading import open_file

__all__ = [
    "HEAD_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "PICTURE_SUFFIXES",
    "READ",
    "VIDEO",
    "VIDEO_SUFFIXES",
    "PassedOver",
    "file_kind",
    "is_picture",
    "is_url",
    "kind_by_content",
    "kind_of",
    "other_kind",
    "size_fault",
]

MAX_SIDE = 16_384
MAX_PIXELS = 65_000_000
"""195 MB as RGB. The telephones that are sold with 64 megapixels write 9248×6944."""
HEAD_BYTES = 197
"""Bytes that the longest signature needs: the second packet of an AVCHD stream."""
VIDEO = "video"
READ = ("PNG", "JPEG", "BMP", "GIF", "WebP", "TIFF", "PNM", "JPEG 2000", "AVIF", "PCX", "SGI", "TGA")
"""The kinds of pictures that mien reads."""
PICTURE_SUFFIXES = frozenset(
    (
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
        *(
            ".pgm",
            ".ppm",
            ".pbm",
            ".pnm",
            ".pfm",
            ".jp2",
            ".j2k",
            ".avif",
            ".heic",
            ".heif",
            ".jxl",
            ".pcx",
            ".sgi",
            ".tga",
        ),
    )
)
VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".ogv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
        *(".flv", ".wmv", ".3gp", ".y4m"),
    )
)
STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\x1a\x45\xdf\xa3": VIDEO,  # Matroska and WebM
    b"OggS": VIDEO,
    b"FLV\x01": VIDEO,
    b"YUV4MPEG2 ": VIDEO,
    b"\0\0\x01\xba": VIDEO,  # MPEG-PS
    b"\0\0\x01\xb3": VIDEO,  # MPEG-1 and MPEG-2
    b"\x30\x26\xb2\x75": VIDEO,  # WMV
}
RIFF = {b"WEBP": "WebP", b"AVI ": VIDEO}
URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
)
"""Pictures in the same boxes as an MP4."""
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
PATTERNS = {
    "PNM": re.compile(rb"P(?:[1-6]\s+[#\d]|[fF]\s+\d)"),
    "PCX": re.compile(rb"\x0a[\0\2\3\5]\x01[\x01\2\4\x08]"),
    "SGI": re.compile(rb"\x01\xda[\0\x01][\x01\2]\0[\x01-\3]"),
    "TGA": re.compile(rb".\0[\2\3\x0a\x0b]\0{5}.{8}[\x08\x10\x18\x20][\0-\x3f]", re.DOTALL),
}
OTHERS = {
    "a PAM picture": rb"P7\n",
    "an icon (ICO, CUR)": rb"\0\0[\x01\2]\0[^\0]",
    "an icon (ICNS)": rb"icns",
    "a Photoshop picture (PSD)": rb"8BPS",
    "a QOI picture": rb"qoif",
    "a DDS texture": rb"DDS ",
    "an OpenEXR picture": rb"\x76\x2f\x31\x01",
    "a Radiance picture (HDR)": rb"#\?(?:RADIANCE|RGBE)",
    "a Sun raster picture": rb"\x59\xa6\x6a\x95",
    "a FITS picture": rb"SIMPLE  =",
    "a GIMP picture (XCF)": rb"gimp xcf ",
    "a JPEG XR picture": rb"II\xbc",
    "a DICOM picture": rb".{128}DICM",
    "a camera's raw file (RAF)": rb"FUJIFILMCCD-RAW",
    "a PostScript file": rb"%!PS|\xc5\xd0\xd3\xc6",
    "a PDF": rb"%PDF-",
    "an SVG drawing": rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:svg|!DOCTYPE svg)",
    "a web page": rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)",
    "a pointer of Git LFS, and not the file itself (git lfs pull brings it)": rb"version https://git-lfs",
    "an archive": rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ",
}
"""Other kinds of files by their first bytes: messages name them, and they are not read."""
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
NAMED = 3
"""Most files that `PassedOver` names; of more, only the number is given."""


def kind_of(head: bytes) -> str:
    """The kind of a file that starts with these bytes, `HEAD_BYTES` of them or all: "PNG", …, "video", or ""."""
    if head[:4] == b"RIFF":
        return RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _boxed(head)
    if head[4:8] in MP4_BOXES:
        return VIDEO
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "BMP"
    if head[:1] == head[188:189] == b"\x47" or head[4:5] == head[196:197] == b"\x47":
        return VIDEO  # MPEG-TS, packets of 188 bytes, with four of time before them in AVCHD
    known = next((kind for start, kind in STARTS.items() if head.startswith(start)), "")
    return known or next((kind for kind, sign in PATTERNS.items() if sign.match(head)), "")


def other_kind(head: bytes) -> str:
    """The kind of a file that `kind_of` does not know, with its article: "a PDF"; empty if it is unknown."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    return next((name for name, sign in OTHERS.items() if re.match(sign, text, re.DOTALL | re.IGNORECASE)), "")


def _boxed(head: bytes) -> str:
    """HEIC and AVIF share `mif1` as main brand; the compatible brands then tell them apart."""
    main = BRANDS.get(head[8:12], VIDEO)
    length = min(int.from_bytes(head[:4], "big"), len(head))
    others = {head[at : at + 4] for at in range(16, length - 3, 4)}
    return "AVIF" if main == "HEIC" and b"avif" in others else main


def is_url(text: str) -> bool:
    """Whether `text` is the address of something elsewhere: https://, s3:// and the like."""
    return URL.match(text) is not None and not os.path.lexists(text)


def is_picture(kind: str) -> bool:
    """Whether a kind is a picture, whether mien reads it or refuses it with a sentence."""
    return kind not in ("", VIDEO)


def kind_by_content(path: Path | str) -> str:
    """`kind_of` a file; "" for one that cannot be read."""
    try:
        with open_file(path) as file:
            return kind_of(file.read(HEAD_BYTES))
    except OSError:
        return ""


def file_kind(path: Path | str) -> str:
    """`kind_of` a file; if its first bytes are unknown, its suffix decides, so that reading it fails with a
    sentence.
    """
    suffix = os.path.splitext(path)[1].lower()
    named = VIDEO if suffix in VIDEO_SUFFIXES else suffix if suffix in PICTURE_SUFFIXES else ""
    return kind_by_content(path) or named


def size_fault(width: float, height: float, most: int = MAX_PIXELS) -> str:
    """The reason why a picture of this size is refused, or ""; `most` is the number of pixels if a kind allows
    fewer.
    """
    size = f"{width:.0f}×{height:.0f} pixels"
    if min(width, height) < 1:
        return f"{size}: a picture without pixels"
    if max(width, height) > MAX_SIDE or width * height > most:
        return f"{size}, expected at most {MAX_SIDE:,} a side and {most // 1_000_000} megapixels"
    return ""


class PassedOver:
    """Files that a search through folders left out: counts by kind, and the first names of each."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = defaultdict(list)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, kind: str, name: str) -> None:
        """Count a file; `kind` is in the plural, such as "videos"."""
        self._counts[kind] += 1
        if len(self._names[kind]) < NAMED:
            self._names[kind].append(name)

    def sentence(self) -> str:
        """ "Passed over: videos (2): a.mp4, b.mp4."; empty if there were none."""
        counts = [
            f"{kind} ({count:,}): {', '.join(self._names[kind])}{', …' if count > NAMED else ''}"
            for kind, count in self._counts.items()
        ]
        return f"Passed over: {'; '.join(counts)}." if counts else ""
