"""What an importer returns: a `Corpus` with its own class names, and a stream of entries that are not decoded yet.

An importer is a module with a function `read(root, options) -> Corpus`. It lists the samples and checks them.
`mien.data.prepare` then decodes them in threads, crops them, maps their classes and writes the store. A sample that
cannot be used is a `BadSample` object in the stream. It is not raised, so that `--skip-bad` can count it and continue
with the next sample.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...crop import CropSpec
from ...errors import BadSample
from ...movement import Movement
from ...planes import Batch, Plane

__all__ = ["Corpus", "Derived", "Entry", "Load", "ReadOptions", "Reader"]

Load = Callable[[], NDArray[np.uint8]]
"""Gives a picture, `(H, W)` grey or `(H, W, 3)` RGB uint8, or raises `BadSample`."""


def nothing() -> NDArray[np.uint8]:
    """The `load` of an entry that has planes and no picture."""
    raise AssertionError("an entry without a picture was asked for one")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options of the user for reading a corpus."""

    public_test: str | None = None
    """FER2013 and FER+: the split PublicTest becomes, valid or test; None takes the stated rule."""
    as_flow: bool = False
    """npz: `images` is flow (u, v, strain), not pictures."""
    group: tuple[str, ...] = ()
    """npz: arrays that become attributes for subgroup reports; `age=25,35` cuts numbers into ranges."""
    numbers: tuple[str, ...] = ()
    """csv: columns of the table that become the plane `numbers`, in this order."""
    original_votes: int = 0
    """FER+: keep the label of FER2013, counted as this many votes beside the ten. 0 applies the rule of FER+."""


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
    """Returns finished planes, of those in `Corpus.planes`. If `face` is one of them, nothing is loaded or cropped.
    Called in a thread; raises `BadSample`."""
    others: Mapping[str, Load] = field(default_factory=dict)
    """Further pictures of the sample by name, such as the `onset` of a clip; they are cropped as the face is."""


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Planes that are computed from the crops of a sample, such as the flow between two crops."""

    planes: Callable[[CropSpec], tuple[Plane, ...]]
    """The planes, for crops of this kind."""
    make: Callable[[Batch], Batch]
    """From the crops of one sample, `face` and its `others`, `(H, W, C)` uint8, to these planes. Called in a thread;
    raises `BadSample`."""
    notes: tuple[str, ...] = ()
    """How they are made, in sentences, for `meta.json`."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus on disk. Its classes and its number of samples are known; its pictures are not read yet."""

    name: str
    classes: tuple[str, ...]
    """Its own class names, in the order of its codes."""
    licence: str
    """One sentence on what its terms allow."""
    count: int
    """Number of `entries`, including bad ones."""
    entries: Iterable[Entry | BadSample]
    """In the order of the corpus; read once."""
    not_expressions: tuple[str, ...] = ()
    """Classes such as "unknown" and "no face". Their samples are left out under every label set, and counted."""
    derived: Derived | None = None
    """Planes beside the face that are computed from crops."""
    planes: tuple[Plane, ...] = ()
    """Planes beside the face that entries give themselves."""
    movement: Movement | None = None
    """How its flow is computed, where that is among `planes` and computed here."""
    size: int | None = None
    """Side of the crops in pixels, unless the user gives one. None takes the default of all corpora."""
    labels: str | None = None
    """The label set, unless the user gives one. None takes the default of all corpora."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further files of the store by name, such as a list of what was repaired."""
    notes: tuple[str, ...] = ()
    """Decisions of the importer, as sentences for `meta.json`."""


Reader = Callable[[Path, ReadOptions], Corpus]
"""The signature of an importer's `read`."""
