"""The contact sheet of the README: `python -m mien.data.drawn.sheet docs/images/drawn-faces.png`.

In: where to write. Out: a PNG of seven rows, one an expression, and eight columns, one a subject.
"""

import sys
from pathlib import Path

import cv2

from mien.atomic import write_bytes
from mien.data.drawn.contact import contact_sheet, sheet_faces

__all__ = ["main"]


def main(path: str) -> None:
    """Write the sheet as PNG, in steps of 4 of 256 so that it stays below 400 kB."""
    sheet = contact_sheet(sheet_faces()) & 0xFC
    _, data = cv2.imencode(".png", sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(Path(path), data.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
