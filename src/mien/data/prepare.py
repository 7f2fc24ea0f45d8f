"""Imports a corpus as a store: list, decode in threads, crop, map the classes, write as a stream.

Memory stays flat at any number of pictures: importers give entries lazily, a bounded window of them is
decoded at a time, and crops go straight to the file. The order of the corpus is kept, so the same corpus
gives the same bytes. A sample that cannot be used stops the import with one sentence. With `skip_bad` it is listed in
the store's `skipped.csv` and counted in its `meta.json` instead.
"""

import csv
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..crop import CropSpec, crop
from ..errors import BadSample, ConfigError, DataError
from ..labels import LABEL_SETS, LabelSet, Translation
from ..media import MAX_SIDE
from ..planes import FACE, Batch
from ..progress import track
from ..reading import GivenPath, given_path
from ..shown import csv_cell
from .corpora import Corpus, Derived, Entry, Load, ReadOptions, check_options, find_reader
from .drawn import AUS, draw_faces, mouth_apart, mouth_plane, moved_plane
from .store import SPLITS, Meta, Sample, StoreWriter, create_store

__all__ = ["PrepareOptions", "draw_store", "prepare", "write_corpus"]

OWN, USUAL = "own", "seven"
WORKERS = min(8, os.cpu_count() or 1)
WINDOW = 16 * WORKERS
EXAMPLES = 20
Read = Callable[[Entry | BadSample], Batch | BadSample]


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """The options of an import."""

    crop: CropSpec = field(default_factory=CropSpec)
    """Size, colours and margin of the crops."""
    sized: bool = False
    """Whether the user gave `crop.size`. Otherwise a corpus may choose its own size."""
    labels: str | None = None
    """seven, eight (with contempt), or own (the corpus's own classes); None takes the corpus's choice, or seven."""
    split: str | None = None
    """The part of every sample; None takes the corpus's own. A store without training samples may lack classes."""
    limit: int | None = None
    """Take this many pictures, spread evenly over the corpus; None takes all."""
    skip_bad: bool = False
    """Leave bad samples out and list them, instead of stopping at the first."""
    force: bool = False
    """Replace the store if there is one."""
    licence: str | None = None
    """The licence, in place of the importer's sentence."""
    read: ReadOptions = field(default_factory=ReadOptions)
    derived: tuple[Derived, ...] = ()
    """Planes that are computed from the crops, beside those of the corpus: `mien.faces.landmarks`."""

    def __post_init__(self) -> None:
        if self.labels not in (None, *LABEL_SETS, OWN):
            raise ConfigError(f"--labels is {', '.join(LABEL_SETS)} or {OWN}; got {self.labels!r}.")
        if self.split not in (None, *SPLITS):
            raise ConfigError(f"--split is {', '.join(SPLITS)}; got {self.split!r}.")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit is 1 or more; got {self.limit}.")
        if self.read.public_test not in (None, "valid", "test"):
            raise ConfigError(f"--public-test is valid or test; got {self.read.public_test!r}.")
        if not 0 <= self.read.original_votes <= 1000:
            raise ConfigError(f"--original-votes is 0 to 1000; got {self.read.original_votes}.")


def prepare(root: GivenPath, corpus: str, out: GivenPath, options: PrepareOptions | None = None) -> Meta:
    """Write the corpus at `root` as a store at `out`, whole or not at all.

    Args:
        root: the corpus, in a layout that its importer knows.
        corpus: a name from `corpora.CORPORA`.
        out: the folder of the new store.
        options: crop, label set, what to do with bad samples.

    Raises:
        BadSample: at the first sample that cannot be used, unless `skip_bad`.
        ConfigError: an option is of another corpus.
        DataError: the corpus or `out` cannot be used, or the disk is full.
        LabelError: classes cannot be mapped; the message names them.
    """
    root, out = given_path(root, "A corpus", DataError), given_path(out, "A store", DataError)
    options = options or PrepareOptions()
    reader = find_reader(corpus)
    check_options(corpus, options.read)
    if not root.exists():
        raise DataError(f"{root} does not exist.")
    try:
        found = reader(root, options.read)
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read ({error.strerror or error}).") from None
    return write_corpus(found, out, options)


def write_corpus(found: Corpus, out: Path, options: PrepareOptions) -> Meta:
    """Write a corpus that has been listed as a store at `out`; raises as `prepare` does."""
    options = _settled(options, found)
    assert options.labels is not None
    labels, translation = _mapping(found, options.labels)
    planes = (*(plane for made in _derived(found, options) for plane in made.planes(options.crop)), *found.planes)
    with create_store(out, labels, options.crop, planes=planes, replace=options.force) as writer:
        with _Import(writer, translation, options) as run:
            run.take(found)
        for name, text in found.extra.items():
            (writer.folder / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        return run.finish(found)


def _derived(found: Corpus, options: PrepareOptions) -> tuple[Derived, ...]:
    """The functions that make planes from crops: those of the corpus and of the user."""
    return (*((found.derived,) if found.derived else ()), *options.derived)


def _settled(options: PrepareOptions, found: Corpus) -> PrepareOptions:
    """The options; those that the user did not give are the corpus's choice."""
    asked = options.sized or options.crop.size != CropSpec().size
    size = options.crop.size if asked or found.size is None else found.size
    return replace(options, crop=replace(options.crop, size=size), labels=options.labels or found.labels or USUAL)


def draw_store(
    out: GivenPath, *, count: int, size: int = 48, seed: int = 0, apart: bool = False, force: bool = False
) -> Meta:
    """Draw `count` faces, with their action units and masks, as a store at `out`, whole or not at all.

    With `apart`, two planes share the information about the expression: the mouth is covered, and `numbers` has the
    intensities of the action units that move it.

    Raises `ConfigError` where a number is out of range, `DataError` where `out` cannot be written.
    """
    out = given_path(out, "A store", DataError)
    faces = draw_faces(count, seed=seed, size=size)
    labels = LABEL_SETS["seven"]
    planes = [moved_plane(size), *((mouth_plane(),) if apart else ())]
    with create_store(out, labels, CropSpec(size=size), planes=planes, replace=force) as writer:
        for index, (split, face) in enumerate(track(faces, "Drawing faces", count)):
            sample = Sample(
                label=labels.index(face.label),
                split=split,
                source=f"drawn:{index}",
                subject=face.subject,
                groups=face.groups,
                aus=dict(zip(AUS, face.aus.tolist(), strict=True)),
            )
            drawn = mouth_apart(face) if apart else {FACE: face.image}
            writer.add(sample, moved=face.au_masks, **drawn)
        note = f"Drawn with seed {seed}; no person is shown."
        note += " The mouth is covered, and its action units are the plane numbers." * apart
        return writer.finish(corpus="drawn", licence="Drawn by mien; free of any rights.", notes=(note,))


class _Import:
    """The state of one import: the open store, the list of what was left out, and counts."""

    def __init__(self, writer: StoreWriter, translation: Translation, options: PrepareOptions) -> None:
        self.writer = writer
        self.translation = translation
        self.options = options
        self.skipped = 0
        self.examples: list[str] = []
        self.dropped: Counter[int] = Counter()
        self.kept: Counter[int] = Counter()
        self.unknown: Counter[str] = Counter()

    def __enter__(self) -> "_Import":
        path = self.writer.folder / "skipped.csv"
        self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._list = csv.writer(self._file, lineterminator="\n")
        self._list.writerow(["where", "reason"])
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.skipped:
            Path(self._file.name).unlink()

    def take(self, found: Corpus) -> None:
        """Decode and write every entry, in order."""
        limit = self.options.limit
        entries = _spread(found.entries, found.count, limit) if limit else found.entries
        wanted = (entry for entry in entries if not self._drops(entry))
        total = min(limit or found.count, found.count)
        read = partial(_planes, spec=self.options.crop, derived=_derived(found, self.options))
        for entry, planes in track(_decoded(wanted, read), f"Preparing {found.name}", total):
            if isinstance(planes, BadSample):
                self._skip(planes)
            elif isinstance(entry, Entry):
                self._write(entry, planes)
        for label, name in enumerate(self.writer.labels.names):
            if not self.kept[label] and limit is None and self.options.split in (None, "train"):
                self._skip(_empty(name, self.options.labels or USUAL))

    def finish(self, found: Corpus) -> Meta:
        """Write `meta.json`."""
        return self.writer.finish(
            corpus=found.name,
            licence=self.options.licence or found.licence,
            notes=(*found.notes, *self._notes(found)),
            skipped=self.skipped,
            skipped_examples=self.examples,
            movement=found.movement,
        )

    def _drops(self, entry: Entry | BadSample) -> bool:
        """Whether the entry's class is left out under this label set; counts it."""
        if isinstance(entry, BadSample) or self.translation.index[entry.label] is not None:
            return False
        self.dropped[entry.label] += 1
        return True

    def _write(self, entry: Entry, planes: Batch) -> None:
        label = self.translation.index[entry.label]
        assert label is not None
        soft = _soft(entry.votes, self.translation, len(self.writer.labels))
        if soft is None:
            self._skip(BadSample(entry.source, f"the votes {list(entry.votes)} are no votes for the classes kept"))
            return
        self.kept[label] += 1
        sample = Sample(
            label=label,
            split=self.options.split or entry.split,
            source=entry.source,
            subject=entry.subject,
            soft=soft,
            groups=entry.groups,
        )
        self.writer.add(sample, **planes)
        self.unknown.update(name for name in self._values if np.isnan(planes[name]).any())

    @property
    def _values(self) -> Iterator[str]:
        """The planes that may hold unknown values."""
        return (plane.name for plane in self.writer.planes if plane.kind in ("points", "numbers"))

    def _skip(self, bad: BadSample) -> None:
        if not self.options.skip_bad:
            raise bad
        self.skipped += 1
        self._list.writerow([csv_cell(bad.where), csv_cell(bad.reason)])
        if len(self.examples) < EXAMPLES:
            self.examples.append(str(bad))

    def _notes(self, found: Corpus) -> Iterator[str]:
        if self.options.limit:
            yield f"A trial of {self.options.limit} of {found.count} samples, spread evenly (--limit)."
        if self.options.split:
            yield f"Every sample is {self.options.split}, whatever the corpus says (--split)."
        for made in self.options.derived:
            yield from made.notes
        for name, count in sorted(self.unknown.items()):
            yield f"Of {count} of {self.writer.count} samples, {name} are not known, or not all (NaN)."
        for label, count in sorted(self.dropped.items()):
            yield f"{count} samples of the class {found.classes[label]!r} were left out."


def _mapping(found: Corpus, labels: str) -> tuple[LabelSet, Translation]:
    drop = ("contempt", *found.not_expressions)
    if labels != OWN:
        return LABEL_SETS[labels], LABEL_SETS[labels].translate(found.classes, drop=drop)
    own = LabelSet(tuple(name for name in found.classes if name not in found.not_expressions))
    index = tuple(own.names.index(name) if name in own.names else None for name in found.classes)
    return own, Translation(index=index, dropped=found.not_expressions)


def _spread(entries: Iterable[Entry | BadSample], count: int, limit: int) -> Iterator[Entry | BadSample]:
    for position, entry in enumerate(entries):
        if limit >= count or (position + 1) * limit // count > position * limit // count:
            yield entry


def _decoded(entries: Iterable[Entry | BadSample], read: Read) -> Iterator[tuple[Entry | BadSample, Batch | BadSample]]:
    """Read in threads (OpenCV releases the GIL), `WINDOW` at a time, in order."""
    pool = ThreadPoolExecutor(WORKERS)
    window: deque[tuple[Entry | BadSample, Future[Batch | BadSample]]] = deque()
    try:
        for entry in entries:
            window.append((entry, pool.submit(read, entry)))
            if len(window) >= WINDOW:
                first, future = window.popleft()
                yield first, future.result()
        while window:
            first, future = window.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _planes(entry: Entry | BadSample, *, spec: CropSpec, derived: Sequence[Derived]) -> Batch | BadSample:
    """The planes of one sample: its pictures are cropped, then the planes derived from the crops are computed."""
    if isinstance(entry, BadSample):
        return entry
    try:
        ready = entry.planes() if entry.planes else {}
        if FACE in ready:
            crops: Batch = {FACE: ready[FACE]}
        else:
            crops = {name: _crop(entry, load, spec) for name, load in {FACE: entry.load, **entry.others}.items()}
        made = {name: plane for one in derived for name, plane in one.make(crops).items()}
        return {FACE: crops[FACE], **made, **ready}
    except BadSample as bad:
        return bad


def _crop(entry: Entry, load: Load, spec: CropSpec) -> NDArray[np.uint8]:
    picture = load()
    _check_box(entry, picture)
    return crop(picture, spec, entry.box)


def _check_box(entry: Entry, picture: NDArray[np.uint8]) -> None:
    if entry.box is None:
        return
    x, y, width, height = entry.box
    size = f"{picture.shape[1]}×{picture.shape[0]}"
    fits = x < picture.shape[1] and y < picture.shape[0] and x + width > 0 and y + height > 0
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and fits):
        box = ", ".join(f"{value:g}" for value in entry.box)
        raise BadSample(entry.source, f"the box {box} (x, y, width, height) is not in the picture of {size}")


def _soft(votes: tuple[float, ...], translation: Translation, classes: int) -> tuple[float, ...] | None:
    """Votes for the kept classes, normalised to sum to 1; None if one is invalid or all are 0."""
    if not votes:
        return ()
    soft = np.zeros(classes)
    for vote, label in zip(votes, translation.index, strict=True):
        if label is not None:
            soft[label] += vote
    if not (np.isfinite(soft).all() and soft.min() >= 0 and soft.sum() > 0):
        return None
    return tuple((soft / soft.sum()).tolist())


def _empty(name: str, labels: str) -> BadSample:
    own = "--labels own takes the corpus's own classes, --split test makes a store that only tests, without it"
    hint = "" if labels == OWN else f"; {own}"
    return BadSample(f"class {name!r}", f"an empty class: the corpus has no usable picture of it{hint}")
