"""Drawn clips as a corpus: in memory, as a folder of frames with a table, or as a store with flow planes.

The truth of every clip is known: onset, apex, offset, intensities, landmarks, and the movement of every pixel. Subjects
are different people. Clip i does not depend on how many clips are drawn, as long as the number of clips per subject
stays the same.
"""

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...atomic import new_folder
from ...errors import ConfigError, DataError
from ...faces import Face
from ...planes import Batch
from ...progress import track
from ...reading import GivenPath, given_path
from ...shown import csv_cell
from ..corpora import Corpus, Entry
from ..drawn.expression import PROTOTYPES, require_expression
from ..drawn.film import Film, FilmOptions, draw_film
from ..prepare import PrepareOptions, write_corpus
from ..store import Meta
from .clip import Clip
from .motion import MotionOptions, motion

__all__ = ["EXPRESSIONS", "FilmDetector", "draw_clip_store", "drawn_clips", "write_clips"]

EXPRESSIONS = tuple(name for name in PROTOTYPES if name != "neutral")
CLIPS_PER_SUBJECT = 6
TABLE = "clips.csv"
COLUMNS = ("path", "subject", "label", "onset", "apex", "offset", "fps")
TRUTH = "truth.npz"
LICENCE = "Drawn by mien; free of any rights."
NO_SPLITS = "Drawn clips have no splits: every clip is train. Cross-validate by subject (data.protocol=loso)."


class FilmDetector:
    """A detector that knows where the face of a drawn film is, and needs no picture."""

    name = "drawn"

    def __init__(self, film: Film, place: int) -> None:
        self._face = Face(box=film.box(place), score=1.0, landmarks=film.landmarks(place))

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The one face."""
        return [self._face]


def drawn_clips(
    count: int,
    *,
    seed: int = 0,
    subjects: int | None = None,
    frames: int = 40,
    expressions: Sequence[str] = EXPRESSIONS,
    options: FilmOptions | None = None,
) -> Iterator[tuple[Clip, Film]]:
    """Clips with their films, subject after subject, classes in turn. Frames are drawn when they are requested.

    Args:
        count: of clips.
        seed: decides everything.
        subjects: among whom the clips are shared evenly; None for 6 clips a subject.
        frames: of a clip.
        expressions: the classes, of `PROTOTYPES`.
        options: how films are taken.

    Raises:
        ConfigError: a number or an expression is out of range; at once, not at the first clip.
    """
    if count < 1:
        raise ConfigError(f"Cannot draw {count} clips. Ask for 1 or more.")
    if subjects is not None and not 1 <= subjects <= count:
        raise ConfigError(f"Cannot share {count} clips among {subjects} subjects. Choose 1 to {count} subjects.")
    if not expressions:
        raise ConfigError("Clips need an expression to show; none was given.")
    for name in expressions:
        require_expression(name)
    chosen = options or FilmOptions()
    draw_film(
        0, expressions[0], seed=seed, index=0, frames=frames, options=chosen
    )  # raises now if a value is out of range
    films = (
        draw_film(
            index * subjects // count if subjects else index // CLIPS_PER_SUBJECT,
            expressions[index % len(expressions)],
            seed=seed,
            index=index,
            frames=frames,
            options=chosen,
        )
        for index in range(count)
    )
    return ((_clip(film, index), film) for index, film in enumerate(films))


def _clip(film: Film, index: int) -> Clip:
    act = film.acts[0]
    return Clip(
        name=f"{film.subject}/c{index:05d}",
        subject=film.subject,
        label=act.label,
        frames=film,
        onset=act.course.onset,
        apex=act.course.apex,
        offset=act.course.offset,
        fps=film.options.fps,
        groups={**film.groups, "movement": "below 1 px" if act.pixels < 1 else "1 px and more"},
    )


def draw_clip_store(
    out: GivenPath,
    *,
    clips: int = 120,
    subjects: int | None = None,
    seed: int = 0,
    frames: int = 40,
    expressions: Sequence[str] = EXPRESSIONS,
    options: FilmOptions | None = None,
    movement: MotionOptions | None = None,
    force: bool = False,
) -> Meta:
    """Draw clips and write them as a store at `out`, whole or not at all.

    Its planes are `face`, `flow` and what `movement` adds. Apexes are the true ones. Arguments are those of
    `drawn_clips`. Raises `ConfigError` if one is out of range, `DataError` if `out` cannot be written.
    """
    out, movement, options = (
        given_path(out, "A store", DataError),
        movement or MotionOptions(),
        options or FilmOptions(),
    )
    pairs = drawn_clips(clips, seed=seed, subjects=subjects, frames=frames, expressions=expressions, options=options)
    names = tuple(sorted(set(expressions)))
    if len(names) < 2:
        raise ConfigError(f"A store of clips has two expressions or more; got {', '.join(names)}.")
    entries = (
        Entry(
            label=names.index(clip.label),
            split="train",
            source=f"drawn:{clip.name}",
            subject=clip.subject,
            groups=clip.groups,
            planes=partial(_planes, clip, film, movement),
        )
        for clip, film in pairs
    )
    low, high = options.pixels
    taken = f"{options.size} pixels wide, {options.fps:g} frames a second, movements of {low:g} to {high:g} pixels"
    corpus = Corpus(
        name="drawn",
        classes=names,
        licence=LICENCE,
        count=clips,
        entries=entries,
        planes=movement.planes,
        movement=movement.movement([options.fps]),
        notes=(f"Clips drawn with seed {seed}, {taken}; no person is shown.", *movement.words, NO_SPLITS),
    )
    limit = None if clips >= len(names) else clips
    return write_corpus(
        corpus, out, PrepareOptions(crop=movement.crop, sized=True, labels="own", force=force, limit=limit)
    )


def _planes(clip: Clip, film: Film, movement: MotionOptions) -> Batch:
    return motion(clip, FilmDetector(film, clip.onset), movement)


def write_clips(
    out: GivenPath,
    *,
    clips: int = 12,
    subjects: int | None = None,
    seed: int = 0,
    frames: int = 40,
    expressions: Sequence[str] = EXPRESSIONS,
    options: FilmOptions | None = None,
    force: bool = False,
) -> Path:
    """Draw clips into a new folder that `mien data prepare OUT --corpus clips` reads, whole or not at all.

    Each clip is a folder of PNG files, numbered from 0, listed in `clips.csv`. Its `truth.npz` has `flow` (S, S, 2),
    from onset to apex in pixels, `known` (S, S), where that is known, `aus` (T, 2, 13) and `landmarks` (T, 5, 2).

    Args are those of `drawn_clips`. Raises `ConfigError` if one is out of range, `DataError` if `out` cannot be
    written.
    """
    out = given_path(out, "The clips", DataError)
    pairs = drawn_clips(clips, seed=seed, subjects=subjects, frames=frames, expressions=expressions, options=options)
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    with new_folder(out, replace=force) as folder:
        for clip, film in track(pairs, "Drawing clips", clips):
            _write(folder / clip.name, clip, film)
            row = (clip.name, clip.subject, clip.label, clip.onset, clip.apex, clip.offset, f"{clip.fps:g}")
            table.writerow(map(csv_cell, row))
        (folder / TABLE).write_text(text.getvalue(), encoding="utf-8", newline="")
    return out


def _write(folder: Path, clip: Clip, film: Film) -> None:
    folder.mkdir(parents=True)
    for place, frame in enumerate(film):
        _, data = cv2.imencode(".png", frame[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (folder / f"frame_{place:05d}.png").write_bytes(data.tobytes())
    assert clip.apex is not None
    flow, known = film.flow(clip.onset, clip.apex)
    np.savez_compressed(
        folder / TRUTH,
        flow=flow,
        known=known,
        aus=np.stack([film.intensities(place) for place in range(len(film))]).astype(np.float32),
        landmarks=np.stack([film.landmarks(place) for place in range(len(film))]),
    )
