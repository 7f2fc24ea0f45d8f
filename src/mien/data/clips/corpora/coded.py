"""Turns the rows of a coding sheet into clips: numbers are repaired by stated rules, and frames are found on disk.

A `Coded` is a row as the sheet has it. A `Clip` has the frames from onset to offset. Every repair and every row that is
left out is an `Irregular`, and `meta.json` names the rule:

    fault                                                   rule
    the offset is missing or 0                              the apex is taken for it
    the onset is missing, 0 or after the offset             the row is left out
    the apex is missing, at the onset, or out of range      the apex is found in the frames
    the apex is the offset                                  kept: the recording ends at its apex
    a frame of the sheet is not on disk                     the nearest within three frames, else the row is left out
    the apex frame is not on disk                           the nearest within three frames, else found in the frames
    frames in between are not on disk                       counted; the clip is kept
    there are as many files as frames, with other numbers   the files are taken in order: the folder is the clip
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ....errors import BadSample
from ..clip import FEWEST_FRAMES, Clip
from ..frames import ImageFrames, numbered
from .protocol import Irregular

__all__ = ["FIELDS", "Coded", "Numbers", "clips_of", "left_out", "repaired", "units"]

FIELDS = {
    "subject": ("subject", "subjects", "subid", "sub"),
    "clip": ("filename", "file", "foldname", "foldername", "clip"),
    "onset": ("onsetframe", "onset", "onsetf"),
    "apex": ("apexframe", "apex", "apexf"),
    "offset": ("offsetframe", "offset", "offsetf"),
    "aus": ("actionunits", "actionunit", "aus", "au"),
    "label": ("estimatedemotion", "emotion"),
}
"""The header words of coding sheets, as `plain` gives them. All sheets that are known have most of these."""
FURTHEST = 3
"""Largest distance between a frame of the sheet that is not on disk and the frame taken for it."""
FOUND = "its apex is found in the frames"


@dataclass(frozen=True, kw_only=True)
class Coded:
    """One row of a coding sheet."""

    clip: str
    """The name of the clip in its corpus."""
    subject: str
    label: str
    onset: int | None
    apex: int | None
    offset: int | None
    folder: Path | None
    """Where its frames are; None where they were not found."""
    wanted: str = ""
    """The folder that was looked for."""
    aus: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    without_apex: bool = False
    """Whether the corpus gives no apex at all. A missing apex is then not irregular."""
    first: int | None = None
    """The sheet's number of the first file of the folder, if it states one: files may be renumbered."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Onset, apex and offset of a row, repaired."""

    onset: int
    apex: int | None
    offset: int


def clips_of(rows: Iterable[Coded], fps: float) -> tuple[list[Clip], list[Irregular]]:
    """The clips of the rows whose frames are on disk, and all that was repaired or left out."""
    clips: list[Clip] = []
    irregular: list[Irregular] = []
    listed: dict[Path, dict[int, Path]] = {}
    for row in rows:
        if row.folder is None:
            irregular.append(left_out(row.clip, "its frames are not on disk", row.wanted))
            continue
        if not row.label:
            irregular.append(left_out(row.clip, "the sheet gives no class"))
            continue
        try:
            if row.folder not in listed:
                listed = {row.folder: numbered(row.folder)}  # rows of one folder follow each other; one list at a time
        except BadSample as bad:
            irregular.append(left_out(row.clip, "its frames cannot be listed", bad.reason))
            continue
        clip, found = _found(row, listed[row.folder], fps)
        irregular += found
        clips += [clip] if clip else []
    return clips, irregular


def _found(row: Coded, files: Mapping[int, Path], fps: float) -> tuple[Clip | None, list[Irregular]]:
    numbers, odd = repaired(row, from_zero=0 in files)
    if numbers is None:
        return None, odd
    frames, renamed = _as_coded(row, numbers, files)
    clip, missing = _clip(row, numbers, frames, fps)
    return clip, [*odd, *renamed, *missing]


def repaired(row: Coded, *, from_zero: bool = False) -> tuple[Numbers | None, list[Irregular]]:
    """Onset, apex and offset by the rules that need no frames; None if the row is left out.

    An onset of 0 means that it is unknown, unless the files are counted from 0 (`from_zero`).
    """
    onset, apex, offset = row.onset, row.apex, row.offset
    details = f"onset {_number(onset)}, apex {_number(apex)}, offset {_number(offset)}"
    found: list[Irregular] = []
    if onset is None or (onset == 0 and not from_zero):
        return None, [left_out(row.clip, "the sheet gives no onset (or 0)", details)]
    if not offset:
        if not apex or apex <= onset:
            return None, [left_out(row.clip, "the sheet gives no offset (or 0)", details)]
        found.append(_kept(row, "the sheet gives no offset (or 0)", "the apex is taken", details))
        offset = apex
    if offset <= onset:
        return None, [left_out(row.clip, "the offset is not after the onset", details)]
    if row.without_apex:
        return Numbers(onset=onset, apex=None, offset=offset), found
    if not apex:
        found.append(_kept(row, "the sheet gives no apex", FOUND, details))
    elif apex == onset:
        found.append(_kept(row, "the apex is the onset", FOUND, details))
    elif not onset < apex <= offset:
        found.append(_kept(row, "the apex is not between onset and offset", FOUND, details))
    else:
        if apex == offset and not found:
            found.append(_kept(row, "the apex is the offset", "it is kept: the movement ends at its apex", details))
        return Numbers(onset=onset, apex=apex, offset=offset), found
    return Numbers(onset=onset, apex=None, offset=offset), found


def _as_coded(row: Coded, wanted: Numbers, files: Mapping[int, Path]) -> tuple[Mapping[int, Path], list[Irregular]]:
    """The files by the numbers of the sheet, which may differ from those of their names."""
    if wanted.onset in files:
        return files, []
    if row.first is not None:
        return {row.first + place: path for place, path in enumerate(files.values())}, []
    if len(files) == wanted.offset - wanted.onset + 1 and wanted.offset not in files:
        seen, done = "its files have other numbers than the sheet", "they are as many, and taken in order"
        renamed = {wanted.onset + place: path for place, path in enumerate(files.values())}
        return renamed, [_kept(row, seen, done, _range(files))]
    return files, []


def _clip(row: Coded, wanted: Numbers, frames: Mapping[int, Path], fps: float) -> tuple[Clip | None, list[Irregular]]:
    found: list[Irregular] = []
    ends: dict[str, int] = {}
    for name in ("onset", "apex", "offset"):
        number = getattr(wanted, name)
        near = None if number is None else _nearest(number, frames)
        if near is None and name != "apex":
            seen = f"the frame of the {name} is not on disk"
            return None, [*found, left_out(row.clip, seen, f"frame {number} of {_range(frames)}")]
        if near != number:
            done = FOUND if near is None else f"the nearest within {FURTHEST} frames is taken"
            found.append(_kept(row, f"the frame of the {name} is not on disk", done, f"frame {number}, taken {near}"))
        if near is not None:
            ends[name] = near
    there = [number for number in frames if ends["onset"] <= number <= ends["offset"]]
    if len(there) < FEWEST_FRAMES:
        return None, [*found, left_out(row.clip, "fewer than two of its frames are on disk", _range(frames))]
    holes = ends["offset"] - ends["onset"] + 1 - len(there)
    if holes:
        found.append(_kept(row, "frames between onset and offset are not on disk", "it is kept", f"{holes} frames"))
    apex = ends.get("apex")
    if apex is not None and not ends["onset"] < apex:
        apex = None
    clip = Clip(
        name=row.clip,
        subject=row.subject,
        label=row.label,
        frames=ImageFrames([frames[number] for number in there]),
        onset=0,
        apex=None if apex is None else there.index(apex),
        offset=len(there) - 1,
        fps=fps,
        groups=row.groups,
        aus=row.aus,
    )
    return clip, found


def _nearest(number: int, frames: Mapping[int, Path]) -> int | None:
    """The frame itself, or the nearest one on disk that is close enough."""
    around = sorted(range(number - FURTHEST, number + FURTHEST + 1), key=lambda near: abs(near - number))
    return next((near for near in around if near in frames), None)


def units(text: str) -> tuple[str, ...]:
    """The action units of a cell, in its own notation; `?` means that none is known.

    >>> units("R14+17+soft focus"), units("?"), units("L12 or L14")
    (('R14', '17', 'soft focus'), (), ('L12 or L14',))
    """
    parts = (part.strip() for part in text.replace(",", "+").split("+"))
    return tuple(part for part in parts if part and part != "?")


def left_out(clip: str, seen: str, details: str = "") -> Irregular:
    """A row that gives no clip."""
    return Irregular(clip=clip, seen=seen, done="it is left out", kept=False, details=details)


def _kept(row: Coded, seen: str, done: str, details: str) -> Irregular:
    return Irregular(clip=row.clip, seen=seen, done=done, details=details)


def _number(number: int | None) -> str:
    return "–" if number is None else str(number)


def _range(frames: Mapping[int, Path]) -> str:
    return f"{len(frames)} frames, {min(frames)}–{max(frames)}" if frames else "no frames"
