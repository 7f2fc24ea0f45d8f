"""The card of a model file: what it is, what it was trained on, how well it does, and what it must not be used for.

In: the JSON that a bundle carries. Out: `Card`, frozen. A figure never stands without its number of faces and,
where one is known, its 95 % interval.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .crop import CropSpec
from .errors import BundleError, ConfigError, LabelError
from .labels import LabelSet

__all__ = ["FORMAT", "Card", "Figure", "read_card", "write_card"]

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

    value: float
    """0 to 1."""
    n: int
    """Faces that it was measured on."""
    low: float | None = None
    """Lower end of the 95 % interval, where known."""
    high: float | None = None
    """Upper end of it."""

    def __str__(self) -> str:
        span = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{span} n={self.n}"


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that a model file says of itself."""

    labels: tuple[str, ...]
    """Class names; the position is the column of the logits."""
    crop: CropSpec
    """How a face is cut out for this network."""
    network: str
    """A key of `mien.models.NETWORKS`."""
    run: str
    """Id of the run that trained it: network and hash of settings and data."""
    corpus: str
    fingerprint: str
    """SHA-256 of the store it was trained on."""
    licence: str
    """Of the training data, as its store says; the weights inherit what it asks for."""
    temperature: float = 1.0
    """Logits are divided by this before the softmax; fitted on the validation part."""
    precision: str = "float32"
    """Arithmetic of the network: float32 or int8."""
    quantisation: str = ""
    """How an int8 network was made, and on which processors it answers alike. Files from before this was known say
    nothing."""
    test_precision: str = "float32"
    """Arithmetic of the network that `test`, `recall` and `known_failures` were measured on. Older int8 files carry
    the figures of their float32 network."""
    test: Mapping[str, Figure] = field(default_factory=dict)
    """Accuracy, UAR, macro F1, calibrated ECE on the test part."""
    recall: Mapping[str, Figure] = field(default_factory=dict)
    """The share of each class's test faces that are found."""
    valid: Mapping[str, Figure] = field(default_factory=dict)
    """Accuracy on the validation part; of an int8 file also of the float32 network, to see what it lost."""
    intended_use: str = INTENDED_USE
    limits: tuple[str, ...] = LIMITS
    known_failures: tuple[str, ...] = ()
    """The classes found worst on the test part, and what they are taken for."""
    mien: str = ""
    """Version that wrote the file."""
    sha256: str = ""
    """Hash of the file's content; filled in when a bundle is opened."""


def write_card(card: Card) -> str:
    """The card as JSON in one line; its hash is left out, since it covers this text."""
    content = {"format": FORMAT, **asdict(card)}
    del content["sha256"]
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_card(text: str, sha256: str) -> Card:
    """A card from its JSON; raises `BundleError`, a part of a sentence, where it cannot be read or makes no sense."""
    try:
        content = json.loads(text)
        version = content.pop("format")
        if version != FORMAT:
            raise BundleError(f"has a card of format {version}, and this mien reads {FORMAT}; upgrade with pip")
        return _checked(Card(**_typed(content), sha256=sha256))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        raise BundleError(f"has a card that cannot be read ({error})") from None


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    figures = {
        name: {key: Figure(**value) for key, value in content[name].items()} for name in ("test", "recall", "valid")
    }
    lists = {name: tuple(map(str, content[name])) for name in ("labels", "limits", "known_failures")}
    return {**content, **figures, **lists, "crop": CropSpec(**content["crop"])}


def _checked(card: Card) -> Card:
    try:
        LabelSet(card.labels)
    except LabelError as error:
        raise BundleError(f"has a card that cannot be used: {error}") from None
    if not (math.isfinite(card.temperature) and card.temperature > 0):
        raise BundleError(f"has a card that cannot be used: its temperature is {card.temperature}")
    return card
