"""Turns a corpus of clips into a store: clips are listed and repaired, classes are mapped, planes are made in threads.

The result is an ordinary store with subjects, so runs, protocols and reports work as they do for still faces. The notes
of `meta.json` say by clip name what was repaired or left out. The file `irregular.csv` of the store lists every such
row. Memory stays flat, because clips are read while the store is written.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO

from ...errors import BadSample, ConfigError, DataError
from ...faces import FaceDetector, find_detector
from ...planes import Batch
from ...reading import GivenPath, given_path
from ...shown import brief, csv_cell
from ..corpora import Corpus, Entry
from ..prepare import PrepareOptions, write_corpus
from ..store import Meta
from .clip import Clip
from .corpora import CLIP_CORPORA, ClipCorpus, ClipOptions, Irregular
from .corpora.protocol import OWN
from .frames import FilmFrames
from .labelled import Labelled, irregular_words, labelled
from .motion import MotionOptions
from .motion import motion as make_planes

__all__ = ["prepare_clips", "read_clips"]

Make = Callable[[Clip], Batch]
IRREGULAR = "irregular.csv"
NO_SPLITS = "The corpus has no splits: every clip is train. Cross-validate by subject (data.protocol=loso)."


def read_clips(root: GivenPath, corpus: str, options: ClipOptions | None = None) -> ClipCorpus:
    """List a corpus of clips, with its long videos where it has them.

    Args:
        root: the folder of the corpus, or one above or inside it.
        corpus: a name from `corpora.CLIP_CORPORA`.
        options: its coding sheet and frames a second, where they are not those that are found and known.

    Raises:
        ConfigError: an option is out of range.
        DataError: where the corpus or its coding sheet is absent, of another version, or cannot be read.
        MissingExtra: without `openpyxl` or `xlrd`, where the sheet needs it.
    """
    root = given_path(root, "A corpus", DataError)
    options = options or ClipOptions()
    if corpus not in CLIP_CORPORA:
        raise DataError(
            f"There is no importer of clips for {brief(corpus)}; there are {', '.join(sorted(CLIP_CORPORA))}."
        )
    if options.fps is not None and not 0 < options.fps <= 10_000:
        raise ConfigError(f"--fps is above 0 and at most 10,000 frames a second; got {options.fps:g}.")
    if not root.exists():
        raise DataError(f"{root} does not exist.")
    try:
        return CLIP_CORPORA[corpus](root, options)
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read ({error.strerror or error}).") from None


def prepare_clips(
    root: GivenPath,
    corpus: str,
    out: GivenPath,
    options: PrepareOptions | None = None,
    *,
    labels: str = OWN,
    read: ClipOptions | None = None,
    motion: MotionOptions | None = None,
    detector: FaceDetector | None = None,
) -> Meta:
    """Write the clips at `root` as a store at `out`, whole or not at all.

    Args:
        root: the corpus, as `read_clips` takes it.
        corpus: its name.
        out: the folder of the new store.
        options: limit, what to do with bad samples, licence, force; crop and classes are said below.
        labels: a label set of the corpus: `own`, as published, or one of its `rules`.
        read: how the corpus is read.
        motion: which planes are made, and how.
        detector: finds the faces; that of `find_detector` unless given.

    Raises what `read_clips` and `prepare` raise, and `ConfigError` where the corpus has no such label set.
    """
    out, options = given_path(out, "A store", DataError), options or PrepareOptions()
    found = read_clips(root, corpus, read)
    if found.bad and not options.skip_bad:
        raise found.bad[0]
    motion, finder = motion or MotionOptions(), detector or find_detector()
    options = replace(options, crop=motion.crop, sized=True, labels="own")
    return write_corpus(_corpus(found, labelled(found, labels), motion, finder), out, options)


def _corpus(found: ClipCorpus, chosen: Labelled, motion: MotionOptions, finder: FaceDetector) -> Corpus:
    extra = {IRREGULAR: _irregular_csv(found.irregular)} if found.irregular else {}
    return Corpus(
        name=found.name,
        classes=chosen.names,
        licence=found.licence,
        count=len(found.bad) + len(chosen.clips),
        entries=_entries(found, chosen, partial(make_planes, detector=finder, options=motion)),
        planes=motion.planes,
        movement=motion.movement([clip.fps for clip, _ in chosen.clips] or [0.0]),
        extra=extra,
        notes=(
            *found.notes,
            *irregular_words(found.irregular),
            *chosen.notes,
            *motion.words,
            f"Faces were found by {finder.name}.",
            NO_SPLITS,
        ),
    )


def _entries(found: ClipCorpus, chosen: Labelled, make: Make) -> Iterator[Entry | BadSample]:
    yield from found.bad
    for clip, label in chosen.clips:
        yield Entry(
            label=label,
            split="train",
            source=clip.name,
            subject=clip.subject,
            groups=clip.groups,
            planes=partial(_made, clip, make),
        )


def _made(clip: Clip, make: Make) -> Batch:
    try:
        return make(clip)
    except BadSample as bad:
        if bad.where == clip.name:
            raise
        raise BadSample(clip.name, str(bad)) from None
    except DataError as error:
        raise BadSample(clip.name, str(error)) from None
    finally:
        if isinstance(clip.frames, FilmFrames):
            clip.frames.close()  # an open video holds frames in memory, and a corpus has hundreds


def _irregular_csv(irregular: Sequence[Irregular]) -> str:
    file = StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["clip", "seen", "done", "kept", "details"])
    for odd in irregular:
        table.writerow([csv_cell(cell) for cell in (odd.clip, odd.seen, odd.done, str(odd.kept).lower(), odd.details)])
    return file.getvalue()
