"""Clips of one's own: a folder of videos or of folders with frames, and a CSV file that describes them.

The input is the CSV file, or a folder that holds exactly one. Its columns are path, subject and label, and optionally
onset, apex, offset, fps and group:NAME. A path names a video, or a folder whose frames carry numbers; it stays inside
the folder of the table. Onset, apex and offset are these numbers; in a video, frames count from 0. A blank onset means
the first frame, a blank offset the last, and a blank apex is found in the frames. A row that cannot be used is a
`BadSample` that names its line.
"""

from contextlib import suppress
from pathlib import Path

from ....errors import BadSample, DataError
from ....media import VIDEO, file_kind
from ...corpora.pictures import inside
from ...corpora.tables import Row, table
from ..clip import FEWEST_FRAMES, MOST_FPS, Clip
from ..frames import FilmFrames, Frames, ImageFrames, numbered
from .protocol import ClipCorpus, ClipOptions

__all__ = ["read"]

REQUIRED = ("path", "subject", "label")
GROUP = "group:"
Ends = tuple[int | None, int | None, int | None]
Found = tuple[Frames, tuple[int, int | None, int], float]
"""Frames; onset, apex and offset as places; frames a second (0 if unknown)."""


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the table and list the frames."""
    path = options.sheet or _table(root)
    clips: list[Clip] = []
    bad: list[BadSample] = []
    for row in table(path, REQUIRED):
        try:
            if isinstance(row, BadSample):
                raise row
            clips.append(_clip(path.parent, row, options))
        except BadSample as found:
            bad.append(found)
    return ClipCorpus(
        name="clips",
        licence="The licence of these clips was not stated.",
        clips=tuple(clips),
        bad=tuple(bad),
        notes=(f"{len(clips) + len(bad)} rows of {path.name}.",),
    )


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv")) if root.is_dir() else []
    if len(found) != 1:
        raise DataError(f"{root} is not a CSV file, nor a folder with exactly one ({len(found)} found).")
    return found[0]


def _clip(folder: Path, row: Row, options: ClipOptions) -> Clip:
    path = inside(folder, row.cells["path"], row.where)
    if not row.cells["label"] or not row.cells["subject"]:
        raise BadSample(row.where, "the subject or the label is empty")
    wanted: Ends = (_number(row, "onset"), _number(row, "apex"), _number(row, "offset"))
    frames, ends, fps = _pictures(path, row, wanted) if path.is_dir() else _film(path, row, wanted)
    fps = options.fps or _fps(row) or fps
    if not fps:
        raise BadSample(row.where, "nobody says how many frames a second; add a column fps, or say --fps")
    return Clip(
        name=f"{row.where}: {row.cells['path']}",
        subject=row.cells["subject"],
        label=row.cells["label"],
        frames=frames,
        onset=ends[0],
        apex=ends[1],
        offset=ends[2],
        fps=fps,
        groups={name.removeprefix(GROUP): cell for name, cell in row.cells.items() if name.startswith(GROUP)},
    )


def _pictures(path: Path, row: Row, wanted: Ends) -> Found:
    try:
        files = numbered(path)
    except BadSample as bad:
        raise BadSample(row.where, bad.reason) from None
    if len(files) < FEWEST_FRAMES:
        raise BadSample(row.where, f"{row.cells['path']} holds {len(files)} numbered frames, expected two or more")
    numbers = list(files)
    for name, number in zip(("onset", "apex", "offset"), wanted, strict=True):
        if number is not None and number not in files:
            seen = f"there is no frame {number} ({name}) in {row.cells['path']}"
            raise BadSample(row.where, f"{seen}; its frames are {numbers[0]} to {numbers[-1]}")
    onset, apex, offset = (None if number is None else numbers.index(number) for number in wanted)
    ends = (onset or 0, apex, len(numbers) - 1 if offset is None else offset)
    return ImageFrames(list(files.values())), ends, 0.0


def _film(path: Path, row: Row, wanted: Ends) -> Found:
    if file_kind(path) != VIDEO:
        raise BadSample(row.where, f"{row.cells['path']} is neither a video nor a folder of frames")
    frames = FilmFrames(path)
    try:
        count, fps = len(frames), frames.fps
    except DataError as error:
        raise BadSample(row.where, str(error)) from None
    onset, apex, offset = wanted
    return frames, (onset or 0, apex, count - 1 if offset is None else offset), fps


def _number(row: Row, name: str) -> int | None:
    text = row.cells.get(name, "")
    if not text:
        return None
    try:
        return int(text[:20])
    except ValueError:
        raise BadSample(row.where, f"the {name} is {text!r}, expected a whole number") from None


def _fps(row: Row) -> float:
    if not (text := row.cells.get("fps", "")):
        return 0.0
    with suppress(ValueError):
        if 0 < (fps := float(text)) <= MOST_FPS:
            return fps
    raise BadSample(row.where, f"fps is {text!r}, expected a number above 0 and at most {MOST_FPS:g}")
