"""The card of a model file: what it is, what it was trained on, how well it does, and what it must not be used for.

In: the JSON that a bundle carries. Out: `Card`, frozen. A figure never stands without its number of faces and,
where one is known, its 95 % interval.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Literal

from msgspec import Meta

from .crop import CropSpec
from .errors import BundleError, ConfigError, LabelError
from .labels import LabelSet
from .movement import Movement
from .planes import FACE, Plane
from .reading import Count, Share, Text, from_json
from .shown import first_line

__all__ = ["FORMAT", "LIMITS", "Card", "Figure", "People", "read_card", "write_card"]

FORMAT = 1
"""Counts up when a card changes so that an older mien cannot read it."""

INTENDED_USE = (
    "Labels the expression that a face shows, in research, teaching and tools whose results a person looks at."
)
LIMITS = (
    "It says what a face shows, not what a person feels, intends or is.",
    "It must not decide about people (work, school, borders, policing, insurance); the EU AI Act forbids some of that.",
    "Faces unlike those it was trained on (age, skin, pose, light, culture, masks) may get worse answers.",
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured share, with its uncertainty."""

    value: Share
    n: Count
    """Faces that it was measured on."""
    low: Share | None = None
    """Lower end of the 95 % interval, where known."""
    high: Share | None = None
    """Upper end of it."""

    def __str__(self) -> str:
        span = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{span} n={self.n}"


@dataclass(frozen=True, kw_only=True)
class People:
    """How often the expressions of people are found, by what they said of themselves.

    They were photographed for a set of their own: nothing was trained on it or chosen by it.
    """

    source: Text
    """The set, its people and its terms."""
    recall: Mapping[str, Mapping[str, Figure]]
    """By group, `all` or such as `gender: female`, then by class: the share of the class's faces that is found."""
    findings: tuple[str, ...] = ()
    """What the figures show, in sentences."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that a model file says of itself."""

    labels: tuple[Text, ...]
    """Class names; the position is the column of the logits."""
    crop: CropSpec
    """How a face is cut out for this network."""
    planes: tuple[Text, ...] = (FACE,)
    """Names of the planes that the network takes, in its order."""
    forms: tuple[Plane, ...] = ()
    """Those of them that are no face: their kind, shape and type."""
    movement: Movement | None = None
    """How the flow of clips is computed for this network, where its store says it."""
    network: Text
    """A key of `mien.models.NETWORKS`."""
    run: Text
    """Id of the run that trained it: network and hash of settings and data."""
    corpus: Text
    fingerprint: Text
    """SHA-256 of the store it was trained on."""
    earlier: Text = ""
    """The corpora that its initial weights were trained on, joined by +; empty for random ones and in older files."""
    protocol: str = ""
    """How train and test were divided, such as one fold of a cross-validation; empty in older files."""
    licence: str
    """Licence of the training data, as its store states it. Its conditions also hold for the weights."""
    temperature: Annotated[float, Meta(gt=0, lt=1e300)] = 1.0
    """Logits are divided by this before the softmax; fitted on the validation part."""
    precision: Literal["float32", "int8"] = "float32"
    """Arithmetic of the network: float32 or int8."""
    quantisation: str = ""
    """How an int8 network was made, and on which processors it gives the same results. Empty in older files."""
    test_precision: str = "float32"
    """Arithmetic of the network that `test`, `recall` and `known_failures` were measured on. Older int8 files carry
    the figures of their float32 network."""
    test: Mapping[str, Figure] = field(default_factory=dict)
    """Accuracy, UAR, macro F1, calibrated ECE on the test part."""
    recall: Mapping[str, Figure] = field(default_factory=dict)
    """The share of each class's test faces that are found."""
    valid: Mapping[str, Figure] = field(default_factory=dict)
    """Accuracy on the validation part. An int8 file also has that of its float32 network, to show what was lost."""
    intended_use: str = INTENDED_USE
    limits: tuple[str, ...] = LIMITS
    known_failures: tuple[str, ...] = ()
    """The classes with the lowest recall on the test part, and the classes they are confused with."""
    people: People | None = None
    """Figures by age, gender and ethnicity, where they are known."""
    mien: str = ""
    """Version that wrote the file."""
    sha256: str = ""
    """Hash of the file's content; filled in when a bundle is opened."""

    def __post_init__(self) -> None:
        LabelSet(self.labels)
        known = [FACE, *(plane.name for plane in self.forms)]
        if not self.planes or len(set(self.planes)) < len(self.planes) or not set(self.planes) <= set(known):
            raise ValueError(f"it takes the planes {', '.join(self.planes)} and describes {', '.join(known)}")

    @property
    def takes(self) -> tuple[Plane, ...]:
        """The planes that the network takes, in its order."""
        known = {plane.name: plane for plane in (self.crop.plane, *self.forms)}
        return tuple(known[name] for name in self.planes)


def write_card(card: Card) -> str:
    """The card as JSON in one line; its hash is left out, since it covers this text."""
    content = {"format": FORMAT, **asdict(card)}
    del content["sha256"]
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True)
class _Format:
    format: int


def read_card(text: str, sha256: str) -> Card:
    """A card from its JSON. Raises `BundleError` if it cannot be read or its values are invalid.

    Unknown names are ignored: a later version may add fields to the same format.
    """
    try:
        version = from_json(text, _Format, more=True).format
        if version == FORMAT:
            return replace(from_json(text, Card, more=True), sha256=sha256)
    except (ValueError, RecursionError, ConfigError, LabelError) as error:
        raise BundleError(f"has a card that cannot be used ({first_line(error)})") from None
    raise BundleError(f"has a card of format {version}, and this mien reads {FORMAT}; upgrade with pip")
