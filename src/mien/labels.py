"""Label sets: the ordered class names of a store, a run or a bundle, and the maps between corpora.

Corpora name, order and number the same expressions differently (FER2013's 0 is "angry", RAF-DB's 1 is
"surprise"). Every importer gives its own names; `LabelSet.translate` maps them, or refuses with the list.
No code outside this file and the importers' tables spells a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import LabelError

__all__ = ["EIGHT", "LABEL_SETS", "SEVEN", "LabelSet", "Translation"]

SYNONYMS = {
    "angry": "anger",
    "ang": "anger",
    "an": "anger",
    "disgusted": "disgust",
    "dis": "disgust",
    "di": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "fea": "fear",
    "fe": "fear",
    "happy": "happiness",
    "hap": "happiness",
    "ha": "happiness",
    "joy": "happiness",
    "neutrality": "neutral",
    "neu": "neutral",
    "ne": "neutral",
    "sad": "sadness",
    "sa": "sadness",
    "surprised": "surprise",
    "sur": "surprise",
    "su": "surprise",
    "contemptuous": "contempt",
    "con": "contempt",
}


@dataclass(frozen=True)
class Translation:
    """How a corpus's classes become a label set's: `index[i]` is what class `i` becomes, None if dropped."""

    index: tuple[int | None, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of class names; the position is the label."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names):
            raise LabelError(f"A label set needs two or more different names; got {list(self.names)}.")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The label of a class, by its name or a synonym; raises `LabelError` with the names there are."""
        if name in self.names:
            return self.names.index(name)
        meanings = [canonical_name(own) for own in self.names]
        if canonical_name(name) not in meanings:
            raise LabelError(f"There is no class {name!r}; the classes are {', '.join(self.names)}.")
        return meanings.index(canonical_name(name))

    def translate(self, names: Sequence[str], *, drop: Sequence[str] = ("contempt",)) -> Translation:
        """Map a corpus's class `names` to this set. Classes in `drop` that this set lacks are left out.

        Raises `LabelError`, with all names, where a class can neither be mapped nor dropped, or where
        two classes would fall together.
        """
        canonical = [canonical_name(name) for name in names]
        known = {*self.names, *(canonical_name(name) for name in drop)}
        unknown = [n for n, c in zip(names, canonical, strict=True) if c not in known]
        if unknown:
            raise LabelError(
                f"Cannot map the classes {unknown} (of {list(names)}) to {list(self.names)}. Rename them, "
                "or keep the corpus's own classes with --labels own."
            )
        mapped = [c for c in canonical if c in self.names]
        twice = sorted({c for c in mapped if mapped.count(c) > 1})
        if twice:
            raise LabelError(f"More than one class of {list(names)} means {twice}; rename or merge them.")
        return Translation(
            index=tuple(self.names.index(c) if c in self.names else None for c in canonical),
            dropped=tuple(n for n, c in zip(names, canonical, strict=True) if c not in self.names),
        )


SEVEN = LabelSet(("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"))
EIGHT = LabelSet((*SEVEN.names, "contempt"))
LABEL_SETS = {"seven": SEVEN, "eight": EIGHT}


def canonical_name(name: str) -> str:
    """'Happy', 'hap' and 'happiness ' all mean 'happiness'; a name that is not known stays, in lower case."""
    plain = name.strip().lower()
    return SYNONYMS.get(plain, plain)
