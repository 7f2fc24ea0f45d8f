"""What an importer gives: a `Corpus`, its own class names and a stream of entries that nobody has decoded yet.

An importer is a module with `read(root, options) -> Corpus`. It lists and checks; `prepare` decodes (in
threads), crops, maps the classes and writes. An entry that cannot be used is a `BadSample` *in* the
stream, not an exception, so that `--skip-bad` can count it and go on with the next.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...crop import CropSpec
from ...errors import BadSample
from ...planes import Batch, Plane

__all__ = ["Corpus", "Derived", "Entry", "Load", "ReadOptions", "Reader"]

Load = Callable[[], NDArray[np.uint8]]
"""Gives a picture, `(H, W)` grey or `(H, W, 3)` RGB uint8, or raises `BadSample`."""


def nothing() -> NDArray[np.uint8]:
    """In place of a picture, where an entry gives its planes itself."""
    raise AssertionError("an entry without a picture was asked for one")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a user may say about how a corpus is read."""

    public_test: str | None = None
    """FER2013 and FER+: the split PublicTest becomes, valid or test; None takes the stated rule."""
    as_flow: bool = False
    """npz: `images` is flow (u, v, strain), not pictures."""
    original_votes: int = 0
    """FER+: keep FER2013's label, count it as so many votes beside the ten, leave nobody out; 0: FER+'s rule."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One picture of a corpus, not decoded yet."""

    label: int
    """Position in the corpus's own classes."""
    split: str
    """train, valid or test."""
    source: str
    """A path inside the corpus, with `:line` for a row of a table."""
    load: Load = nothing
    """Called in a thread; raises `BadSample`."""
    subject: str = ""
    """Who is shown, where the corpus says."""
    votes: tuple[float, ...] = ()
    """Votes (not normalised) for each of the corpus's classes, where it has them."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Attributes for subgroup reports."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height of the face in the picture, in pixels; None where the picture is the face."""
    planes: Callable[[], Batch] | None = None
    """Gives planes ready-made, of `Corpus.planes`; where `face` is among them, it is taken and nothing is loaded or
    cropped. Called in a thread; raises `BadSample`."""
    others: Mapping[str, Load] = field(default_factory=dict)
    """Further pictures of the sample by name, such as the `onset` of a clip; they are cropped as the face is."""


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Planes that are computed from the crops of a sample, such as the flow between two of them."""

    planes: Callable[[CropSpec], tuple[Plane, ...]]
    """What they are, for crops of this kind."""
    make: Callable[[Batch], Batch]
    """From the crops of one sample, `face` and its `others`, `(H, W, C)` uint8, to these planes. Called in a thread;
    raises `BadSample`."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus on disk, read so far that its classes and its size are known."""

    name: str
    classes: tuple[str, ...]
    """Its own class names, in the order of its codes."""
    licence: str
    """One sentence on what its terms allow."""
    count: int
    """Length of `entries`, bad ones included."""
    entries: Iterable[Entry | BadSample]
    """In the order of the corpus; read once."""
    not_expressions: tuple[str, ...] = ()
    """Classes that say "none of these" (unknown, no face): left out under every label set, and counted."""
    derived: Derived | None = None
    """Planes beside the face that are computed from crops."""
    planes: tuple[Plane, ...] = ()
    """Planes beside the face that entries give themselves."""
    size: int | None = None
    """Side of the crops where the user says none; None: that of all corpora."""
    labels: str | None = None
    """The label set where the user says none; None: that of all corpora."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further files of the store by name, such as a list of what was repaired."""
    notes: tuple[str, ...] = ()
    """What the importer decided, in sentences, for `meta.json`."""


Reader = Callable[[Path, ReadOptions], Corpus]
"""The signature of an importer's `read`."""
