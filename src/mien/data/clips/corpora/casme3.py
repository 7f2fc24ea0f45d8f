"""CAS(ME)³ part A (Li 2022, TPAMI): 860 micro-expressions of 94 subjects, 30 frames a second, and long videos.

Frames are `part_A/spNO.1/b/color/175.jpg`, or `Part_A_ME_clip/frame/spNo.1_a_355/355.jpg` in the newer layout, whose
folder names hold subject, file and onset. The coding sheet is `cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx`; all its
cells are texts. For spotting, the sheet `AU+Emotion` of `CAS(ME)3_part_A_v2.xls` also has macro-expressions. One
recording holds several expressions. About one clip in ten misses frames.
"""

from collections.abc import Mapping
from pathlib import Path

from ..clip import LongVideo
from ..sheets import Row, find_table
from .coded import FIELDS, Coded, clips_of, units
from .folders import Folders, find_sheet, scan
from .long import Spotted, Video, kind_of, videos_of
from .protocol import ClipCorpus, ClipOptions, Irregular, LabelRule

__all__ = ["RULES", "read"]

FPS = 30.0
LICENCE = "CAS(ME)³: for academic research, under an agreement with its authors; frames must not be passed on."
THREE = {
    **dict.fromkeys(("disgust", "fear", "anger", "sad"), "negative"),
    "happy": "positive",
    "surprise": "surprise",
}
RULES = {"three": LabelRule(classes=THREE), "four": LabelRule(classes={**THREE, "others": "others"})}
COLUMNS = {**FIELDS, "kind": ("expressiontype",)}
SPOTTING = "cas(me)3_part_a_v"
COLOUR = "color"


def read(root: Path, options: ClipOptions) -> ClipCorpus:
    """Read the sheet of micro-expressions; the long videos too, where their sheet and folders are there."""
    folders = scan(root, "casme3")
    sheet = find_sheet(folders, "casme3", options.sheet, "cas(me)3_part_A_ME_label", "cas(me)3_part_A_ME", "cas(me)3")
    table = find_table(sheet, COLUMNS, ("subject", "clip", "onset", "offset", "label"), prefer="label")
    fps = options.fps or FPS
    rows = sorted(table.rows, key=lambda row: (row.text("subject").lower(), row.text("clip")))
    clips, irregular = clips_of((_coded(row, folders) for row in rows), fps)
    videos, odd = _long(folders, sheet, fps)
    return ClipCorpus(
        name="casme3",
        licence=LICENCE,
        clips=tuple(clips),
        videos=tuple(videos),
        irregular=(*irregular, *odd),
        rules=RULES,
        notes=(f"{len(table.rows)} rows of {table.where}; {len(videos)} long videos.",),
    )


def _coded(row: Row, folders: Folders) -> Coded:
    subject, file, onset = row.text("subject"), row.text("clip"), row.text("onset")
    name = f"{subject}_{file}_{onset}"
    return Coded(
        clip=f"{subject}/{file}/{onset}",
        subject=subject.lower(),
        label=row.text("label").lower(),
        onset=row.number("onset"),
        apex=row.number("apex"),
        offset=row.number("offset"),
        folder=folders.find(name, without=("depth",)) or folders.find(subject, file, COLOUR),
        wanted=f"{subject}/{file}/{COLOUR} or {name}",
        aus=units(row.text("aus")),
    )


def _long(folders: Folders, labels: Path, fps: float) -> tuple[list[LongVideo], list[Irregular]]:
    """The folders of whole recordings with their rows of the sheet for spotting; [] without that sheet."""
    videos = {_video(path).name: _video(path) for path in folders.named(COLOUR) if _is_recording(path)}
    sheets = [path for path in folders.sheets if path.name.lower().startswith(SPOTTING) and path != labels]
    if not videos or not sheets:
        return [], []
    table = find_table(max(sheets), COLUMNS, ("subject", "clip", "onset", "offset", "kind"), prefer="AU+Emotion")
    spotted = [row for row in (_spotted(row, videos) for row in table.rows) if row]
    return videos_of(videos.values(), spotted, fps)


def _is_recording(path: Path) -> bool:
    return path.parent.parent.name.lower().startswith("spno")


def _video(path: Path) -> Video:
    subject = path.parent.parent.name.lower()
    return Video(name=f"{subject}/{path.parent.name.lower()}", subject=subject, folder=path)


def _spotted(row: Row, videos: Mapping[str, Video]) -> Spotted | None:
    kind = kind_of(row.text("kind"))
    if kind is None:
        return None
    name = f"{row.text('subject')}/{row.text('clip')}".lower()
    video = videos.get(name)
    coded = Coded(
        clip=f"{name}/{row.text('onset')} ({kind})",
        subject=row.text("subject").lower(),
        label=row.text("label").lower(),
        onset=row.number("onset"),
        apex=row.number("apex"),
        offset=row.number("offset"),
        folder=video.folder if video else None,
        aus=units(row.text("aus")),
    )
    return Spotted(coded=coded, kind=kind)
