"""What an importer of clips returns: clips, long videos if the corpus has them, and a list of irregular rows.

An importer is a module with a function `read(root, options) -> ClipCorpus`. It lists and repairs, and decodes nothing.
A row of a sheet that does not describe a usable clip is repaired by a stated rule or left out. In both cases it is an
`Irregular`: it is named, counted in the notes of the store, and listed in `irregular.csv`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ....errors import BadSample
from ..clip import Clip, LongVideo

__all__ = ["OWN", "ClipCorpus", "ClipOptions", "Irregular", "LabelRule", "Reader"]

OWN = "own"
"""The label set that every corpus has: its classes as published."""


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Options of the user for reading a corpus of clips."""

    sheet: Path | None = None
    """The coding sheet; None takes the one that is found in the corpus, the newest version first."""
    fps: float | None = None
    """Frames a second, in place of the published value of the corpus."""


@dataclass(frozen=True, kw_only=True)
class Irregular:
    """A row or a folder with a fault, and what was done about it."""

    clip: str
    seen: str
    """What is wrong. Rows of one kind have the same words, so that they are counted together."""
    done: str
    """The rule that was applied."""
    kept: bool = True
    """Whether the clip is in the corpus."""
    details: str = ""
    """The numbers of this row."""


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """A label set of a corpus: what each published class becomes, and which clips are left out by name."""

    classes: Mapping[str, str]
    """Published class, in lower case, to class. Others are left out."""
    without: frozenset[str] = frozenset()
    """Names of clips."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many clips a class has in the published protocol; {} where none is."""
    subjects: int = 0
    """And how many subjects in all."""
    of_subject: Mapping[str, int] = field(default_factory=dict)
    """And how many clips each subject, where no sheet names them; {} where one does."""
    kinds: bool = False
    """Whether the class is the kind of the expression, micro or macro."""


@dataclass(frozen=True, kw_only=True)
class ClipCorpus:
    """A corpus of clips on disk, listed and repaired."""

    name: str
    licence: str
    clips: tuple[Clip, ...]
    """In the order of the corpus. Labels are its own words, in lower case."""
    videos: tuple[LongVideo, ...] = ()
    """Long videos with their intervals, where the corpus has them."""
    irregular: tuple[Irregular, ...] = ()
    rules: Mapping[str, LabelRule] = field(default_factory=dict)
    """Label sets beside `own`."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """micro or macro by name of the clip; {} where the corpus does not tell them apart in its clips."""
    bad: tuple[BadSample, ...] = ()
    """Rows of a user's own table that cannot be used: they stop an import unless bad samples are skipped."""
    notes: tuple[str, ...] = ()
    """What was read and decided, in sentences."""


Reader = Callable[[Path, ClipOptions], ClipCorpus]
"""The signature of an importer's `read`."""
